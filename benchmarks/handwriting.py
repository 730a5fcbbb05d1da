"""Writes digits of a data set onto a sheet, enlarged so that they look like ink."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from cnncli.data.dataset import Split
from cnncli.pictures.components import find_components
from cnncli.types import ByteArray

IMAGE_HEIGHT = 20
"""Height of a digit in the images of MNIST, in pixels."""

FAINT = 0.3
"""The part of the largest brightness from which on a pixel of an image is ink."""

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Pen:
    """What a stroke looks like.

    Args:
        colours: of which each picture has one.
        level: the part of the darkness in the middle of a stroke at which its edge is: the higher, the thinner.
        strength: lowest and highest part of the paper that the ink covers.
        grain: how much the ink varies along a stroke, from 0 to 1.
    """

    colours: tuple[Colour, ...]
    level: tuple[float, float]
    strength: tuple[float, float]
    grain: float


PENS = {
    "pencil": Pen(((70, 70, 74), (90, 90, 92)), (0.5, 0.62), (0.75, 0.95), 0.35),
    "ball pen": Pen(((28, 45, 140), (20, 30, 100), (35, 35, 42)), (0.55, 0.66), (0.85, 1.0), 0.12),
    "fine liner": Pen(((15, 15, 18), (10, 40, 120), (170, 25, 30)), (0.45, 0.58), (0.95, 1.0), 0.02),
    "felt pen": Pen(
        ((12, 12, 14), (20, 50, 150), (190, 30, 35), (20, 110, 60), (100, 40, 130)),
        (0.3, 0.45),
        (0.95, 1.0),
        0.05,
    ),
}


def enlarge(image: ByteArray, scale: float, level: float) -> np.ndarray:
    """Return a digit as ink with clear edges.

    The darkness is compared with that of the strokes nearby, so a faint stroke is as continuous as a dark one. A thin
    pen neither breaks a stroke nor opens a loop, and specks beside the digit are left out.

    Args:
        image: (28, 28), bright on black.
        scale: pixels of the result for each pixel of the image.
        level: see `Pen`.

    Returns:
        0 for paper to 1 for ink, cut to the digit, float32, (H, W).
    """
    bright = _without_specks(np.pad(image.astype(np.float32) / 255, 4))
    clear = _resize(bright / bright.max(), 3) > FAINT
    for axis in (0, 1):
        bright = 0.6 * bright + 0.2 * (np.roll(bright, 1, axis) + np.roll(bright, -1, axis))
    near = bright
    for axis in (0, 1):
        near = np.max([np.roll(near, shift, axis) for shift in (-2, -1, 0, 1, 2)], axis=0)
    share = bright / (np.maximum(near, 0.3 * bright.max()) * bright.max()) ** 0.5
    coarse, wanted = _resize(share, 3), _pieces(clear)
    fewest = np.inf
    for candidate in np.linspace(level, FAINT, 6):
        difference = np.abs(np.subtract(_pieces(coarse > candidate), wanted)).sum()
        if difference < fewest:
            fewest, level = difference, candidate
        if difference == 0:
            break
    ink = np.clip((_resize(share, scale) - level) * 2.5 * max(scale, 0.8) + 0.5, 0, 1)
    rows, columns = np.flatnonzero((ink > 0.1).any(axis=1)), np.flatnonzero((ink > 0.1).any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _resize(image: np.ndarray, scale: float) -> np.ndarray:
    """Return an image (H, W) enlarged smoothly."""
    side = round(image.shape[0] * scale)
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))


def _without_specks(bright: np.ndarray) -> np.ndarray:
    """Return the image without pieces that have less than 8 % of its ink."""
    parts = find_components(bright > FAINT * bright.max())
    alone = parts.mask(parts.areas < 0.08 * parts.areas.sum())
    around = alone
    for axis in (0, 1):
        around = around | np.roll(around, 1, axis) | np.roll(around, -1, axis)
    return np.where(around & ~parts.mask(parts.areas >= 0.08 * parts.areas.sum()), 0, bright)


def _pieces(mask: np.ndarray) -> tuple[int, int]:
    """Return the number of pieces of ink, and of paper: that around the digit, and one for each loop."""
    return len(find_components(mask)), len(find_components(~mask))


@dataclass
class Sheet:
    """Paper with ink and print, and what is written on it.

    Args:
        ink: 0 to 255, (H, W).
        printed: rules and boxes, 0 to 255, (H, W).
        pen: the color of the ink.
        lines: the digits of each line.
        cells: the digits of each cell of a form, row by row.
    """

    ink: ByteArray
    printed: ByteArray
    pen: Colour
    lines: list[str] = field(default_factory=list)
    cells: list[list[str]] | None = None


class Writer:
    """One hand with one pen, which writes digits of random images.

    Args:
        split: images of digits and their labels.
        rng: decides about everything.
        size: height of a digit in pixels.
        pen: a name of `PENS`; None for any.
    """

    def __init__(self, split: Split, rng: np.random.Generator, size: float, pen: str | None = None) -> None:
        self.split, self.rng, self.size = split, rng, size
        self.pen = PENS[pen or str(rng.choice(list(PENS)))]
        self.colour = self.pen.colours[rng.integers(len(self.pen.colours))]
        self.level = rng.uniform(*self.pen.level)
        self.strength = rng.uniform(*self.pen.strength)

    def digits(self, count: int) -> tuple[str, list[np.ndarray]]:
        """Return the labels of random digits, and their ink, float32 (H, W) each."""
        chosen = self.rng.integers(0, len(self.split), count)
        scales = self.size / IMAGE_HEIGHT * self.rng.uniform(0.92, 1.08, count)
        ink = [
            enlarge(self.split.images[n], scale, self.level) for n, scale in zip(chosen, scales, strict=True)
        ]
        return "".join(str(label) for label in self.split.labels[chosen]), ink

    def sheet(self, width: float, height: float) -> Sheet:
        """Return an empty sheet for this pen."""
        shape = (max(1, round(height)), max(1, round(width)))
        return Sheet(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8), self.colour)

    def put(self, sheet: Sheet, ink: np.ndarray, x: float, y: float) -> None:
        """Lay ink on the sheet with its center at a place, as far as it is on the sheet."""
        (height, width), (rows, columns) = ink.shape, sheet.ink.shape
        top, left = round(y - height / 2), round(x - width / 2)
        first, last = max(0, top), min(rows, top + height)
        start, stop = max(0, left), min(columns, left + width)
        if first >= last or start >= stop:
            return
        part = sheet.ink[first:last, start:stop]
        stroke = 255 * self.strength * ink[first - top : last - top, start - left : stop - left]
        np.maximum(part, np.rint(stroke).astype(np.uint8), out=part)

    def row(
        self,
        sheet: Sheet,
        x: float,
        y: float,
        count: int,
        right: float,
        gaps: tuple[float, float] = (0.15, 0.5),
    ) -> tuple[str, float]:
        """Write digits from left to right, at most up to a column.

        Args:
            sheet: to write on.
            x: where the first digit starts.
            y: the middle of the line.
            count: how many digits.
            right: no digit goes beyond it, except the first.
            gaps: least and largest distance of two digits, for a size of 1.

        Returns:
            what was written, and where it ends.
        """
        text, digits = self.digits(count)
        for n, ink in enumerate(digits):
            if n and x + ink.shape[1] > right:
                return text[:n], x
            drift = self.rng.uniform(-0.06, 0.06) * self.size
            self.put(sheet, ink, x + ink.shape[1] / 2, y + drift)
            x += ink.shape[1] + self.rng.uniform(*gaps) * self.size
        return text, x

    def stroke(self, sheet: Sheet, xs: np.ndarray, ys: np.ndarray, thickness: float) -> None:
        """Draw a line through points with this pen: xs and ys are (N,), less than half a thickness apart."""
        radius = thickness / 2
        reach = np.arange(-int(radius) - 2, int(radius) + 3)
        for x, y in zip(xs, ys, strict=True):
            column, row = round(float(x)), round(float(y))
            distance = np.hypot(reach[None, :] + column - x, reach[:, None] + row - y)
            self.put(sheet, np.clip(radius + 0.5 - distance, 0, 1), column, row)

    def finish(self, sheet: Sheet) -> Sheet:
        """Let the ink vary along its strokes, as this pen does."""
        if self.pen.grain:
            noise = self.rng.standard_normal((256, 256), np.float32)
            rows, columns = sheet.ink.shape
            # the grain of paper is much finer than a digit, however large the picture is
            scale = max(1.0, self.size / 80)
            rough = np.asarray(
                Image.fromarray(noise).resize((round(256 * scale),) * 2, Image.Resampling.BICUBIC)
            )
            tiles = (-(-rows // rough.shape[0]), -(-columns // rough.shape[1]))
            field = 1 - self.pen.grain * np.abs(np.tile(rough, tiles)[:rows, :columns])
            sheet.ink = np.rint(sheet.ink * np.clip(field, 0.25, 1)).astype(np.uint8)
        return sheet
