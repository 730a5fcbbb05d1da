"""From a picture of any kind to the 28x28 images that a network reads.

`find_digits` in digits.py calls the steps in this order:

1. read.py: `read_picture` decodes a file.
2. ink.py: `find_ink` separates ink from paper: polarity, background, threshold.
3. layout.py: `find_layout` finds printed lines and tables, with the rules of rules.py; `remove_rules` removes them.
4. segment.py: `find_segments` finds the ink of each digit: connected components (components.py), joined into digits
   (join.py) in reading order (rows.py). For a table, forms.py assigns the ink to its cells.
5. place.py: `scale_to_box` scales a digit to 20x20 pixels.
6. place.py: `center_by_mass` moves its center of mass to the center of 28x28 pixels.
"""
