"""The average of areas is exact: it agrees with a direct sum, and no column or row is left out."""

import numpy as np
import pytest

from cnncli.pictures.average import average_areas


def direct_average(plane, shape):
    """Sum over every pair of an input pixel and an output pixel."""
    height, width = shape
    down, right = plane.shape[0] / height, plane.shape[1] / width
    result = np.zeros(shape)
    for top in range(height):
        for left in range(width):
            for y in range(plane.shape[0]):
                for x in range(plane.shape[1]):
                    tall = min((top + 1) * down, y + 1) - max(top * down, y)
                    wide = min((left + 1) * right, x + 1) - max(left * right, x)
                    result[top, left] += plane[y, x] * max(tall, 0) * max(wide, 0) / (down * right)
    return result


@pytest.mark.parametrize(
    ("before", "after"),
    [((7, 10), (3, 4)), ((12, 8), (4, 4)), ((5, 5), (5, 5)), ((1, 9), (1, 7)), ((3, 2), (4, 5))],
)
def test_the_average_agrees_with_a_direct_sum(before, after):
    plane = np.random.default_rng(0).random(before)
    np.testing.assert_allclose(average_areas(plane, after), direct_average(plane, after), atol=1e-6)


@pytest.mark.parametrize("target", [20, 28])
def test_every_column_keeps_its_ink_at_every_size(target):
    for size in [*range(target, target + 20), 38, 57, *range(60, 400, 37)]:
        strokes = np.eye(size, dtype=np.float32)  # row n has a stroke in column n
        columns = average_areas(strokes, (size, target)).sum(axis=1)
        rows = average_areas(strokes, (target, size)).sum(axis=0)
        np.testing.assert_allclose([columns, rows], target / size, rtol=1e-4)
