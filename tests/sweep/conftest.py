"""The tiny set of the command's tests, and a place to train on it."""

from tests.cli.conftest import cnn, place, signals_as_in_a_terminal, start

__all__ = ["cnn", "place", "signals_as_in_a_terminal", "start"]
