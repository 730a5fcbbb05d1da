"""Writes digits onto sheets: one digit, numbers, ruled and squared paper, boxes, circles, underlines, pages, forms."""

from __future__ import annotations

import numpy as np
from handwriting import Sheet, Writer

from cnncli.data.dataset import Split
from cnncli.types import ByteArray

PHOTO_PIXELS = (0.3e6, 0.8e6, 1.2e6, 2e6, 3.1e6, 5e6, 12e6)
"""Sizes of photos, from a web camera to a phone; the large ones are drawn more rarely, as they take seconds."""

PHOTO_SHARES = (0.14, 0.2, 0.2, 0.2, 0.14, 0.08, 0.04)


class Scene:
    """What the functions that draw a kind have: digits, chance, and a largest number of pixels."""

    def __init__(self, split: Split, rng: np.random.Generator, largest: float) -> None:
        self.split, self.rng, self.largest = split, rng, largest

    def area(self) -> tuple[float, float]:
        """Return width and height of a photo, upright or across."""
        pixels = min(self.largest, float(self.rng.choice(PHOTO_PIXELS, p=PHOTO_SHARES)))
        ratio = float(self.rng.choice([4 / 3, 3 / 4, 16 / 9]))
        return (pixels * ratio) ** 0.5, (pixels / ratio) ** 0.5

    def writer(self, size: float, pen: str | None = None) -> Writer:
        return Writer(self.split, self.rng, size, pen)

    def between(self, low: float, high: float) -> float:
        """Return a random number; all factors are equally probable."""
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))


def one_digit(scene: Scene, width: float, height: float) -> tuple[Sheet, float]:
    """Write a digit anywhere on a sheet; return the sheet and the height of the digit."""
    short = min(width, height)
    writer = scene.writer(max(22, short * scene.between(0.12, 0.62)))
    sheet = writer.sheet(width, height)
    text, (ink,) = writer.digits(1)
    margin = 0.13
    places = [
        scene.rng.uniform(margin * side + extent / 2, (1 - margin) * side - extent / 2)
        if (1 - 2 * margin) * side > extent
        else side / 2
        for side, extent in zip((width, height), ink.shape[::-1], strict=True)
    ]
    writer.put(sheet, ink, *places)
    sheet.lines.append(text)
    return writer.finish(sheet), writer.size


def number(scene: Scene, width: float, height: float) -> tuple[Sheet, float]:
    """Write a number of 2 to 10 digits on a sheet."""
    count = int(scene.rng.integers(2, 11))
    size = min(0.78 * width / (1.15 * count), 0.6 * height) * scene.between(0.45, 0.95)
    writer = scene.writer(max(22, size))
    sheet = writer.sheet(width, height)
    x = scene.rng.uniform(0.11, 0.2) * width
    y = scene.rng.uniform(0.3, 0.7) * height
    text, _ = writer.row(sheet, x, y, count, 0.9 * width)
    sheet.lines.append(text)
    return writer.finish(sheet), writer.size


def on_ruled_paper(scene: Scene, width: float, height: float) -> tuple[Sheet, float]:
    """Write one to six lines of digits on ruled paper, on every line or every second one."""
    lines = int(scene.rng.integers(1, 7))
    pitch = height / (lines + scene.rng.uniform(1.5, 5))
    writer = scene.writer(max(22, pitch * scene.rng.uniform(0.5, 0.8)))
    sheet = writer.sheet(width, height)
    thickness = max(1, round(writer.size * scene.rng.uniform(0.02, 0.05)))
    first = scene.rng.uniform(0.6, 1.2) * pitch
    for rule in np.arange(first, height - 2, pitch):
        sheet.printed[round(rule) : round(rule) + thickness] = 255
    if scene.rng.random() < 0.4:
        left = round(0.1 * width)
        sheet.printed[:, left : left + thickness] = 255
    for line in range(lines):
        # the foot of a digit is about on the rule below it
        base = first + (line + 1) * pitch - writer.size * scene.rng.uniform(0.48, 0.62)
        count = int(scene.rng.integers(2, 12))
        x = scene.rng.uniform(0.12, 0.3) * width
        text, _ = writer.row(sheet, x, base, count, 0.9 * width, (0.2, 0.6))
        sheet.lines.append(text)
    return writer.finish(sheet), writer.size


def on_squared_paper(scene: Scene, width: float, height: float) -> tuple[Sheet, float]:
    """Write one to five lines of digits on squared paper, without regard to the squares."""
    lines = int(scene.rng.integers(1, 6))
    leading = 0.8 * height / lines
    size = max(22, min(0.45 * leading, width / 8, height / 4) * scene.rng.uniform(0.6, 1))
    writer = scene.writer(size)
    sheet = writer.sheet(width, height)
    square = size * scene.rng.uniform(0.6, 1.3)
    thickness = max(1, round(square * scene.rng.uniform(0.02, 0.05)))
    for column in np.arange(scene.rng.uniform(0, square), width, square):
        sheet.printed[:, round(column) : round(column) + thickness] = 255
    for row in np.arange(scene.rng.uniform(0, square), height, square):
        sheet.printed[round(row) : round(row) + thickness] = 255
    for line in range(lines):
        y = 0.1 * height + (line + 0.5) * leading
        x = scene.rng.uniform(0.11, 0.25) * width
        text, _ = writer.row(sheet, x, y, int(scene.rng.integers(2, 9)), 0.9 * width, (0.25, 0.6))
        sheet.lines.append(text)
    return writer.finish(sheet), writer.size


def in_boxes(scene: Scene, width: float, height: float) -> tuple[Sheet, float]:
    """Write a digit into each printed box of a row, as for a postal code; boxes touch or stand apart."""
    count = int(scene.rng.integers(1, 9))
    side = min(0.7 * width / count, 0.5 * height) * scene.rng.uniform(0.6, 0.95)
    gap = 0 if scene.rng.random() < 0.4 else side * scene.rng.uniform(0.1, 0.3)
    tall = side * scene.rng.uniform(1, 1.3)
    writer = scene.writer(side * scene.rng.uniform(0.55, 0.72))
    sheet = writer.sheet(width, height)
    thickness = max(1, round(side * scene.rng.uniform(0.015, 0.05)))
    left, y = (width - count * (side + gap)) / 2, height * scene.rng.uniform(0.4, 0.6)
    text, digits = writer.digits(count)
    for n, ink in enumerate(digits):
        x = left + n * (side + gap) + side / 2
        _frame(sheet.printed, x - side / 2, y - tall / 2, x + side / 2, y + tall / 2, thickness)
        aside, down = scene.rng.uniform(-0.08, 0.08, 2) * side
        writer.put(sheet, ink, x + aside, y + down)
    sheet.lines.append(text)
    return writer.finish(sheet), writer.size


def in_circles(scene: Scene, width: float, height: float) -> tuple[Sheet, float]:
    """Write one to four digits, each with a circle drawn round it."""
    count = int(scene.rng.integers(1, 5))
    radius = min(0.33 * width / count, 0.3 * height) * scene.rng.uniform(0.6, 0.95)
    writer = scene.writer(radius)
    sheet = writer.sheet(width, height)
    text, digits = writer.digits(count)
    y = height * scene.rng.uniform(0.42, 0.58)
    for n, ink in enumerate(digits):
        x = width * (0.12 + 0.76 * (n + 0.5) / count)
        writer.put(sheet, ink, x, y + scene.rng.uniform(-0.1, 0.1) * radius)
        # a hand starts anywhere and ends a little inside or outside of where it began
        turns = np.linspace(0, 2.05 * np.pi, 400) + scene.rng.uniform(0, 6)
        wave = 1 + 0.03 * np.sin(2 * turns + scene.rng.uniform(0, 6)) + np.linspace(-0.02, 0.02, len(turns))
        flat = scene.rng.uniform(0.95, 1.15)
        writer.stroke(
            sheet,
            x + radius * wave * np.cos(turns) * flat,
            y + radius * wave * np.sin(turns),
            max(1.5, 0.07 * radius),
        )
    sheet.lines.append(text)
    return writer.finish(sheet), writer.size


def underlined(scene: Scene, width: float, height: float) -> tuple[Sheet, float]:
    """Write a number with one or two lines under it, drawn by hand."""
    count = int(scene.rng.integers(2, 9))
    writer = scene.writer(max(22, min(0.7 * width / (1.1 * count), 0.4 * height) * scene.rng.uniform(0.6, 1)))
    sheet = writer.sheet(width, height)
    start, y = scene.rng.uniform(0.12, 0.2) * width, scene.rng.uniform(0.35, 0.6) * height
    text, end = writer.row(sheet, start, y, count, 0.88 * width)
    for line in range(int(scene.rng.integers(1, 3))):
        thickness = max(1.5, 0.07 * writer.size)
        xs = np.arange(start - scene.rng.uniform(0, 0.3) * writer.size, end, thickness / 5)
        slope, bend = scene.rng.uniform(-0.02, 0.02), scene.rng.uniform(0, 0.02) * writer.size
        ys = y + (0.72 + scene.rng.uniform(0, 0.12) + 0.22 * line) * writer.size
        ys = ys + slope * (xs - start) + bend * np.sin((xs - start) / (1.5 * writer.size))
        writer.stroke(sheet, xs, ys, thickness)
    sheet.lines.append(text)
    return writer.finish(sheet), writer.size


def page(scene: Scene) -> tuple[Sheet, float]:
    """Write 10 to 30 lines of 5 to 30 digits on a sheet of A4, some with gaps between groups."""
    width = min(scene.between(1240, 2480), (scene.largest / 1.41) ** 0.5)
    height = 1.41 * width
    lines = int(scene.rng.integers(10, 31))
    leading = 0.84 * height / lines
    size = max(20, min(leading / 1.45, width / 20) * scene.rng.uniform(0.75, 1))
    writer = scene.writer(size)
    sheet = writer.sheet(width, height)
    longest = int(scene.rng.integers(8, 31))
    gaps = (0.12, scene.rng.uniform(0.35, 0.6))
    for line in range(lines):
        x, y = scene.rng.uniform(0.09, 0.12) * width, 0.08 * height + (line + 0.5) * leading
        left, text = int(scene.rng.integers(5, longest + 1)), ""
        group = left if scene.rng.random() < 0.6 else int(scene.rng.integers(2, 6))
        while left and x + size < 0.91 * width:
            written, x = writer.row(sheet, x, y, min(group, left), 0.91 * width, gaps)
            text, left, x = text + written, left - len(written), x + 0.8 * size
        sheet.lines.append(text)
    return writer.finish(sheet), size


def form(scene: Scene, longest: int) -> tuple[Sheet, float]:
    """Write into a table of 3 to 24 rows and 2 to 16 columns of ruled cells; some are empty.

    Args:
        scene: digits and chance.
        longest: how many digits a cell has at most.
    """
    rows = int(scene.rng.integers(3, 25))
    columns = int(scene.rng.integers(3, 17 if longest == 1 else 8))
    tall = scene.between(44, 110)
    wide = tall * (scene.rng.uniform(0.9, 1.5) if longest == 1 else scene.rng.uniform(0.75, 0.95) * longest)
    shrink = min(1.0, (scene.largest / (1.4 * rows * tall * columns * wide)) ** 0.5)
    tall, wide = tall * shrink, wide * shrink
    writer = scene.writer(tall * scene.rng.uniform(0.5, 0.68))
    left, top = scene.rng.uniform(0.6, 2, 2) * tall
    right, bottom = left + columns * wide, top + rows * tall
    sheet = writer.sheet(right + left, bottom + top)
    thickness = max(1, round(tall * scene.rng.uniform(0.02, 0.04)))
    for n in range(rows + 1):
        y = round(top + n * tall)
        sheet.printed[y : y + thickness, round(left) : round(right) + thickness] = 255
    for n in range(columns + 1):
        x = round(left + n * wide)
        sheet.printed[round(top) : round(bottom) + thickness, x : x + thickness] = 255
    empty = scene.rng.uniform(0, 0.3)
    sheet.cells = []
    for row in range(rows):
        cells = []
        for column in range(columns):
            cells.append("")
            if scene.rng.random() >= empty:
                count = int(scene.rng.integers(1, longest + 1))
                x = left + (column + 0.12) * wide
                if longest == 1:
                    x += scene.rng.uniform(0, max(0, 0.76 * wide - writer.size))
                y = top + (row + 0.5 + scene.rng.uniform(-0.08, 0.08)) * tall
                cells[-1], _ = writer.row(sheet, x, y, count, left + (column + 0.92) * wide, (0.12, 0.3))
        sheet.cells.append(cells)
    return writer.finish(sheet), writer.size


def _frame(printed: ByteArray, left: float, top: float, right: float, bottom: float, thickness: int) -> None:
    """Print a frame."""
    x0, y0, x1, y1 = (max(0, round(edge)) for edge in (left, top, right, bottom))
    for part in (
        printed[y0 : y0 + thickness, x0 : x1 + thickness],
        printed[y1 : y1 + thickness, x0 : x1 + thickness],
        printed[y0 : y1 + thickness, x0 : x0 + thickness],
        printed[y0 : y1 + thickness, x1 : x1 + thickness],
    ):
        part[:] = 255
