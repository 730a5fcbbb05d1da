"""Where trials run: on this machine, or on others. All places have the same interface, `Place`."""
