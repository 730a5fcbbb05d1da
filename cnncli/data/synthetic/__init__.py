"""Digits that the program draws itself."""
