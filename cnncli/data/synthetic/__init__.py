"""The built-in set of digits: draw.py has `make_synthetic`, strokes.py the stroke models."""
