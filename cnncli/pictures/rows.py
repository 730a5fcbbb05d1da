"""Puts the digits of a page in reading order: rows from the top, also when the page is rotated or a row bends.

Axis letters: G digits, R rows.
"""

import numpy as np

from cnncli.types import FloatArray, IntArray

_TURNS = np.linspace(-0.14, 0.14, 57)
"""The slopes of a page that are tried: 8 degrees to both sides, less for a few digits."""


def find_rows(boxes: IntArray) -> IntArray:
    """Return the row of each digit, (G,), from 0 at the top.

    Args:
        boxes: left, top, right and bottom of each digit, (G, 4).

    Example:
        >>> find_rows(np.array([[0, 0, 10, 20], [30, 40, 40, 60], [30, 2, 40, 22]])).tolist()
        [0, 1, 0]
    """
    count = len(boxes)
    if count == 0:
        return np.zeros(0, np.int64)
    left, top, right, bottom = boxes.T.astype(np.float64)
    slope = _slope(boxes)
    shift = slope * (left + right) / 2
    top, bottom = top - shift, bottom - shift
    rows = np.arange(count)
    # join each digit with the next one on its right, the nearest first
    for a, b in _neighbors(left, top, right, bottom):
        first, second = rows[a], rows[b]
        if first != second and _beside(rows == first, rows == second, left, top, right, bottom):
            rows[rows == second] = first
    middles = {row: float(np.mean((top + bottom)[rows == row])) for row in np.unique(rows)}
    order = {row: number for number, row in enumerate(sorted(middles, key=lambda row: middles[row]))}
    return np.array([order[row] for row in rows])


def _slope(boxes: IntArray) -> float:
    """Return by how much the rows fall per pixel to the right: the slope at which they are most distinct."""
    if len(boxes) == 1:
        return 0.0
    left, top, right, bottom = boxes.T.astype(np.float64)
    x = (left + right) / 2
    height = float(np.median(bottom - top))
    unit = max(height / 8, 1)
    scores = []
    turns = _TURNS * min(1, (len(boxes) - 1) / 6)
    for slope in turns:
        first, last = (
            (edge - slope * x) / unit for edge in (top + 0.2 * (bottom - top), bottom - 0.2 * (bottom - top))
        )
        lowest = first.min()
        changes = np.zeros(int((last - lowest).max()) + 3)
        np.add.at(changes, (first - lowest).astype(np.int64), 1)
        np.add.at(changes, (last - lowest).astype(np.int64) + 1, -1)
        scores.append(float(np.square(np.cumsum(changes)).sum()))
    # a page is upright unless another slope is clearly better
    rated = np.array(scores) * (1 - 0.5 * np.abs(turns))
    return float(turns[int(rated.argmax())])


def _neighbors(left: FloatArray, top: FloatArray, right: FloatArray, bottom: FloatArray) -> IntArray:
    """Return pairs of digits that may be beside each other in a row, the nearest first, (N, 2)."""
    count = len(left)
    height = bottom - top
    pairs = []
    for a in range(count):
        overlap = np.minimum(bottom[a], bottom) - np.maximum(top[a], top)
        beside = overlap >= 0.4 * np.minimum(height[a], height)
        beside &= (left + right) > (left[a] + right[a])
        beside[a] = False
        candidates = np.flatnonzero(beside)
        nearest = candidates[np.argsort(left[candidates] - right[a], kind="stable")[:3]]
        pairs += [(max(float(left[b] - right[a]), 0.0), a, int(b)) for b in nearest]
    return np.array([pair[1:] for pair in sorted(pairs)], np.int64).reshape(-1, 2)


def _beside(
    one: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]",
    other: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]",
    left: FloatArray,
    top: FloatArray,
    right: FloatArray,
    bottom: FloatArray,
) -> bool:
    """Return whether two parts of rows can be one row: no digit of one is above a digit of the other."""
    x = np.minimum(right[one][:, None], right[other]) - np.maximum(left[one][:, None], left[other])
    y = np.minimum(bottom[one][:, None], bottom[other]) - np.maximum(top[one][:, None], top[other])
    width = np.minimum((right - left)[one][:, None], (right - left)[other])
    height = np.minimum((bottom - top)[one][:, None], (bottom - top)[other])
    return not ((x > 0.5 * width) & (y < 0.2 * height)).any()
