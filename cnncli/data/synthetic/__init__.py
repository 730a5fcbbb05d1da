"""The built-in set of digits: draw.py has `make_synthetic` and `render_digit`, strokes.py the stroke models."""
