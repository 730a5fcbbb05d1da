"""Segments ink into digits: removes ruled lines, frames and specks, joins broken strokes, and cuts touching digits.

Axis letters: H W mask, K pieces (connected components), G groups of pieces.
"""

from dataclasses import dataclass

import numpy as np

from cnncli.pictures.components import Components, find_components, find_runs, paint_runs
from cnncli.types import BoolArray, FloatArray, IntArray

MAX_DIGITS = 500


@dataclass(frozen=True)
class Segment:
    """The ink of one digit.

    Args:
        mask: (h, w), cut to the box.
        box: left, top, right and bottom in the full mask; right and bottom are exclusive.
        line: the line of digits to which it belongs, from 0 at the top.
    """

    mask: BoolArray
    box: tuple[int, int, int, int]
    line: int


def stroke_width(mask: BoolArray) -> float:
    """Return the mean stroke width of a mask, in pixels: twice its area divided by the length of its outline."""
    padded = np.pad(mask, 1)
    steps = np.count_nonzero(padded[1:] != padded[:-1]) + np.count_nonzero(padded[:, 1:] != padded[:, :-1])
    return 2 * float(np.count_nonzero(mask)) / max(steps * np.pi / 4, 1)  # pixel steps make diagonals longer


def find_segments(mask: BoolArray, smallest: float) -> tuple[list[Segment], list[str]]:
    """Find the digits of a mask, line by line, each line from left to right.

    Args:
        mask: true for ink, (H, W).
        smallest: ink whose height and width are below this is a speck, in pixels.

    Returns:
        The digits, and sentences about possible mistakes.
    """
    pieces = find_components(_without_rules(mask))
    kept = _sizes(pieces.boxes) >= smallest / 2
    kept &= ~_frames(pieces, kept)
    kept = _inside(pieces, kept)
    if not kept.any():
        return [], []
    mask = pieces.mask(kept)
    pieces = find_components(mask)
    largest = np.argsort(-pieces.areas, kind="stable")[: 4 * MAX_DIGITS]
    groups = _join(pieces.boxes[largest], stroke_width(mask))
    numbers = np.full(len(pieces), -1)
    numbers[largest] = groups
    boxes = _group_boxes(pieces.boxes[largest], groups)
    sizes = _sizes(boxes)
    chosen = (sizes >= smallest) & (sizes >= 0.3 * sizes.max())
    widths, heights = (boxes[:, 2:] - boxes[:, :2]).T
    chosen &= (widths <= 4 * heights) | (chosen.sum() == 1)
    lines = _lines(boxes, chosen)
    warnings = []
    found: list[Segment] = []
    for number in sorted(np.flatnonzero(chosen), key=lambda g: (lines[g], boxes[g, 0])):
        left, top, right, bottom = boxes[number].tolist()
        ink = pieces.mask(numbers == number)[top:bottom, left:right]
        parts = _cut(ink)
        if len(parts) > 1:
            warnings.append("digits that touch were cut apart; leave room between them")
        for start, end in parts:
            part = ink[:, start:end]
            rows = np.flatnonzero(part.any(axis=1))
            box = (left + start, top + int(rows[0]), left + end, top + int(rows[-1]) + 1)
            found.append(Segment(part[rows[0] : rows[-1] + 1], box, int(lines[number])))
    if len(found) > MAX_DIGITS:
        warnings.append(f"only the first {MAX_DIGITS} of {len(found)} digits are read")
    return found[:MAX_DIGITS], list(dict.fromkeys(warnings))


def _sizes(boxes: IntArray) -> IntArray:
    """Return the longer side of each box, (K,)."""
    sizes: IntArray = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0)
    return sizes


def _without_rules(mask: BoolArray) -> BoolArray:
    """Remove the ruled lines of lined and squared paper, but not the strokes that cross them."""
    rules = _rules(mask) | _rules(mask.T).T
    return mask & ~rules


def _rules(mask: BoolArray) -> BoolArray:
    """Return the pixels of ruled lines: long, thin and horizontal, (H, W).

    A ruled line may have gaps where strokes cross it, and may be slightly inclined. Unlike a horizontal stroke of a
    digit, it extends beyond the rest of the ink on both sides.
    """
    height, width = mask.shape
    thick = max(2, round(0.012 * max(height, width)))
    columns, tops, bottoms = find_runs(mask.T)
    short = bottoms - tops <= thick
    thin = paint_runs((width, height), columns[short], tops[short], bottoms[short]).T
    rows, starts, ends = find_runs(thin)
    reach = max(1, width // 40)
    bridged = paint_runs(mask.shape, rows, np.maximum(starts - reach, 0), np.minimum(ends + reach, width))
    lines = find_components(bridged)
    left, top, right, bottom = lines.boxes.T
    covered = lines.areas >= 0.5 * (right - left)
    candidates = covered & (right - left >= 0.6 * width) & (bottom - top <= 0.06 * width + thick)
    if not candidates.any():
        return np.zeros_like(mask)
    rest = np.flatnonzero((mask & ~lines.mask(candidates)).any(axis=0))
    near = 0.02 * width + reach
    borders = (left <= near) & (right >= width - near)
    if rest.size:
        margin = 0.03 * width
        beyond = (left < rest[0] + reach - margin) & (right > rest[-1] + 1 - reach + margin)
    else:
        beyond = np.full(len(lines), (candidates & borders).sum() > 1)
    chosen = candidates & (beyond | (borders & ((candidates & borders).sum() > 1)))
    if chosen.sum() > 1:  # ruled paper: also the ends of lines that a wide stroke has cut off
        flat = bottom - top <= 2 * thick
        chosen |= covered & flat & ((left == 0) | (right == width)) & (right - left > 3 * reach)
    return thin & lines.mask(chosen)


def _frames(pieces: Components, kept: BoolArray) -> BoolArray:
    """Return which pieces are frames, (K,): their ink is near the sides of their box, and other ink is inside."""
    frames = np.zeros(len(pieces), bool)
    for number in np.flatnonzero(kept & (pieces.areas > 0)):
        left, top, right, bottom = pieces.boxes[number].tolist()
        inner = (
            (pieces.boxes[:, 0] > left)
            & (pieces.boxes[:, 1] > top)
            & (pieces.boxes[:, 2] < right)
            & (pieces.boxes[:, 3] < bottom)
        )
        if not (inner & kept).any():
            continue
        margin = max(3, round(0.08 * min(right - left, bottom - top)))
        own = pieces.labels == number
        rows, starts, ends = pieces.rows[own], pieces.starts[own], pieces.ends[own]
        middle = np.minimum(ends, right - margin) - np.maximum(starts, left + margin)
        middle[(rows < top + margin) | (rows >= bottom - margin)] = 0
        frames[number] = middle.clip(0).sum() <= 0.08 * pieces.areas[number]
    return frames


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


def _join(boxes: IntArray, stroke: float) -> IntArray:
    """Group the pieces that belong to one digit; return the group of each piece, (K,), from 0.

    Three kinds of pieces are joined: a piece inside the box of another one, a fragment close to a larger piece or
    above or below it (the bar of a 5), and pieces that are almost dots and close to each other.
    """
    groups = np.arange(len(boxes))
    while True:
        current = _group_boxes(boxes, groups)
        together = _belong_together(current.astype(np.float64), stroke)
        first = together.argmax(axis=1)  # the first group that each belongs to, perhaps itself
        if np.array_equal(first, np.arange(len(first))):
            return groups
        _, groups = np.unique(first[groups], return_inverse=True)


def _belong_together(boxes: FloatArray, stroke: float) -> BoolArray:
    """Return for each pair of boxes whether they are parts of one digit, (G, G)."""
    low, high = boxes[:, :2], boxes[:, 2:]
    extent = high - low  # (G, 2), width and height
    overlap = np.minimum(high[:, None], high[None]) - np.maximum(low[:, None], low[None])  # (G, G, 2)
    gap = np.hypot(*np.maximum(-overlap, 0).transpose(2, 0, 1))
    shared = overlap.clip(0) / np.minimum(extent[:, None], extent[None])
    within = shared.prod(axis=2) >= 0.6
    size = extent.max(axis=1)
    smaller, larger = np.minimum(size[:, None], size[None]), np.maximum(size[:, None], size[None])
    fragment = smaller < 0.6 * larger
    height = np.maximum(extent[:, None, 1], extent[None, :, 1])
    stacked = (shared[..., 0] >= 0.5) & (-overlap[..., 1] <= np.where(fragment, 0.3, 0.1) * height)
    near = (gap <= 1.5 * stroke) & (fragment | (larger < 4 * stroke))
    together: BoolArray = within | stacked | near | np.eye(len(boxes), dtype=bool)
    return together


def _group_boxes(boxes: IntArray, groups: IntArray) -> IntArray:
    """Return the box around each group, (G, 4)."""
    count = int(groups.max()) + 1
    around = np.empty((count, 4), np.int64)
    around[:, :2], around[:, 2:] = np.iinfo(np.int64).max, 0
    np.minimum.at(around[:, :2], groups, boxes[:, :2])
    np.maximum.at(around[:, 2:], groups, boxes[:, 2:])
    return around


def _lines(boxes: IntArray, chosen: BoolArray) -> IntArray:
    """Return the line of each chosen box, (G,), from 0 at the top; −1 for the other boxes."""
    lines: IntArray = np.full(len(boxes), -1)
    spans: list[tuple[float, float]] = []
    for number in sorted(np.flatnonzero(chosen), key=lambda g: boxes[g, 1] + boxes[g, 3]):
        top, bottom = float(boxes[number, 1]), float(boxes[number, 3])
        if spans:
            overlap = min(bottom, spans[-1][1]) - max(top, spans[-1][0])
            if overlap >= 0.4 * min(bottom - top, spans[-1][1] - spans[-1][0]):
                lines[number] = len(spans) - 1
                continue
        spans.append((top, bottom))
        lines[number] = len(spans) - 1
    return lines


def _cut(ink: BoolArray) -> list[tuple[int, int]]:
    """Cut ink that is much wider than a digit at columns with little ink; return start and end of each part."""
    height, width = ink.shape
    parts = round(width / (0.75 * height)) if 1.8 * height < width else 1
    weight = ink.sum(axis=0)
    cuts = [0]
    for number in range(1, parts):
        middle, reach = number * width / parts, 0.3 * width / parts
        low, high = int(middle - reach), int(middle + reach) + 1
        off_middle = np.abs(np.arange(low, high) - middle) / reach
        cuts.append(low + int((weight[low:high] + 0.05 * height * off_middle).argmin()))
    return list(zip(cuts, [*cuts[1:], width], strict=True))
