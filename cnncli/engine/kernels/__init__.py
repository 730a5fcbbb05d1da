"""The kernels: one file for each idea, each class a step that a plan is made of (see ../patterns.py for the table)."""
