"""Shrinks planes by the exact average of areas, so that no column or row of a thin stroke is left out.

Pillow's BOX filter takes only pixels whose centers are inside of a result pixel, and at many sizes it leaves out whole
columns.

Axis letters: H W plane, I O pixels along one axis before and after.
"""

from functools import lru_cache

import numpy as np

from cnncli.types import FloatArray


def average_areas(plane: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Return a plane in another size; each pixel is the mean of the area that it covers.

    A pixel that the border of two areas crosses counts in both, in proportion to its part in each.

    Args:
        plane: (H, W).
        shape: height and width of the result.

    Example:
        >>> average_areas(np.array([[0.0, 1.0, 1.0, 1.0]]), (1, 2)).tolist()
        [[0.5, 1.0]]
    """
    height, width = shape
    rows = _axis_weights(plane.shape[0], height)  # (O, I)
    columns = _axis_weights(plane.shape[1], width)
    averaged: FloatArray = rows @ plane.astype(np.float32, copy=False) @ columns.T
    return averaged


@lru_cache(maxsize=64)
def _axis_weights(length: int, count: int) -> FloatArray:
    """Return the share of each input pixel in each output pixel along one axis, (O, I)."""
    edges = np.arange(count + 1) * (length / count)
    starts = np.arange(length)
    covered = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    weights: FloatArray = (covered.clip(0) * (count / length)).astype(np.float32)
    return weights
