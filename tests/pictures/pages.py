"""Pages of digits with known places: lines, ruled and squared paper, tables."""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from cnncli.data.synthetic.draw import DEFAULT_STYLE, draw_digits

PAPER, INK = 235, 25

ONE_PEN = replace(DEFAULT_STYLE, grain=0.0, coarse=0.0, pens=((1.0, 1.3, 0.22),))
"""A ball pen without gaps: these pages are about where the ink is."""


@dataclass
class Sheet:
    """A page, and what is written on it.

    Attributes:
        ink: 0 for paper to 1 for ink, (H, W).
        written: the same without rules.
        boxes: left, top, right and bottom of each digit, (N, 4), in the order of writing.
        lines: the line of each digit, (N,).
    """

    ink: np.ndarray
    written: np.ndarray
    boxes: np.ndarray
    lines: np.ndarray

    def picture(self, angle: float = 0) -> Image.Image:
        """Return the page as a picture, rotated by an angle in degrees."""
        grey = np.rint(PAPER + (INK - PAPER) * self.ink).astype(np.uint8)
        page = Image.fromarray(grey)
        return page.rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor=PAPER) if angle else page

    def rule(self, rows=(), columns=(), thickness=1, darkness=1.0, box=None) -> "Sheet":
        """Draw rules at rows and columns, within a box (left, top, right, bottom)."""
        left, top, right, bottom = box or (0, 0, self.ink.shape[1], self.ink.shape[0])
        for row in rows:
            part = self.ink[row : row + thickness, left:right]
            np.maximum(part, darkness, out=part)
        for column in columns:
            part = self.ink[top:bottom, column : column + thickness]
            np.maximum(part, darkness, out=part)
        return self


def write(places, size, shape, seed=0, strength=1.0) -> Sheet:
    """Write a digit at each place.

    Args:
        places: (line, center x, center y) of each digit.
        size: height of the digits, in pixels.
        shape: height and width of the page.
        seed: for the digits.
        strength: of the pen, up to 1.
    """
    rng = np.random.default_rng(seed)
    images = draw_digits(rng.integers(0, 10, len(places)), rng, ONE_PEN)
    ink = np.zeros(shape)
    boxes = []
    for (_, x, y), image in zip(places, images, strict=True):
        rows, columns = np.flatnonzero((image > 40).any(axis=1)), np.flatnonzero((image > 40).any(axis=0))
        cut = Image.fromarray(image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
        wide, high = (max(2, round(side * size / 20)) for side in cut.size)
        digit = np.asarray(cut.resize((wide, high), Image.Resampling.BICUBIC)) / 255 * strength
        left, top = round(x - wide / 2), round(y - high / 2)
        part = ink[top : top + high, left : left + wide]
        np.maximum(part, digit, out=part)
        boxes.append((left, top, left + wide, top + high))
    return Sheet(ink, ink.copy(), np.array(boxes), np.array([line for line, _, _ in places]))


def lines_of_digits(count, lines, size, seed=0) -> Sheet:
    """Write lines of digits, close to each other, with some room at the edges."""
    pitch, leading = 1.2 * size, 1.6 * size
    rng = np.random.default_rng(seed + 1)
    places = [
        (line, (1.2 + n) * pitch, (1.2 + line) * leading + rng.uniform(-0.06, 0.06) * size)
        for line in range(lines)
        for n in range(count)
    ]
    return write(places, size, (round((lines + 1.4) * leading), round((count + 1.4) * pitch)), seed)


def table(rows, columns, size=50, cell=(90, 100), filled=None, strength=1.0, thickness=3, seed=0) -> Sheet:
    """Write a digit into each filled cell of a ruled table; the cells are given as (height, width)."""
    height, width = cell
    margin = 60
    filled = np.ones((rows, columns), bool) if filled is None else filled
    places = [
        (row, margin + (column + 0.5) * width, margin + (row + 0.5) * height)
        for row, column in zip(*np.nonzero(filled), strict=True)
    ]
    sheet = write(places, size, (rows * height + 2 * margin, columns * width + 2 * margin), seed, strength)
    box = (margin, margin, margin + columns * width + thickness, margin + rows * height + thickness)
    levels = [margin + row * height for row in range(rows + 1)]
    uprights = [margin + column * width for column in range(columns + 1)]
    return sheet.rule(levels, uprights, thickness, box=box)


def lost_ink(sheet: Sheet, digits) -> float:
    """Return the share of what is written that is outside of the boxes of all digits."""
    outside = sheet.written.copy()
    for digit in digits:
        left, top, right, bottom = digit.box
        outside[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1] = 0
    return outside.sum() / sheet.written.sum()
