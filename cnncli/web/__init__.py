"""Pages for a browser: one to draw on, and the files that pages share."""
