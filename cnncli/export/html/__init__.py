"""The format `html` of `cnn export`: one page that runs the network by itself."""
