"""Data sets: from a name to images and labels.

- dataset.py: the types, Dataset and Split.
- registry.py: the table of published sets.
- load.py: `load_dataset`, from a name to a Dataset.
- readers/: one module per form in which sets come.
- download/: fetches and checks the files of published sets.
- synthetic/: draws the built-in set, `make_synthetic`.
- splits.py: takes the validation set out of the training set.
"""
