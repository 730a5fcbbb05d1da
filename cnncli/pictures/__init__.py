"""From a picture of any kind to the 28x28 images that a network reads.

`find_digits` in digits.py calls the steps in this order:

1. read.py: `read_picture` decodes a file.
2. ink.py: `find_ink` separates ink from paper: polarity, background, threshold.
3. segment.py: `find_segments` finds the ink of each digit, with the connected components of components.py.
4. place.py: `scale_to_box` scales a digit to 20x20 pixels.
5. place.py: `center_by_mass` moves its center of mass to the center of 28x28 pixels.
"""
