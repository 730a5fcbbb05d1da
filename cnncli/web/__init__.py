"""Pages for a browser: one to draw on, the report on a run, and the files that pages share."""
