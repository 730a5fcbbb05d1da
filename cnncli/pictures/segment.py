"""Segments ink into digits: removes frames and specks, joins broken strokes, and cuts touching digits.

Axis letters: H W mask, K pieces (connected components), G groups of pieces.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from cnncli.pictures.components import Components, find_components
from cnncli.pictures.join import boxes_around, join_bars, join_pieces
from cnncli.pictures.rows import find_rows
from cnncli.types import BoolArray, IntArray

MAX_DIGITS = 4000
"""The most digits of a picture that are read."""

_DARK = 0.1  # of the ink of a digit at least is not faint
_MANY = 8  # so many digits tell the usual height, also if some touch those of the next line
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
        cut: whether it was cut from ink that holds more digits.
    """

    mask: BoolArray
    box: tuple[int, int, int, int]
    line: int = 0
    column: int | None = None
    cut: bool = False


def stroke_width(mask: BoolArray) -> float:
    """Return the mean stroke width of a mask, in pixels: twice its area divided by the length of its outline."""
    steps = np.count_nonzero(mask[1:] != mask[:-1]) + np.count_nonzero(mask[:, 1:] != mask[:, :-1])
    steps += sum(np.count_nonzero(side) for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))
    return 2 * float(np.count_nonzero(mask)) / max(steps * np.pi / 4, 1)  # pixel steps make diagonals longer


def find_segments(
    mask: BoolArray, smallest: float, dark: BoolArray | None = None
) -> tuple[list[Segment], list[str]]:
    """Find the digits of a mask, line by line, each line from left to right.

    Args:
        mask: true for ink, without rules, (H, W).
        smallest: ink whose height and width are below this is a speck, in pixels.
        dark: true for ink that is not faint, (H, W). A piece without any is the edge of a shadow. Faint ink links
            fragments, but no digits.

    Returns:
        The digits, and sentences about possible mistakes.
    """
    if dark is not None:
        mask = _without_faint_links(mask, dark)
    pieces = find_components(mask)
    kept = _sizes(pieces.boxes) >= smallest / 2
    if dark is not None:
        kept &= pieces.areas_in(dark) >= _DARK * pieces.areas
    kept &= ~_frames(pieces, kept)
    kept = _inside(pieces, kept)
    if not kept.any():
        return [], []
    pieces = pieces.select(kept)
    pieces = pieces.select(_largest(pieces.areas, 4 * MAX_DIGITS))
    groups = join_pieces(pieces.boxes, stroke_width(pieces.mask(np.ones(len(pieces), bool))))
    usual = usual_height(boxes_around(pieces.boxes, groups), np.bincount(groups, pieces.areas))
    groups = join_bars(pieces.boxes, groups, usual)
    boxes = boxes_around(pieces.boxes, groups)
    chosen = _choose(boxes, usual, smallest)
    numbers = np.where(chosen, np.cumsum(chosen) - 1, -1)[groups]
    boxes = boxes[chosen]
    parts: list[Segment] = []
    for box, ink in zip(boxes.tolist(), pieces.cut_out(numbers, boxes), strict=True):
        for part in _cut_high(Segment(ink, tuple(box)), usual if len(boxes) >= _MANY else np.inf):
            parts += cut_wide(part, usual)
    lines = find_rows(np.array([part.box for part in parts]).reshape(-1, 4)).tolist()
    found = [replace(part, line=line) for part, line in zip(parts, lines, strict=True)]
    found.sort(key=lambda segment: (segment.line, segment.box[0]))
    if len(found) > MAX_DIGITS:
        return found[:MAX_DIGITS], [f"only the first {MAX_DIGITS} of {len(found)} digits are read"]
    return found, []


def _without_faint_links(mask: BoolArray, dark: BoolArray) -> BoolArray:
    """Return a mask (H, W) without the faint ink of pieces that hold several digits: it may link them."""
    pieces = find_components(mask)
    cores = find_components(mask & dark)
    if len(cores) < 2:
        return mask
    heights = cores.boxes[:, 3] - cores.boxes[:, 1]
    large = heights >= 0.6 * usual_height(cores.boxes, cores.areas)
    first = np.unique(cores.labels, return_index=True)[1]  # the first run of each core
    piece = pieces.at(cores.rows[first], cores.starts[first])
    several = np.bincount(piece[large], minlength=len(pieces)) > 1
    return mask & (dark | ~pieces.mask(several)) if several.any() else mask


def _largest(areas: IntArray, count: int) -> BoolArray:
    """Return which components are the largest, (K,)."""
    chosen = np.zeros(len(areas), bool)
    chosen[np.argsort(-areas, kind="stable")[:count]] = True
    return chosen


def usual_height(boxes: IntArray, areas: IntArray) -> float:
    """Return the usual height of the digits among pieces: of many the middle one, of few that with the most ink.

    Args:
        boxes: left, top, right and bottom of each piece, (K, 4).
        areas: their ink, (K,).
    """
    heights = boxes[:, 3] - boxes[:, 1]
    high = heights[heights >= 0.4 * np.quantile(heights, 0.9)]
    if len(high) >= _MANY:
        return float(np.median(high))
    order = np.argsort(heights, kind="stable")
    total = np.cumsum(areas[order])
    return float(heights[order][np.searchsorted(total, total[-1] / 2)])


def _choose(boxes: IntArray, usual: float, smallest: float) -> BoolArray:
    """Return which groups of pieces are digits, (G,): not much smaller than the others, and no dashes."""
    sizes = _sizes(boxes)
    widths, heights = (boxes[:, 2:] - boxes[:, :2]).T
    chosen = (sizes >= smallest) & (sizes >= 0.3 * min(int(sizes.max()), 1.5 * usual))
    dash = (widths > 2 * heights) & (heights < 0.4 * usual)
    digits: BoolArray = chosen & (~dash | (chosen.sum() == 1))
    return digits


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


def _cut_high(segment: Segment, usual: float) -> tuple[Segment, ...]:
    """Cut ink that is nearly as high as two lines of digits at the row with the least ink near its middle."""
    height = segment.mask.shape[0]
    if height < 1.7 * usual:
        return (segment,)
    count = max(2, round(height / (1.3 * usual)))
    weight = segment.mask.sum(axis=1)
    rows = []
    for number in range(1, count):
        middle, reach = number * height / count, 0.3 * usual
        first, last = int(middle - reach), int(middle + reach) + 1
        rows.append(first + int(weight[first:last].argmin()))
    turned = replace(segment, mask=segment.mask.T, box=_turned(segment.box))
    parts = cut_at(turned, rows)
    return tuple(replace(part, mask=part.mask.T, box=_turned(part.box), cut=segment.cut) for part in parts)


def _turned(box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    left, top, right, bottom = box
    return top, left, bottom, right


def cut_wide(segment: Segment, usual: float) -> tuple[Segment, ...]:
    """Cut ink that is much wider than a digit at columns with little ink.

    Args:
        segment: the ink.
        usual: the usual height of a digit in the picture.
    """
    height, width = segment.mask.shape
    high = max(height, min(usual, 1.5 * height))
    parts = round(width / (0.75 * high)) if 1.8 * high < width else 1
    weight = segment.mask.sum(axis=0)
    columns = []
    for number in range(1, parts):
        middle, reach = number * width / parts, 0.3 * width / parts
        first, last = int(middle - reach), int(middle + reach) + 1
        off_middle = np.abs(np.arange(first, last) - middle) / reach
        columns.append(first + int((weight[first:last] + 0.05 * height * off_middle).argmin()))
    return cut_at(segment, columns) if columns else (segment,)


def cut_at(segment: Segment, columns: Sequence[int]) -> tuple[Segment, ...]:
    """Return the parts of a segment between columns of its mask; parts without ink are left out."""
    left, top, _, _ = segment.box
    parts = []
    for start, end in pairwise([0, *columns, segment.mask.shape[1]]):
        ink = segment.mask[:, start:end]
        if ink.any():
            rows = np.flatnonzero(ink.any(axis=1))
            first, last = int(rows[0]), int(rows[-1]) + 1
            box = (left + start, top + first, left + end, top + last)
            parts.append(replace(segment, mask=ink[first:last], box=box, cut=True))
    return tuple(parts)
