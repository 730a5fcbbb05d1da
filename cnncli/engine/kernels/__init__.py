"""The kernels of the fast executor, one file per idea; `plan/kernel_table.py` has the table of them.

`kernel.py` says what a kernel is, `tape.py` how calls are recorded, `layout.py` how images lie in memory, and
`conv/__init__.py` which kernel runs which convolution.
"""
