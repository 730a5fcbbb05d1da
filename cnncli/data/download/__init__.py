"""Downloads published data sets and checks their files."""
