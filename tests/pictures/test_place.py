"""A digit is placed in its image by its center of mass, as in MNIST."""

import numpy as np

from cnncli.data.load import load_dataset
from cnncli.pictures.place import center_by_mass


def test_placing_puts_the_centre_of_mass_at_14_and_ties_up():
    dot = np.zeros((3, 5, 5), np.uint8)
    dot[0, 1, 3] = 9
    dot[1, 2, :2] = 7  # center of mass half-way between two pixels
    dot[2, 0, 0], dot[2, 4, 4] = 1, 3
    placed = center_by_mass(dot)
    assert np.argwhere(placed[0]).tolist() == [[14, 14]]
    assert np.argwhere(placed[1]).tolist() == [[14, 14], [14, 15]]
    assert np.argwhere(placed[2]).tolist() == [[11, 11], [15, 15]]


def test_placing_keeps_a_lopsided_digit_inside():
    lopsided = np.zeros((1, 20, 20), np.uint8)
    lopsided[0, :3] = 255
    lopsided[0, 19, 0] = 1
    placed = center_by_mass(lopsided)[0]
    assert placed.astype(int).sum() == lopsided.astype(int).sum()
    assert placed[27].any()


def test_placing_leaves_the_digits_of_mnist_where_they_are(mnist_dir):
    images = load_dataset("mnist", mnist_dir, splits=["test"]).test.images
    moved = 0
    for image in images:
        rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
        box = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        moved += not np.array_equal(center_by_mass(box[None])[0], image)
    assert moved <= len(images) / 1000
