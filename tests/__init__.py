"""Tests of the package, folder by folder as it is laid out."""
