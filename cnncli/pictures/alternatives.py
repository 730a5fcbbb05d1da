"""Offers other ways to read the same ink: wide ink as two digits, and strokes close to each other as one digit.

Only a network can tell which is right: an open 4 in two strokes looks like two digits, and 1 and 7 that touch look like
one. So the ink is prepared in both ways, and the reader compares how sure the network is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Generic, TypeVar

import numpy as np

from cnncli.pictures.segment import Segment, cut_at

Part = TypeVar("Part")

MAX_ALTERNATIVES = 1000
"""The most other readings of one picture."""

_WIDE = 1.15  # times the height: ink that is wider may be two digits
_WIDE_ALONE = 1.3  # the same for a picture with nothing else
_CUTS = 2  # ways to cut it
_NARROW = 1.15  # times the height: two strokes together are not wider if they are one digit
_CLOSE = 0.12  # of the height: the gap between two strokes of one digit
_FEW = 5  # so few pieces may be one digit


@dataclass(frozen=True)
class Alternative(Generic[Part]):
    """Another way to read the ink of consecutive digits.

    Args:
        first: the index of the first of these digits.
        count: how many they are.
        parts: what the same ink is instead.
        overlap: whether the strokes that are joined overlap like those of a 4: one above a part of the other.
    """

    first: int
    count: int
    parts: tuple[Part, ...]
    overlap: bool = False


def find_alternatives(segments: Sequence[Segment]) -> list[Alternative[Segment]]:
    """Return other ways to read segments, those of a line from left to right."""
    found: list[Alternative[Segment]] = []
    usual = float(np.median([segment.box[3] - segment.box[1] for segment in segments]))
    number = 0
    while number < len(segments):
        cut = _end_of_cut(segments, number)
        if cut == number + 2:
            found.append(Alternative(number, cut - number, (join(segments[number:cut]),)))
        elif cut == number + 1 and not segments[number].cut:
            wide = _WIDE if len(segments) > 1 else _WIDE_ALONE
            found += [Alternative(number, 1, parts) for parts in _cut_in_two(segments[number], wide)]
        number = cut
    for number, (one, other) in enumerate(pairwise(segments)):
        if _may_be_one(one, other, usual):
            found.append(Alternative(number, 2, (join([one, other]),), _overlap(one, other)))
    if 2 < len(segments) <= _FEW and not any(segment.cut for segment in segments):
        whole = join(segments)
        height, width = whole.mask.shape
        if max(height, width) < 1.5 * min(height, width):
            found.append(Alternative(0, len(segments), (whole,)))
    return found[:MAX_ALTERNATIVES]


def join(segments: Sequence[Segment]) -> Segment:
    """Return the ink of several segments as one, in the place of the first."""
    boxes = np.array([segment.box for segment in segments])
    left, top = boxes[:, :2].min(axis=0).tolist()
    right, bottom = boxes[:, 2:].max(axis=0).tolist()
    mask = np.zeros((bottom - top, right - left), bool)
    for segment in segments:
        x, y, end, below = segment.box
        mask[y - top : below - top, x - left : end - left] |= segment.mask
    return replace(segments[0], mask=mask, box=(left, top, right, bottom), cut=False)


def _end_of_cut(segments: Sequence[Segment], first: int) -> int:
    """Return where the parts of ink end that was cut and starts with this segment."""
    end = first + 1
    while (
        end < len(segments)
        and segments[first].cut
        and segments[end].cut
        and segments[end].box[0] == segments[end - 1].box[2]
        and segments[end].line == segments[first].line
    ):
        end += 1
    return end


def _cut_in_two(segment: Segment, wide: float) -> list[tuple[Segment, ...]]:
    """Return a wide segment cut at the columns with the least ink near its middle, at each one alone."""
    height, width = segment.mask.shape
    if width < wide * height:
        return []
    weight = segment.mask.sum(axis=0) + 0.1 * height * np.abs(np.linspace(-1, 1, width))
    margin = int(max(0.15 * height, 0.2 * width))
    weight[:margin] = weight[width - margin :] = np.inf
    parts = []
    for _ in range(_CUTS):
        column = int(weight.argmin())
        if not np.isfinite(weight[column]):
            break
        weight[max(column - int(0.12 * height), 0) : column + int(0.12 * height) + 1] = np.inf
        parts.append(cut_at(segment, [column]))
    return [two for two in parts if len(two) == 2]


def _may_be_one(one: Segment, other: Segment, usual: float) -> bool:
    """Return whether two segments may be strokes of one digit: close, and not wider than a digit together."""
    if one.line != other.line or one.column != other.column or (one.cut and other.cut):
        return False
    boxes = np.array([one.box, other.box])
    width, height = (boxes[:, 2:].max(axis=0) - boxes[:, :2].min(axis=0)).tolist()
    if width > _NARROW * height or height > 1.5 * usual:
        return False
    return bool(_gap(one, other) <= _CLOSE * height)


def _gap(one: Segment, other: Segment) -> float:
    """Return the smallest distance from the right edge of one segment to the left edge of the other, in pixels."""
    rows, other_rows = np.flatnonzero(one.mask.any(axis=1)), np.flatnonzero(other.mask.any(axis=1))
    right = one.box[2] - 1 - one.mask[rows, ::-1].argmax(axis=1)  # the last pixel of each row
    left = other.box[0] + other.mask[other_rows].argmax(axis=1)
    across = np.maximum(left - right[:, None] - 1, 0)
    down = np.maximum(np.abs((other.box[1] + other_rows) - (one.box[1] + rows)[:, None]) - 1, 0)
    return float(np.hypot(across, down).min())


def _overlap(one: Segment, other: Segment) -> bool:
    """Return whether two segments overlap like the strokes of a 4: side by side at some height, one lower."""
    width = max(one.box[2], other.box[2]) - min(one.box[0], other.box[0])
    height = max(one.box[3], other.box[3]) - min(one.box[1], other.box[1])
    if other.box[3] - one.box[3] < 0.15 * height:
        return False
    return one.box[2] > other.box[0] and width < 0.7 * height
