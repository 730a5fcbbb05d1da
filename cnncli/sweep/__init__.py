"""Many training runs as one: repeats of a config over seeds, and searches for better settings."""
