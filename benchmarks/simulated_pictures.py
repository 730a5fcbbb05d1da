"""Draws pictures of handwritten digits whose text is known: scans, photos, ruled paper, boxes, pages and forms.

Every picture depends on a seed, its kind and its number only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from camera import PRINTS, photograph, scan
from handwriting import Sheet
from sheets import (
    Scene,
    form,
    in_boxes,
    in_circles,
    number,
    on_ruled_paper,
    on_squared_paper,
    one_digit,
    page,
    underlined,
)

from cnncli.data.dataset import Split


@dataclass(frozen=True)
class Simulated:
    """A picture, and the right answer.

    Args:
        data: content of a PNG or JPEG.
        lines: the digits of each line, from the top.
        cells: for a form, the digits of each cell row by row, "" for an empty one.
    """

    data: bytes
    lines: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...] | None = None


Draw = Callable[[Scene], tuple[Sheet, bytes]]


def _scanned(write: Callable[[Scene, float, float], tuple[Sheet, float]], inverted: bool = False) -> Draw:
    """Return how to scan what is written on a sheet of 300 to 2500 pixels."""

    def draw(scene: Scene) -> tuple[Sheet, bytes]:
        width = min(scene.between(300, 2500), scene.largest**0.5)
        sheet, _ = write(scene, width, width * scene.between(0.5, 1.4))
        return sheet, scan(sheet, scene.rng, rotation=2.0, inverted=inverted)

    return draw


def _photographed(write: Callable[[Scene, float, float], tuple[Sheet, float]], table: bool = False) -> Draw:
    """Return how to photograph what is written on a sheet."""

    def draw(scene: Scene) -> tuple[Sheet, bytes]:
        width, height = scene.area()
        shrink = 0.8 if table else 1.0
        sheet, size = write(scene, width * shrink, height * shrink)
        return sheet, photograph(sheet, scene.rng, size, table=table)

    return draw


def _either(write: Callable[[Scene, float, float], tuple[Sheet, float]]) -> Draw:
    """Return how to scan the one half, and to photograph the other in fair light."""

    def draw(scene: Scene) -> tuple[Sheet, bytes]:
        if scene.rng.random() < 0.5:
            width = min(scene.between(600, 2500), scene.largest**0.5)
            sheet, _ = write(scene, width, width * scene.between(0.5, 1.4))
            rules = PRINTS[scene.rng.integers(len(PRINTS))]
            return sheet, scan(sheet, scene.rng, printed=rules, rotation=2.0)
        sheet, size = write(scene, *scene.area())
        return sheet, photograph(sheet, scene.rng, size, harm=0.5)

    return draw


def _pages(photo: bool) -> Draw:
    def draw(scene: Scene) -> tuple[Sheet, bytes]:
        sheet, size = page(scene)
        if photo:
            return sheet, photograph(sheet, scene.rng, size, harm=0.5)
        return sheet, scan(sheet, scene.rng, rotation=3.0)

    return draw


def _forms(longest: int, photo: bool = False) -> Draw:
    def draw(scene: Scene) -> tuple[Sheet, bytes]:
        sheet, size = form(scene, longest)
        if photo:
            return sheet, photograph(sheet, scene.rng, size, printed=(60, 60, 64), harm=0.4)
        return sheet, scan(sheet, scene.rng, rotation=2.0)

    return draw


@dataclass(frozen=True)
class Kind:
    """A kind of picture.

    Args:
        group: which goal applies: "scans", "photos", "paper", "pages" or "forms".
        name: shown in the table.
        share: how many pictures, in relation to the others.
        draw: draws one.
    """

    group: str
    name: str
    share: float
    draw: Draw


KINDS: Sequence[Kind] = (
    Kind("scans", "one digit, scanned", 4, _scanned(one_digit)),
    Kind("scans", "a number, scanned", 1.5, _scanned(number)),
    Kind("scans", "bright on dark", 1, _scanned(number, inverted=True)),
    Kind("photos", "one digit, photographed", 3, _photographed(one_digit)),
    Kind("photos", "a number, photographed", 1.5, _photographed(number)),
    Kind("photos", "a sheet on a table", 1, _photographed(number, table=True)),
    Kind("paper", "ruled paper", 1, _either(on_ruled_paper)),
    Kind("paper", "squared paper", 1, _either(on_squared_paper)),
    Kind("paper", "boxes", 1, _either(in_boxes)),
    Kind("paper", "circles", 1, _either(in_circles)),
    Kind("paper", "underlined", 1, _either(underlined)),
    Kind("pages", "a page, scanned", 0.25, _pages(photo=False)),
    Kind("pages", "a page, photographed", 0.15, _pages(photo=True)),
    Kind("forms", "a form, a digit in a cell", 0.25, _forms(1)),
    Kind("forms", "a form, numbers in cells", 0.25, _forms(4)),
    Kind("forms", "a form, photographed", 0.15, _forms(2, photo=True)),
)


def simulate(split: Split, kind: int, number: int, seed: int, largest: float = 12e6) -> Simulated:
    """Draw a picture.

    Args:
        split: images of digits, (N, 28, 28), and their labels.
        kind: index in `KINDS`.
        number: of the picture within its kind.
        seed: of the whole set of pictures.
        largest: about how many pixels a picture has at most.
    """
    scene = Scene(split, np.random.default_rng([seed, kind, number]), largest)
    sheet, data = KINDS[kind].draw(scene)
    cells = None if sheet.cells is None else tuple(map(tuple, sheet.cells))
    return Simulated(data, tuple(sheet.lines), cells)
