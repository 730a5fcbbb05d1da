"""Reads forms: tells a table of cells from squared paper, and assigns ink to cells.

Axis letters: K pieces (connected components), G groups of pieces.
"""

from dataclasses import dataclass, replace

import numpy as np

from cnncli.pictures.components import Components, find_components
from cnncli.pictures.ink import Ink
from cnncli.pictures.join import boxes_around, join_pieces
from cnncli.pictures.layout import Table
from cnncli.pictures.segment import Segment, stroke_width, usual_height
from cnncli.types import BoolArray, IntArray

_OVERSHOOT = 0.2  # of a cell: the rules of a table end at its outer rules, those of squared paper anywhere
_FILLED = 0.5  # of the cells have ink: a table even if its outer rules are not in the picture
_FITTING = 0.8  # of the ink is in pieces that fit into a cell
_FITTING_CLOSED = 0.5  # is enough within outer rules: digits may touch those of the next cell
_SINGLE = 0.8  # of the cells with ink have one digit: so the others have one too, in several strokes
_FITS_WIDTH, _FITS_HEIGHT = 1.4, 1.25  # times a cell: a digit is not larger
_MAIN = 0.7  # of a digit that crosses a rule is in its own cell
_MARGIN = 0.08  # of a cell: near its rules
_STROKES = 0.02  # of a cell are the darkest pixels of a digit
_EDGE = 0.35  # of the darkness of these: ink begins
_FAINTEST = 0.12  # of the darkness of the rules: fainter ink is none


@dataclass(frozen=True)
class Form:
    """The digits of a table.

    Args:
        segments: row by row, each row from left to right.
        shape: number of rows and columns.
        outside: whether there is writing outside of the table.
        single: whether each cell has one digit.
    """

    segments: tuple[Segment, ...]
    shape: tuple[int, int]
    outside: bool
    single: bool


def even_cells(ink: Ink, table: Table, scale: float) -> Ink:
    """Return ink with the same strength in all cells, so that faint pencil counts beside black rules.

    Args:
        ink: of a copy that is larger than that of the table.
        table: from `find_layout`.
        scale: how much larger.
    """
    darkness = ink.darkness.copy()
    faintest = max(_FAINTEST, ink.noise)
    for left, top, right, bottom in np.rint(table.boxes * scale).astype(int).clip(0).reshape(-1, 4).tolist():
        margin = round(_MARGIN * min(right - left, bottom - top)) + 1
        inside = darkness[top + margin : bottom - margin : 2, left + margin : right - margin : 2]
        if inside.size:
            strongest = -1 - int(_STROKES * inside.size)
            level = float(np.partition(inside, strongest, axis=None)[strongest])
            if level > 2 * faintest:  # else there is none
                darkness[top:bottom, left:right] *= 0.5 / min(max(_EDGE * level, faintest), 0.5)
    return replace(ink, darkness=darkness, mask=darkness > 0.5)


def read_form(bare: BoolArray, table: Table, smallest: float) -> Form | None:
    """Return the digits of the cells of a table, or None if it is the squares of the paper.

    Args:
        bare: ink without rules, (H, W).
        table: from `find_layout`.
        smallest: ink whose height and width are below this is a speck, in pixels.
    """
    height, _ = table.cell_size
    pieces = find_components(bare)
    if not _fit_into_cells(pieces, table):
        return None
    pieces = _cut_at_rules(pieces, table)
    extent = pieces.boxes[:, 2:] - pieces.boxes[:, :2]  # (K, 2)
    kept = (extent.max(axis=1, initial=0) >= max(smallest, 0.15 * height)) & ~_slivers(pieces, table)
    pieces, extent = pieces.select(kept), extent[kept]
    rows, columns = table.shape
    row, column = table.locate(*pieces.centers().T)
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    cells = (row * columns + column)[inside]
    filled = len(np.unique(cells))
    if not table.closed(_OVERSHOOT) and filled < _FILLED * rows * columns:
        return None
    outside = ~inside & (extent[:, 1] >= 0.3 * height)
    if pieces.areas[outside].sum() > pieces.areas[inside].sum() > 0:
        return None
    pieces = pieces.select(inside)
    groups, single = _join_in_cells(pieces, cells)
    boxes = boxes_around(pieces.boxes, groups)
    cell = np.zeros(len(boxes), np.int64)
    cell[groups] = cells
    masks = pieces.cut_out(groups, boxes)
    order = sorted(range(len(boxes)), key=lambda g: (cell[g], boxes[g, 0]))
    found = []
    for g in order:
        left, top, right, bottom = boxes[g].tolist()
        where = divmod(int(cell[g]), columns)
        found.append(Segment(masks[g], (left, top, right, bottom), where[0], where[1]))
    return Form(tuple(found), table.shape, bool(outside.any()), single)


def _fit_into_cells(pieces: Components, table: Table) -> bool:
    """Return whether nearly all ink in a table is in pieces that are not larger than a cell."""
    height, width = table.cell_size
    extent = pieces.boxes[:, 2:] - pieces.boxes[:, :2]
    row, column = table.locate(*pieces.centers().T)
    inside = (row >= 0) & (row < table.shape[0]) & (column >= 0) & (column < table.shape[1])
    fits = (extent[:, 0] <= _FITS_WIDTH * width) & (extent[:, 1] <= _FITS_HEIGHT * height)
    share = _FITTING_CLOSED if table.closed(_OVERSHOOT) else _FITTING
    return bool(pieces.areas[inside & fits].sum() >= share * pieces.areas[inside].sum())


def _cut_at_rules(pieces: Components, table: Table) -> Components:
    """Cut the pieces that are digits of two cells: much of their ink is in each, and they are larger than a cell."""
    rows, columns = table.shape
    row, column = table.locate((pieces.starts + pieces.ends) / 2, pieces.rows + 0.5)  # of each run
    cell = (row.clip(-1, rows) + 1) * (columns + 2) + column.clip(-1, columns) + 1
    keys, of_run = np.unique(pieces.labels * ((rows + 2) * (columns + 2)) + cell, return_inverse=True)
    area = np.bincount(of_run, pieces.ends - pieces.starts)
    piece = keys // ((rows + 2) * (columns + 2))
    main = np.zeros(len(pieces))
    np.maximum.at(main, piece, area)
    height, width = table.cell_size
    extent = pieces.boxes[:, 2:] - pieces.boxes[:, :2]
    large = (extent[:, 1] > _FITS_HEIGHT * height) | (extent[:, 0] > _FITS_WIDTH * width)
    cut = large & (main < _MAIN * pieces.areas)
    return pieces.split(np.where(cut[pieces.labels], cell, 0)) if cut.any() else pieces


def _slivers(pieces: Components, table: Table) -> BoolArray:
    """Return which pieces are what a rule left behind, (K,): thin and beside it."""
    left, top, right, bottom = pieces.boxes.T.astype(np.float64)
    slivers = np.zeros(len(pieces), bool)
    for rules, first, last, middle in (
        (table.levels, top, bottom, (left + right) / 2),
        (table.uprights, left, right, (top + bottom) / 2),
    ):
        for rule in rules:
            reach = 1.5 * rule.thickness + 2
            place = rule.at(middle)
            slivers |= (first >= place - reach) & (last <= place + reach + 1)
    return slivers


def _join_in_cells(pieces: Components, cells: IntArray) -> tuple[IntArray, bool]:
    """Return the group of each piece, (K,): the digits of each cell; and whether nearly all cells have one digit."""
    if len(pieces) == 0:
        return np.zeros(0, np.int64), True
    stroke = stroke_width(pieces.mask(np.ones(len(pieces), bool)))
    near = join_pieces(pieces.boxes, stroke)
    # no group is in two cells
    groups: IntArray = np.unique(near * (int(cells.max()) + 1) + cells, return_inverse=True)[1]
    boxes = boxes_around(pieces.boxes, groups)
    cell = np.zeros(len(boxes), np.int64)
    cell[groups] = cells
    usual = usual_height(boxes, np.bincount(groups, pieces.areas))
    _, of_cell, count = np.unique(cell, return_inverse=True, return_counts=True)
    high = boxes[:, 3] - boxes[:, 1] >= 0.6 * usual
    digits = np.bincount(of_cell, high)  # how many groups of each cell are as high as a digit
    if (digits <= 1).mean() < _SINGLE:
        return groups, False
    # one digit in a cell: all its pieces belong together
    together = digits[of_cell] <= 1
    first = np.full(len(count), len(boxes))
    np.minimum.at(first, of_cell, np.arange(len(boxes)))
    target = np.where(together, first[of_cell], np.arange(len(boxes)))
    joined: IntArray = np.unique(target[groups], return_inverse=True)[1]
    return joined, True
