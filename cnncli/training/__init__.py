"""Training a network, measuring it, and using it."""
