"""Readers of the forms that data sets come in."""
