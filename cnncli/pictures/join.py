"""Joins the strokes that belong to one digit: the bar of a 5 that stands apart, a broken line, the parts of a 4.

Axis letters: K pieces (connected components), G groups of pieces, N pairs of groups.
"""

import numpy as np

from cnncli.types import BoolArray, FloatArray, IntArray


def join_pieces(boxes: IntArray, stroke: float) -> IntArray:
    """Group the pieces that belong to one digit; return the group of each piece, (K,), from 0.

    Three kinds of pieces are joined: a piece inside the box of another one, a fragment close to a larger piece or
    above or below it, and pieces that are almost dots and close to each other.

    Args:
        boxes: left, top, right and bottom of each piece, (K, 4).
        stroke: mean stroke width, in pixels.
    """
    groups = np.arange(len(boxes))
    highest = _highest(boxes)
    while True:
        current = boxes_around(boxes, groups).astype(np.float64)
        first, second = _near_pairs(current)
        together = _belong_together(current[first], current[second], stroke, highest)
        first, second = first[together], second[together]
        if len(first) == 0:
            return groups
        _, groups = np.unique(_targets(current, first, second)[groups], return_inverse=True)


def _targets(boxes: FloatArray, first: IntArray, second: IntArray) -> IntArray:
    """Return the group that each group goes to, (G,): a smaller one to the nearest of the larger ones that it fits.

    So a fragment between two digits joins one of them, and not one with the other.

    Args:
        boxes: of the groups, (G, 4).
        first, second: pairs of groups that belong together, (N,) and (N,).
    """
    sizes = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    swap = sizes[first] > sizes[second]
    small, large = np.where(swap, second, first), np.where(swap, first, second)
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    beside = np.maximum(boxes[small, :2], boxes[large, :2]) - np.minimum(boxes[small, 2:], boxes[large, 2:])
    distance = np.hypot(*beside.clip(0).T) + 0.01 * np.hypot(*(centers[small] - centers[large]).T)
    order = np.lexsort((distance, small))
    nearest = order[np.unique(small[order], return_index=True)[1]]
    target = np.arange(len(boxes))
    target[small[nearest]] = large[nearest]
    while not np.array_equal(target, target[target]):
        target = target[target]
    return target


def join_bars(boxes: IntArray, groups: IntArray, usual: float) -> IntArray:
    """Join each bar that stands apart with the digit below or on the left, as in a 5; return the groups, (K,).

    Args:
        boxes: left, top, right and bottom of each piece, (K, 4).
        groups: the group of each piece, (K,).
        usual: the usual height of a digit, in pixels.
    """
    around = boxes_around(boxes, groups).astype(np.float64)
    width, height = (around[:, 2:] - around[:, :2]).T
    bars = (height < 0.55 * usual) & (width > 1.5 * height) & (width > 0.2 * usual)
    digits = np.flatnonzero((height >= 0.5 * usual) & ~bars)
    target = np.arange(len(around))
    for bar in np.flatnonzero(bars):
        left, top, right, bottom = around[bar]
        body = around[digits]
        high = (top + bottom) / 2 <= body[:, 1] + 0.35 * (body[:, 3] - body[:, 1])
        apart = np.hypot(
            np.maximum(np.maximum(left - body[:, 2], body[:, 0] - right), 0),
            np.maximum(body[:, 1] - bottom, 0),
        )
        near = (
            high
            & (left >= body[:, 0] - 0.3 * usual)
            & (apart <= 0.4 * usual)
            & (bottom > body[:, 1] - 0.4 * usual)
        )
        if near.any():
            target[bar] = digits[int(np.where(near, apart, np.inf).argmin())]
    _, groups = np.unique(target[groups], return_inverse=True)
    return groups


def boxes_around(boxes: IntArray, groups: IntArray) -> IntArray:
    """Return the box around each group of boxes, (G, 4).

    Args:
        boxes: (K, 4).
        groups: the group of each box, (K,), from 0.
    """
    count = int(groups.max(initial=-1)) + 1
    around = np.empty((count, 4), np.int64)
    around[:, :2], around[:, 2:] = np.iinfo(np.int64).max, 0
    np.minimum.at(around[:, :2], groups, boxes[:, :2])
    np.maximum.at(around[:, 2:], groups, boxes[:, 2:])
    return around


def _near_pairs(boxes: FloatArray) -> tuple[IntArray, IntArray]:
    """Return all pairs of boxes that overlap or nearly do, the smaller number first, (N,) and (N,)."""
    extent = boxes[:, 2:] - boxes[:, :2]
    reach = 0.5 * float(extent.max(initial=0))
    order = np.argsort(boxes[:, 0], kind="stable")
    left = boxes[order, 0]
    # the boxes that start before this one ends
    counts = np.searchsorted(left, boxes[order, 2] + reach, side="right") - np.arange(len(order)) - 1
    counts = np.maximum(counts, 0)
    first = np.repeat(np.arange(len(order)), counts)
    second = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first + 1
    a, b = order[first], order[second]
    near = np.minimum(boxes[a, 3], boxes[b, 3]) - np.maximum(boxes[a, 1], boxes[b, 1]) >= -reach
    a, b = a[near], b[near]
    return np.minimum(a, b), np.maximum(a, b)


def _highest(boxes: IntArray) -> float:
    """Return a height that no digit of the picture has: on a page with many pieces, well above the usual one."""
    heights = np.sort(boxes[:, 3] - boxes[:, 1])
    high = heights[heights >= 0.3 * heights[-1]]
    return 1.6 * float(np.median(high)) if len(high) >= 6 else np.inf


def _belong_together(one: FloatArray, other: FloatArray, stroke: float, highest: float) -> BoolArray:
    """Return for pairs of boxes, (N, 4) each, whether they are parts of one digit, (N,)."""
    extent, other_extent = one[:, 2:] - one[:, :2], other[:, 2:] - other[:, :2]  # (N, 2), width and height
    overlap = np.minimum(one[:, 2:], other[:, 2:]) - np.maximum(one[:, :2], other[:, :2])  # (N, 2)
    gap = np.hypot(*np.maximum(-overlap, 0).T)
    shared = overlap.clip(0) / np.minimum(extent, other_extent)
    within = shared.prod(axis=1) >= 0.6
    size, other_size = extent.max(axis=1), other_extent.max(axis=1)
    smaller, larger = np.minimum(size, other_size), np.maximum(size, other_size)
    fragment = smaller < 0.6 * larger
    height = np.maximum(extent[:, 1], other_extent[:, 1])
    stacked = (shared[:, 0] >= 0.5) & (-overlap[:, 1] <= np.where(fragment, 0.3, 0.1) * height)
    near = (gap <= 1.5 * stroke) & (fragment | (larger < 4 * stroke))
    stacked &= np.maximum(one[:, 3], other[:, 3]) - np.minimum(one[:, 1], other[:, 1]) <= highest
    together: BoolArray = within | stacked | near
    return together
