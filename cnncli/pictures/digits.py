"""Turns a picture into images of 28x28 pixels, one per digit, in the form of MNIST."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from PIL import Image

from cnncli.errors import PictureError
from cnncli.pictures.alternatives import Alternative, find_alternatives
from cnncli.pictures.erase_rules import find_darker, remove_rules
from cnncli.pictures.forms import even_cells, read_form
from cnncli.pictures.ink import Ink, Invert, find_ink
from cnncli.pictures.layout import Table, find_layout
from cnncli.pictures.place import SIZE, center_by_mass, scale_to_box
from cnncli.pictures.read import Page, PictureFile
from cnncli.pictures.segment import Segment, find_segments, stroke_width
from cnncli.types import ByteArray, FloatArray, IntArray

_CELL = 64  # pixels: the height or width of the cells of a table is at least this in the working copy
_SMALL = 40  # pixels of a halved picture; lower digits are read in a picture of full size
_BLANK_HINT = "write one digit or more, large and with room around; `raw=True` takes a picture as it is"


class NothingToRead(PictureError):
    """A picture without any digit in it: it is blank, or no ink in it could be a digit."""


@dataclass(frozen=True)
class Digit:
    """One digit of a picture, ready for a network.

    Args:
        pixels: (28, 28), uint8, bright on black.
        box: left, top, right and bottom in the picture, in pixels; right and bottom are exclusive.
        line: the line of digits to which it belongs, from 0 at the top; in a table, its row.
        column: its column in a table, from 0; None outside of tables.
        cut: whether it was cut from ink that holds more digits.
    """

    pixels: ByteArray
    box: tuple[int, int, int, int]
    line: int = 0
    column: int | None = None
    cut: bool = False


@dataclass(frozen=True)
class Preprocessed:
    """The digits of a picture.

    Args:
        digits: line by line, each line from left to right.
        warnings: sentences about possible mistakes.
        table: number of rows and columns if the digits are in the cells of a table.
        alternatives: other ways to read the same ink, for a network to choose from.
    """

    digits: tuple[Digit, ...]
    warnings: tuple[str, ...] = ()
    table: tuple[int, int] | None = None
    alternatives: tuple[Alternative[Digit], ...] = ()


def find_digits(picture: Image.Image, invert: Invert = "auto") -> Preprocessed:
    """Find the digits of a picture and convert each to the form of MNIST.

    A picture of 28x28 pixels that is in this form already is not changed.

    Args:
        picture: a picture from `read_picture`.
        invert: "yes" for dark digits on light paper, "no" for bright digits on black, "auto" to find out.

    Raises:
        NothingToRead: there are no digits in the picture.

    Example:
        >>> from cnncli.pictures.read import read_picture
        >>> [digit.box for digit in find_digits(read_picture("digit.png")).digits]
        [(100, 53, 209, 243)]
    """
    unchanged = _in_mnist_form(picture, invert)
    if unchanged is not None:
        return Preprocessed((unchanged,))
    found = _find_segments(picture, invert)
    ink, segments, notes = found.ink, found.segments, list(found.warnings)
    if not segments:
        raise NothingToRead(
            "there is nothing to read in the picture: no ink that could be a digit", _BLANK_HINT
        )
    others = [] if found.single else find_alternatives(segments)
    converted = iter(_convert([*segments, *(part for other in others for part in other.parts)], ink))
    digits = list(islice(converted, len(segments)))
    alternatives = [
        Alternative(other.first, other.count, tuple(islice(converted, len(other.parts))), other.overlap)
        for other in others
    ]
    if ink.contrast < 0.15:
        notes.append("the ink is faint: more light or a darker pen would help")
    if min(digit.box[3] - digit.box[1] for digit in digits) < 12:
        notes.append("a digit is less than 12 pixels high: a larger picture would help")
    return Preprocessed(tuple(digits), tuple(notes), found.table, tuple(alternatives))


def find_digits_on(
    file: PictureFile, number: int, page: Page, invert: Invert = "auto"
) -> tuple[Page, Preprocessed]:
    """Find the digits on a page that was decoded quickly, again in full if they are small or none is found.

    Args:
        file: of the page.
        number: of the page, from 0.
        page: as `file.read(number, quick=True)` returns it.
        invert: as for `find_digits`.

    Returns:
        The page that was read in the end, and its digits; their boxes are in pixels of the file.

    Raises:
        NothingToRead: there are no digits on the page.
    """
    found = None
    try:
        found = find_digits(page.picture, invert)
    except NothingToRead:
        if page.scale == 1:
            raise
    if page.scale > 1 and (found is None or _usual_height(found.digits) < _SMALL):
        page = file.read(number)
        found = find_digits(page.picture, invert)
    assert found is not None
    return page, _in_pixels_of_file(found, page.scale)


def _usual_height(digits: Sequence[Digit]) -> float:
    return float(np.median([digit.box[3] - digit.box[1] for digit in digits]))


def _in_pixels_of_file(found: Preprocessed, scale: int) -> Preprocessed:
    if scale == 1:
        return found

    def scaled(digit: Digit) -> Digit:
        left, top, right, bottom = (scale * edge for edge in digit.box)
        return replace(digit, box=(left, top, right, bottom))

    alternatives = (replace(other, parts=tuple(map(scaled, other.parts))) for other in found.alternatives)
    return replace(found, digits=tuple(map(scaled, found.digits)), alternatives=tuple(alternatives))


@dataclass(frozen=True)
class _Found:
    """The digits of a picture as ink.

    Args:
        ink: in a working copy of the picture.
        segments: the ink of each digit in this copy.
        warnings: sentences about possible mistakes.
        table: number of rows and columns, or None.
        single: whether each cell of the table has one digit.
    """

    ink: Ink
    segments: Sequence[Segment]
    warnings: Sequence[str] = ()
    table: tuple[int, int] | None = None
    single: bool = False


def _find_segments(picture: Image.Image, invert: Invert) -> _Found:
    """Find the ink of each digit: in the cells of a table, or in lines."""
    ink = find_ink(picture, invert)
    if ink is None:
        raise NothingToRead("there is nothing to read in the picture: it is blank", _BLANK_HINT)
    smallest = max(8.0, 5 / ink.scale)
    layout = find_layout(ink, _thickest(ink))
    if layout.tables:
        fine = _fine_copy(picture, invert, ink, layout.tables[0])
        even = even_cells(fine, layout.tables[0], ink.scale / fine.scale)
        finer = layout.in_copy(even.mask, ink.scale / fine.scale)
        form = read_form(remove_rules(even.mask, finer.rules), finer.tables[0], smallest)
        if form is not None:
            if not form.segments:
                rows, columns = form.shape
                raise NothingToRead(f"all {rows * columns} cells of the table are empty", _BLANK_HINT)
            notes = ["there is writing outside of the table, which is not read"] if form.outside else []
            return _Found(even, form.segments, notes, form.shape, form.single)
    bare = remove_rules(ink.mask, layout.rules, find_darker(ink.darkness, ink.mask, layout.rules))
    segments, notes = find_segments(bare, smallest, ink.darkness > 0.5)
    return _Found(ink, segments, notes)


def _thickest(ink: Ink) -> int:
    """Return how thick a rule may be, in pixels of the working copy."""
    longest = max(ink.mask.shape)
    pen = min(1.3 * stroke_width(ink.mask), 0.03 * longest)
    thickest: int = round(max(3.0, 0.01 * longest, 2.5 / ink.scale, pen))
    return thickest


def _fine_copy(picture: Image.Image, invert: Invert, ink: Ink, table: Table) -> Ink:
    """Return the ink in a larger copy if the cells of a table are small and the picture has more pixels."""
    factor = min(_CELL / min(table.cell_size), ink.scale)
    if factor < 1.1:
        return ink
    return find_ink(picture, invert, round(factor * max(ink.mask.shape))) or ink


def _in_mnist_form(picture: Image.Image, invert: Invert) -> Digit | None:
    """Return the digit of a picture that is in the form of MNIST already, or None."""
    if picture.size != (SIZE, SIZE):
        return None
    pixels = np.asarray(picture.convert("L"))
    dark_ink = invert == "yes" or (invert == "auto" and np.median(pixels[[0, -1]]) > 127)
    pixels = 255 - pixels if dark_ink else pixels
    if not is_in_mnist_form(pixels):
        return None
    rows, columns = _extent(pixels)
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return Digit(pixels, box)


def is_in_mnist_form(pixels: ByteArray) -> bool:
    """Return whether an image looks as those of MNIST: bright on black, 20 pixels high or wide, centered by mass.

    True for every test image of MNIST. A few digits touch the border, because their mass is far from their middle.

    Args:
        pixels: (28, 28), uint8.
    """
    ring = np.concatenate([pixels[[0, -1]].ravel(), pixels[:, [0, -1]].ravel()])
    if (ring > 16).mean() > 0.12 or pixels.max() < 160:
        return False
    rows, columns = _extent(pixels)
    if not 17 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 22:
        return False
    weights = pixels.astype(np.int64)
    center = np.array([weights.sum(axis=1) @ np.arange(SIZE), weights.sum(axis=0) @ np.arange(SIZE)])
    return bool(np.abs(center / weights.sum() - 14).max() <= 1)


def _extent(pixels: ByteArray) -> tuple[IntArray, IntArray]:
    """Return the rows and the columns that have ink."""
    ink = pixels > 16
    return np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))


def _convert(segments: Sequence[Segment], ink: Ink) -> list[Digit]:
    """Convert digits to the form of MNIST."""
    scaled = [scale_to_box(_strength(segment, ink), stroke_width(segment.mask)) for segment in segments]
    placed = center_by_mass(np.stack(scaled))  # (N, 28, 28)
    return [
        Digit(pixels, _box_in_picture(segment, ink), segment.line, segment.column, segment.cut)
        for pixels, segment in zip(placed, segments, strict=True)
    ]


def _strength(segment: Segment, ink: Ink) -> FloatArray:
    """Return the ink of one digit, 0 to 1, cut to its box (h, w)."""
    mask = segment.mask
    near = mask.copy()  # the gray edge of a stroke is one pixel outside of the mask
    near[1:] |= mask[:-1]
    near[:-1] |= mask[1:]
    near[:, 1:] |= mask[:, :-1]
    near[:, :-1] |= mask[:, 1:]
    strength: FloatArray = ink.strength(segment.box) * near
    return strength


def _box_in_picture(segment: Segment, ink: Ink) -> tuple[int, int, int, int]:
    """Convert the box of a segment to pixels of the original picture, rounded outwards."""
    left, top, right, bottom = segment.box
    return (
        int(ink.left + left * ink.scale),
        int(ink.top + top * ink.scale),
        math.ceil(ink.left + right * ink.scale),
        math.ceil(ink.top + bottom * ink.scale),
    )
