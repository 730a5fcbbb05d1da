"""The version of the package, where everything may read it without importing the package's own front page."""

__version__ = "0.1.0"
