"""Segments ink into digits: removes frames and specks, joins broken strokes, and cuts touching digits.

Axis letters: H W mask, K pieces (connected components), G groups of pieces.
"""

from dataclasses import dataclass

import numpy as np

from cnncli.pictures.components import Components, find_components
from cnncli.pictures.join import boxes_around, join_bars, join_pieces
from cnncli.pictures.rows import find_rows
from cnncli.types import BoolArray, IntArray

MAX_DIGITS = 4000
"""The most digits of a picture that are read."""

_FRAMED = 0.25  # of the size of a frame: what is in it is larger; a dot in a 0 is smaller
_HOLLOW = 0.08  # of the ink of a frame is inside at most


@dataclass(frozen=True)
class Segment:
    """The ink of one digit.

    Args:
        mask: (h, w), cut to the box.
        box: left, top, right and bottom in the full mask; right and bottom are exclusive.
        line: the line of digits to which it belongs, from 0 at the top; in a table, its row.
        column: its column in a table, from 0; None outside of tables.
    """

    mask: BoolArray
    box: tuple[int, int, int, int]
    line: int
    column: int | None = None


def stroke_width(mask: BoolArray) -> float:
    """Return the mean stroke width of a mask, in pixels: twice its area divided by the length of its outline."""
    padded = np.pad(mask, 1)
    steps = np.count_nonzero(padded[1:] != padded[:-1]) + np.count_nonzero(padded[:, 1:] != padded[:, :-1])
    return 2 * float(np.count_nonzero(mask)) / max(steps * np.pi / 4, 1)  # pixel steps make diagonals longer


def find_segments(mask: BoolArray, smallest: float) -> tuple[list[Segment], list[str]]:
    """Find the digits of a mask, line by line, each line from left to right.

    Args:
        mask: true for ink, without rules, (H, W).
        smallest: ink whose height and width are below this is a speck, in pixels.

    Returns:
        The digits, and sentences about possible mistakes.
    """
    pieces = find_components(mask)
    kept = _sizes(pieces.boxes) >= smallest / 2
    kept &= ~_frames(pieces, kept)
    kept = _inside(pieces, kept)
    if not kept.any():
        return [], []
    pieces = pieces.select(kept)
    pieces = pieces.select(_largest(pieces.areas, 4 * MAX_DIGITS))
    groups = join_pieces(pieces.boxes, stroke_width(pieces.mask(np.ones(len(pieces), bool))))
    usual = _usual_height(boxes_around(pieces.boxes, groups), np.bincount(groups, pieces.areas))
    groups = join_bars(pieces.boxes, groups, usual)
    boxes = boxes_around(pieces.boxes, groups)
    chosen = _choose(boxes, usual, smallest)
    numbers = np.where(chosen, np.cumsum(chosen) - 1, -1)[groups]
    boxes = boxes[chosen]
    warnings = []
    masks: list[BoolArray] = []
    places: list[tuple[int, int, int, int]] = []
    for (left, top, _, _), ink in zip(boxes.tolist(), pieces.cut_out(numbers, boxes), strict=True):
        parts = _cut(ink, usual)
        if len(parts) > 1:
            warnings.append("digits that touch were cut apart; leave room between them")
        for start, end in parts:
            part = ink[:, start:end]
            rows = np.flatnonzero(part.any(axis=1))
            masks.append(part[rows[0] : rows[-1] + 1])
            places.append((left + start, top + int(rows[0]), left + end, top + int(rows[-1]) + 1))
    lines = find_rows(np.array(places).reshape(-1, 4))
    order = sorted(range(len(places)), key=lambda number: (lines[number], places[number][0]))
    if len(order) > MAX_DIGITS:
        warnings.append(f"only the first {MAX_DIGITS} of {len(order)} digits are read")
    found = [Segment(masks[n], places[n], int(lines[n])) for n in order[:MAX_DIGITS]]
    return found, list(dict.fromkeys(warnings))


def _largest(areas: IntArray, count: int) -> BoolArray:
    """Return which components are the largest, (K,)."""
    chosen = np.zeros(len(areas), bool)
    chosen[np.argsort(-areas, kind="stable")[:count]] = True
    return chosen


def _usual_height(boxes: IntArray, areas: IntArray) -> float:
    """Return the height of a digit with the middle one of all ink; large digits do not hide small ones."""
    return min(weighted_median(boxes[:, 3] - boxes[:, 1], areas), float(_sizes(boxes).max()))


def _choose(boxes: IntArray, usual: float, smallest: float) -> BoolArray:
    """Return which groups of pieces are digits, (G,): not much smaller than the others, and no dashes."""
    sizes = _sizes(boxes)
    widths, heights = (boxes[:, 2:] - boxes[:, :2]).T
    chosen = (sizes >= smallest) & (sizes >= 0.3 * min(int(sizes.max()), 1.5 * usual))
    dash = (widths > 2 * heights) & (heights < 0.4 * usual)
    digits: BoolArray = chosen & (~dash | (chosen.sum() == 1))
    return digits


def weighted_median(values: IntArray, weights: IntArray) -> float:
    """Return the value in the middle of all weights."""
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def _sizes(boxes: IntArray) -> IntArray:
    """Return the longer side of each box, (K,)."""
    sizes: IntArray = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0)
    return sizes


def _frames(pieces: Components, kept: BoolArray) -> BoolArray:
    """Return which pieces are frames, (K,): a box or an ellipse around another piece that is not much smaller."""
    frames = np.zeros(len(pieces), bool)
    sizes = _sizes(pieces.boxes)
    left, top, right, bottom = pieces.boxes.T
    for number in np.flatnonzero(kept & (pieces.areas > 0)):
        inner = (
            (left > left[number]) & (top > top[number]) & (right < right[number]) & (bottom < bottom[number])
        )
        if (inner & kept & (sizes >= _FRAMED * sizes[number])).any():
            frames[number] = _is_hollow(pieces, int(number))
    return frames


def _is_hollow(pieces: Components, number: int) -> bool:
    """Return whether nearly all ink of a piece is near the sides of its box, or near the ellipse in its box."""
    left, top, right, bottom = pieces.boxes[number].tolist()
    own = pieces.labels == number
    rows, starts, ends = pieces.rows[own], pieces.starts[own], pieces.ends[own]
    margin = max(3, round(0.08 * min(right - left, bottom - top)))
    middle = np.minimum(ends, right - margin) - np.maximum(starts, left + margin)
    middle[(rows < margin + top) | (rows >= bottom - margin)] = 0
    least = _HOLLOW * pieces.areas[number]
    if middle.clip(0).sum() <= least:
        return True
    # half of the width of the ellipse within the margin, at each row
    height, width = (bottom - top) / 2 - margin, (right - left) / 2 - margin
    center = (left + right) / 2
    half = width * np.sqrt((1 - ((rows + 0.5 - (top + bottom) / 2) / max(height, 1)) ** 2).clip(0))
    inside = np.minimum(ends, center + half) - np.maximum(starts, center - half)
    return bool(inside.clip(0).sum() <= least)


def _inside(pieces: Components, kept: BoolArray) -> BoolArray:
    """Return the pieces to keep, (K,): without those that touch the border of the picture, unless they dominate."""
    height, width = pieces.shape
    left, top, right, bottom = pieces.boxes.T
    touching = kept & ((left <= 1) | (top <= 1) | (right >= width - 1) | (bottom >= height - 1))
    side = min(height, width)
    margin = max(2, round(0.05 * side))
    middle = np.minimum(pieces.ends, width - margin) - np.maximum(pieces.starts, margin)
    middle[(pieces.rows < margin) | (pieces.rows >= height - margin)] = 0
    foreign = touching & (pieces.totals(middle.clip(0)) < 0.5 * pieces.areas)  # mostly along the border
    lengths = pieces.ends - pieces.starts
    contact = np.where((pieces.rows == 0) | (pieces.rows == height - 1), lengths, 0)
    contact += (pieces.starts == 0).astype(np.int64) + (pieces.ends == width)
    foreign |= touching & (pieces.totals(contact) > 0.2 * 2 * (height + width))
    x = pieces.totals((pieces.starts + pieces.ends) * lengths) / (2 * pieces.areas)
    y = pieces.totals((2 * pieces.rows + 1) * lengths) / (2 * pieces.areas)
    outlying = np.minimum(np.minimum(x, width - x), np.minimum(y, height - y)) < 0.15 * side
    inner: BoolArray = kept & ~touching
    central = touching & ~foreign & ~outlying
    if (inner & (_sizes(pieces.boxes) > 0.1 * side)).any() or central.any():
        foreign |= touching & outlying
    rest = touching & ~foreign
    if pieces.areas[rest].sum() > 2 * pieces.areas[inner].sum():
        everything: BoolArray = inner | rest
        return everything
    return inner if inner.any() else touching


def _cut(ink: BoolArray, usual: float) -> list[tuple[int, int]]:
    """Cut ink that is much wider than a digit at columns with little ink; return start and end of each part.

    Args:
        ink: cut to its box, (h, w).
        usual: the usual height of a digit in the picture.
    """
    height, width = ink.shape
    high = max(height, min(usual, 1.5 * height))
    parts = round(width / (0.75 * high)) if 1.8 * high < width else 1
    weight = ink.sum(axis=0)
    cuts = [0]
    for number in range(1, parts):
        middle, reach = number * width / parts, 0.3 * width / parts
        low, last = int(middle - reach), int(middle + reach) + 1
        off_middle = np.abs(np.arange(low, last) - middle) / reach
        cuts.append(low + int((weight[low:last] + 0.05 * height * off_middle).argmin()))
    return [
        (start, end) for start, end in zip(cuts, [*cuts[1:], width], strict=True) if ink[:, start:end].any()
    ]
