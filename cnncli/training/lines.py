"""Joins the digits that were read in a picture into lines of text or a table, and says which are uncertain."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Any

import numpy as np

from cnncli.types import ByteArray

Box = tuple[int, int, int, int]

UNSURE = 0.5
"""Below this probability the only prediction of a picture counts as unsure."""

UNSURE_OF_SEVERAL = 0.8
"""Below this probability one of several predictions counts as unsure."""

MANY = 3
MOSTLY = 0.6
"""If this share of at least MANY pieces of a picture belong to no class, none does."""

DOUBTFUL = 0.4
"""What has this part of the evidence that is asked for is doubtful rather than unknown."""

EDGE = 0.01
"""What is nearer to the edge than this part of the longer side of a picture is at its edge."""

MAX_NAMED = 5
"""How many digits a warning names."""

EMPTY = "."
"""What stands for an empty cell of a table."""

UNKNOWN = "?"
"""What stands for something that belongs to no class."""

LIKE_NONE = "this is like none of the classes"
"""The warning about a picture of one thing that belongs to no class."""

WIDE = 1.2
"""A box wider than its height by this factor may hold two digits; 3.5 % of the digits of MNIST are as wide."""

WIDE_BESIDE_OTHERS = 1.5
"""So is one that is wider than high, and wider than the middle one of its picture by this factor."""

_NARROW = 0.35  # of the height; a 1 is set as wide as other digits, with room on both sides


@dataclass(frozen=True)
class DigitPrediction:
    """One digit in a picture.

    Attributes:
        label: the name of the most probable class.
        probability: its probability.
        box: its bounding box in the picture: left, top, right, bottom in pixels.
        top: the most probable classes with their probabilities, most probable first.
        pixels: the image that the network saw, (H, W) or (H, W, C), uint8.
        line: the line of the picture that it is on, from 0 at the top.
        row, column: its cell in a table, from 1; None outside of tables.
        unknown: whether it belongs to no class; then the label is what the network would have said.
        doubtful: whether it is unknown only just, so that what is beside it decides.
    """

    label: str
    probability: float
    box: Box
    top: tuple[tuple[str, float], ...]
    pixels: ByteArray
    line: int = 0
    row: int | None = None
    column: int | None = None
    unknown: bool = False
    doubtful: bool = False

    @property
    def shown(self) -> str:
        """What stands for it in a text: the label, or "?"."""
        return UNKNOWN if self.unknown else self.label

    def __repr__(self) -> str:
        unknown = ", unknown" if self.unknown else ""
        return f"DigitPrediction({self.label!r}, {100 * self.probability:.1f} %{unknown}, box {self.box})"

    def to_json(self) -> dict[str, Any]:
        """Return the entry of `cnn predict --json`."""
        return {
            "class": self.label,
            "probability": self.probability,
            "unknown": self.unknown,
            "box": list(self.box),
            "top": [list(entry) for entry in self.top],
            **({} if self.row is None else {"row": self.row, "column": self.column}),
        }


def leave_out_at_edge(
    digits: Sequence[DigitPrediction], size: tuple[int, int]
) -> tuple[list[DigitPrediction], int]:
    """Return the predictions without what is unknown at the edge of a picture that has something known, and how many.

    A photo of a sheet often shows a piece of the table, a hand or a pattern at its edge.

    Args:
        digits: of the picture.
        size: its width and height.
    """
    width, height = size
    near = EDGE * max(size)

    def stays(digit: DigitPrediction) -> bool:
        left, top, right, bottom = digit.box
        return not digit.unknown or min(left, top, width - right, height - bottom) > near

    if all(digit.unknown for digit in digits):
        return list(digits), 0
    kept = [digit for digit in digits if stays(digit)]
    return kept, len(digits) - len(kept)


def flag_all_or_some(digits: Sequence[DigitPrediction]) -> list[DigitPrediction]:
    """Return the predictions with those that their neighbors decide.

    If most of at least MANY are unknown, all are: a photograph falls into many pieces of which a few look like a 1. If
    most are known, a doubtful one is known too: in a number, a badly written digit is more likely than a letter.
    """
    strange = sum(digit.unknown for digit in digits)
    if len(digits) >= MANY and len(digits) - strange >= MOSTLY * len(digits):
        return [replace(digit, unknown=digit.unknown and not digit.doubtful) for digit in digits]
    if len(digits) >= MANY and strange >= MOSTLY * len(digits):
        return [replace(digit, unknown=True) for digit in digits]
    return list(digits)


def text_of(digits: Sequence[DigitPrediction]) -> str:
    """Return the labels line by line, without gaps; labels of more than one letter are separated by spaces."""
    gap = "" if all(len(digit.label) == 1 for digit in digits) else " "
    return "\n".join(gap.join(digit.shown for digit in line) for line in lines_of(digits))


def spaced_text_of(digits: Sequence[DigitPrediction]) -> str:
    """Return the text with a space where a line has a gap between two groups of digits."""
    if any(len(digit.label) != 1 for digit in digits):
        return text_of(digits)
    return "\n".join(_spaced(line) for line in lines_of(digits))


def cells_of(digits: Sequence[DigitPrediction], shape: tuple[int, int]) -> list[list[str]]:
    """Return the labels in each cell of a table, row by row; "" for an empty cell.

    Args:
        digits: those of the table, from left to right in each cell.
        shape: number of rows and columns.
    """
    rows, columns = shape
    cells = [[""] * columns for _ in range(rows)]
    for digit in digits:
        if digit.row is not None and digit.column is not None:
            cells[digit.row - 1][digit.column - 1] += digit.shown
    return cells


def table_text_of(digits: Sequence[DigitPrediction], shape: tuple[int, int]) -> str:
    """Return a table row by row, with a space between cells and "." for an empty one, its columns aligned."""
    cells = cells_of(digits, shape)
    widths = [max(1, *map(len, column)) for column in zip(*cells, strict=True)]
    lines = (
        " ".join(f"{cell or EMPTY:>{width}}" for cell, width in zip(row, widths, strict=True))
        for row in cells
    )
    return "\n".join(lines)


def lines_of(digits: Sequence[DigitPrediction]) -> list[list[DigitPrediction]]:
    """Return the digits of each line, from top to bottom."""
    return [list(line) for _, line in groupby(digits, key=lambda digit: digit.line)]


def doubts_about(digits: Sequence[DigitPrediction], *, whole: bool) -> Iterator[str]:
    """Yield warnings: which predictions are unsure, and which may be of two digits.

    Args:
        digits: all that was read in one picture.
        whole: whether the picture was read as a whole, so that its shape says nothing.
    """
    strange = [number for number, digit in enumerate(digits, start=1) if digit.unknown]
    if strange and len(digits) == 1:
        yield LIKE_NONE
    elif strange:
        places = [_place(number, digits[number - 1]) for number in strange]
        listed = ", ".join(places[:MAX_NAMED]) + (", ..." if len(places) > MAX_NAMED else "")
        verb = "is" if len(strange) == 1 else "are"
        yield f"{len(strange)} of the {len(digits)} {verb} like none of the classes: {listed}"
    elif len(digits) == 1 and digits[0].probability < UNSURE:
        likely = ", ".join(f"{label} {100 * p:.0f} %" for label, p in digits[0].top[:3])
        yield f"unsure what this is ({likely})"
    numbered = list(enumerate(digits, start=1))
    unsure = [
        (number, digit)
        for number, digit in numbered
        if digit.probability < UNSURE_OF_SEVERAL and not digit.unknown
    ]
    if unsure and len(digits) > 1:
        worst = sorted(unsure, key=lambda each: each[1].probability)[:MAX_NAMED]
        listed = "; ".join(f"{_place(number, digit)}: {best_two(digit)}" for number, digit in sorted(worst))
        more = "; ..." if len(unsure) > MAX_NAMED else ""
        yield f"unsure of {len(unsure)} of the {len(digits)}: {listed}{more}"
    if not whole:
        usual = float(np.median([digit.box[2] - digit.box[0] for digit in digits]))
        wide = [
            "this" if len(digits) == 1 else _place(number, digit)
            for number, digit in numbered
            if _is_wide(digit.box, usual) and not digit.unknown
        ]
        yield from (f"{named} may be two digits that touch" for named in wide[:MAX_NAMED])
        if len(wide) > MAX_NAMED:
            yield f"so may {len(wide) - MAX_NAMED} others"


def _place(number: int, digit: DigitPrediction) -> str:
    """Return what a warning calls a digit."""
    return f"no. {number}" if digit.row is None else f"row {digit.row} column {digit.column}"


def _is_wide(box: Box, usual: float) -> bool:
    """Return whether a box may hold two digits that touch; `usual` is the usual width of a digit."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    return width > WIDE * height or width > max(height, WIDE_BESIDE_OTHERS * usual)


def best_two(digit: DigitPrediction) -> str:
    """Return the prediction and the runner-up: "7 58 %, 1 41 %"."""
    return ", ".join(f"{label} {100 * p:.0f} %" for label, p in digit.top[:2])


def _spaced(line: Sequence[DigitPrediction]) -> str:
    """Return the labels of one line, with a space at each gap that is clearly larger than the usual one."""
    height = float(np.median([digit.box[3] - digit.box[1] for digit in line]))
    margins = [max(0, _NARROW * height - (digit.box[2] - digit.box[0])) / 2 for digit in line]
    gaps = [
        right.box[0] - left.box[2] - before - after
        for (left, right), (before, after) in zip(pairwise(line), pairwise(margins), strict=True)
    ]
    if not gaps:
        return line[0].shown
    usual = sorted(gaps)[(len(gaps) - 1) // 3]
    wide = [gap > usual + 0.45 * height and gap > 1.6 * usual for gap in gaps]
    return line[0].shown + "".join(
        f" {digit.shown}" if is_wide else digit.shown for digit, is_wide in zip(line[1:], wide, strict=True)
    )
