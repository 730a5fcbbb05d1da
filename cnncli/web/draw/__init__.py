"""The server of `cnn draw`: a page to draw on, and a network that answers."""
