"""The long campaign of faults: see __main__.py. Each module has functions that try one kind of fault many times."""
