"""Readers, one module per form in which data sets come.

A reader is a function that takes a path and returns a Dataset. `cnncli.data.load.load_dataset` chooses it.
"""
