"""Decides which straight lines of a picture are printed rules, and which rules form a table.

A stroke of a digit can be as straight as a rule. What tells them apart is the other ink: a rule is much longer than the
digits are high, or it crosses other rules around them.

Axis letters: H W mask, L U nearly horizontal and upright rules, N points.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cnncli.pictures.components import find_components
from cnncli.pictures.erase_rules import remove_rules
from cnncli.pictures.ink import Ink
from cnncli.pictures.rules import Rule, find_crossings, find_rules, find_rules_again
from cnncli.types import BoolArray, FloatArray, IntArray

_LONG = 2.5  # times the size of the digits: a line that is longer is a rule
_UNDERLINE = 1.5  # is enough for one that extends beyond the digits on both sides, or is below two of them
_MARGIN_LINE = 5.0  # is enough for an upright line on ruled paper
_SPANNING = 1.2  # is enough for a line from border to border
_FAINT = 0.3  # of the darkness of the ink
_NEAR_BORDER = 0.02
_FULL = 0.7  # of the longest rule of a grid: a rule of its rows or columns
_MOSTLY = 0.8  # of it has ink
_UNBROKEN = 0.9  # of a shorter rule has ink


@dataclass(frozen=True)
class Table:
    """A table of ruled cells.

    Args:
        levels: the rules above, between and below its rows, from the top.
        uprights: the rules left of, between and right of its columns, from the left.
    """

    levels: tuple[Rule, ...]
    uprights: tuple[Rule, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Return the number of rows and columns."""
        return len(self.levels) - 1, len(self.uprights) - 1

    @property
    def cell_size(self) -> tuple[float, float]:
        """Return the usual height and width of a cell, in pixels."""
        x, y = self._middle
        heights = np.diff([float(rule.at(x)) for rule in self.levels])
        widths = np.diff([float(rule.at(y)) for rule in self.uprights])
        return float(np.median(heights)), float(np.median(widths))

    @cached_property
    def _middle(self) -> tuple[float, float]:
        x = np.mean([rule.at((rule.start + rule.end) / 2) for rule in self.uprights])
        y = np.mean([rule.at((rule.start + rule.end) / 2) for rule in self.levels])
        return float(x), float(y)

    def closed(self, slack: float) -> bool:
        """Return whether all rules end at the outer rules; `slack` is a share of a cell."""
        height, width = self.cell_size
        x, y = self._middle
        left, right = float(self.uprights[0].at(y)), float(self.uprights[-1].at(y))
        top, bottom = float(self.levels[0].at(x)), float(self.levels[-1].at(x))
        over = [
            left - np.median([rule.start for rule in self.levels]),
            np.median([rule.end for rule in self.levels]) - right,
        ]
        down = [
            top - np.median([rule.start for rule in self.uprights]),
            np.median([rule.end for rule in self.uprights]) - bottom,
        ]
        return bool(max(over) <= slack * width and max(down) <= slack * height)

    def locate(self, x: FloatArray, y: FloatArray) -> tuple[IntArray, IntArray]:
        """Return row and column of points, each (N,), from 0; −1 or the number of rows or columns are outside."""
        rows = np.sum([rule.at(x) <= y for rule in self.levels], axis=0) - 1
        columns = np.sum([rule.at(y) <= x for rule in self.uprights], axis=0) - 1
        return rows, columns

    @cached_property
    def boxes(self) -> FloatArray:
        """Return left, top, right and bottom of each cell, (rows, columns, 4), in pixels."""
        x = np.tile(_means([float(rule.at(self._middle[1])) for rule in self.uprights]), (self.shape[0], 1))
        for _ in range(3):
            y = _means(
                np.stack([rule.at(along) for rule, along in zip(self.levels, _around(x), strict=True)])
            )
            x = _means(
                np.stack([rule.at(along) for rule, along in zip(self.uprights, _around(y.T), strict=True)])
            ).T
        levels = np.stack([rule.at(along) for rule, along in zip(self.levels, _around(x), strict=True)])
        uprights = np.stack(
            [rule.at(along) for rule, along in zip(self.uprights, _around(y.T), strict=True)]
        ).T
        return np.stack([uprights[:, :-1], levels[:-1], uprights[:, 1:], levels[1:]], axis=2)


def _means(edges: Sequence[float] | FloatArray) -> FloatArray:
    """Return the middle between each edge and the next one."""
    values = np.asarray(edges)
    middles: FloatArray = (values[:-1] + values[1:]) / 2
    return middles


def _around(middles: FloatArray) -> FloatArray:
    """Return the middles of rows at the edges between them: the mean of both, and at the ends the only one."""
    return _means(np.concatenate([middles[:1], middles, middles[-1:]]))


@dataclass(frozen=True)
class Layout:
    """What is printed on a picture.

    Args:
        rules: to be removed.
        tables: the largest first.
    """

    rules: tuple[Rule, ...] = ()
    tables: tuple[Table, ...] = ()

    def in_copy(self, mask: BoolArray, scale: float) -> "Layout":
        """Return the same layout in a larger copy of the picture, (H, W); `scale` is how much larger it is."""
        rules = find_rules_again(mask, self.rules, scale)
        new = {id(rule): again for rule, again in zip(self.rules, rules, strict=True)}
        tables = [
            Table(*(tuple(new[id(rule)] for rule in part) for part in (table.levels, table.uprights)))
            for table in self.tables
        ]
        return Layout(tuple(rules), tuple(tables))


def find_layout(ink: Ink, thickest: int) -> Layout:
    """Find the rules and the tables of a picture.

    Args:
        ink: from `find_ink`.
        thickest: no rule is thicker, in pixels.
    """
    mask = ink.mask
    # faint rules, or inclined ones, have gaps in the mask
    lines = find_rules_again(mask, find_rules(ink.darkness > _FAINT, thickest), 1)
    level, upright = [line for line in lines if not line.upright], [line for line in lines if line.upright]
    rules: list[Rule] = []
    tables = []
    for grid_level, grid_upright in _grids(level, upright):
        while grid_level and grid_upright:
            count = len(grid_level) + len(grid_upright)
            grid_level = _printed(grid_level, grid_upright)
            grid_upright = _printed(grid_upright, grid_level) if grid_level else []
            if len(grid_level) + len(grid_upright) == count:
                break
        if grid_level and grid_upright and _holds_ink(mask, grid_level, grid_upright):
            rules += grid_level + grid_upright
            table = _as_table(grid_level, grid_upright)
            if table is not None:
                tables.append(table)
    rules += _long_lines(mask, level, rules)
    rules += _long_lines(mask, upright, rules)
    tables.sort(key=lambda table: -np.prod(table.shape))
    return Layout(tuple(rules), tuple(tables))


def _grids(level: Sequence[Rule], upright: Sequence[Rule]) -> list[tuple[list[Rule], list[Rule]]]:
    """Return the sets of rules that cross each other, each at least two others."""
    if not level or not upright:
        return []
    meets = find_crossings(level, upright)
    while True:
        kept = meets & (meets.sum(axis=1) >= 2)[:, None] & (meets.sum(axis=0) >= 2)
        if np.array_equal(kept, meets):
            break
        meets = kept
    grids = []
    free = np.asarray(meets.any(axis=1))
    while free.any():
        rows = np.zeros(len(level), bool)
        rows[int(free.argmax())] = True
        while True:
            columns = np.asarray(meets[rows].any(axis=0))
            grown = np.asarray(meets[:, columns].any(axis=1))
            if np.array_equal(grown, rows):
                break
            rows = grown
        free &= ~rows
        grids.append(
            (
                [level[int(i)] for i in np.flatnonzero(rows)],
                [upright[int(i)] for i in np.flatnonzero(columns)],
            )
        )
    return grids


def _printed(rules: Sequence[Rule], others: Sequence[Rule]) -> list[Rule]:
    """Return the rules of one direction of a grid: long ones, and shorter ones between two rules of the other.

    A stroke of a digit that crosses two rules is none of them.
    """
    middles = [float(other.at((other.start + other.end) / 2)) for other in others]
    longest = max(*(rule.length for rule in rules), max(middles) - min(middles))
    printed, long = [], 0
    usual = float(np.median([other.thickness for other in others]))
    for rule in rules:
        alike = abs(rule.thickness - usual) <= 1.5 + 0.35 * usual
        ends = all(_ends_at(rule, end, others) for end in (rule.start, rule.end))
        if len(others) == 2:  # one row of cells has a border all around
            full = ends and rule.length >= max(middles) - min(middles)
        else:
            full = rule.length >= _FULL * longest
        full &= rule.covered >= _MOSTLY
        long += full
        if full or (ends and alike and rule.covered >= _UNBROKEN):
            printed.append(rule)
    spanned = max(middles) - min(middles) >= _FULL * float(
        np.median([rule.length for rule in printed] or [0])
    )
    return printed if long >= 2 and spanned else []


def _ends_at(rule: Rule, end: float, others: Sequence[Rule]) -> bool:
    """Return whether one end of a rule is at a rule of the other direction."""
    across = float(rule.at(end))
    return any(abs(float(other.at(across)) - end) <= 3 + 0.75 * other.thickness for other in others)


def _holds_ink(mask: BoolArray, level: Sequence[Rule], upright: Sequence[Rule]) -> bool:
    """Return whether crossing lines are a grid with something in it, and not the strokes of an 8, or a #.

    A grid of four cells and more may be empty.
    """
    if len(level) >= 3 and len(upright) >= 3:
        return True
    x, y = ([float(rule.at(rule.start)) for rule in rules] for rules in (upright, level))
    left, top, right, bottom = (max(round(edge), 0) for edge in (min(x), min(y), max(x), max(y)))
    bare = remove_rules(mask, [*level, *upright])[top:bottom, left:right]
    pieces = find_components(bare)
    if len(pieces) == 0:
        return False
    heights = pieces.boxes[:, 3] - pieces.boxes[:, 1]
    return bool((heights > 0.3 * (bottom - top) / (len(level) - 1)).any())


def _as_table(level: Sequence[Rule], upright: Sequence[Rule]) -> Table | None:
    """Return the table of a grid: of the rules that cross nearly all others, without double ones; None for one cell."""
    level = _whole(level, upright)
    upright = _whole(upright, level)
    if len(level) < 2 or len(upright) < 2 or len(level) + len(upright) < 5:
        return None
    return Table(tuple(level), tuple(upright))


def _whole(rules: Sequence[Rule], others: Sequence[Rule]) -> list[Rule]:
    """Return the rules that cross most of the others, in order, without double ones."""
    if not others:
        return []
    longest = max(rule.length for rule in rules)
    middle = float(np.mean([rule.at((rule.start + rule.end) / 2) for rule in others]))
    chosen = [rule for rule in rules if rule.length >= _FULL * longest]
    chosen.sort(key=lambda rule: float(rule.at(middle)))
    places = [float(rule.at(middle)) for rule in chosen]
    usual = float(np.median(np.diff(places))) if len(places) > 1 else 0.0
    single: list[Rule] = []
    for rule, place in zip(chosen, places, strict=True):
        if not single or place - float(single[-1].at(middle)) > 0.3 * usual:
            single.append(rule)
    return single


def _long_lines(mask: BoolArray, lines: Sequence[Rule], known: Sequence[Rule]) -> list[Rule]:
    """Return the lines of one direction that are much longer than the rest of the ink is high or wide."""
    extent = mask.shape[0] if lines and lines[0].upright else mask.shape[1]
    margin = _NEAR_BORDER * extent + 1
    spanning = [line for line in lines if line.start <= margin and line.end >= extent - 1 - margin]
    unknown = [line for line in lines if not any(line is other for other in known)]
    if not any(any(line is other for other in spanning) or line.length >= 0.25 * extent for line in unknown):
        return []
    rest = find_components(remove_rules(mask, [*known, *lines]))
    sizes = (rest.boxes[:, 2:] - rest.boxes[:, :2]).max(axis=1, initial=0)
    if len(rest) == 0:
        return []
    order = np.argsort(sizes)
    area = np.cumsum(rest.areas[order])
    usual = float(sizes[order][np.searchsorted(area, 0.5 * area[-1])])
    chosen = []
    for line in unknown:
        if line.upright:
            across = any(line is other for other in spanning)
            margin_line = bool(known) and line.length >= _MARGIN_LINE * usual
            if not (across and (len(spanning) > 1 or known)) and not margin_line:
                continue
        if line.length >= _LONG * usual and line.length >= 0.25 * extent:
            chosen.append(line)
        elif not line.upright and line.length >= _UNDERLINE * usual and _underlines(line, rest.boxes, usual):
            chosen.append(line)
        elif any(line is other for other in spanning) and line.length >= _SPANNING * usual:
            chosen.append(line)
    share = rest.areas.sum() / max(mask.sum(), 1)
    return chosen if len(chosen) > 1 or share > 0.3 else []


def _underlines(line: Rule, boxes: IntArray, size: float) -> bool:
    """Return whether a line extends beyond all boxes, (K, 4), on both sides, or is below two of them side by side."""
    margin = 0.1 * size
    if line.start < boxes[:, 0].min() - margin and line.end > boxes[:, 2].max() + margin:
        return True
    left, top, right, bottom = boxes.T
    level = line.at((left + right) / 2)
    near = 0.3 * size
    above = (bottom < level - line.thickness / 2 - 0.03 * size) & (bottom > level - 1.2 * size)
    above &= (left > line.start - near) & (right < line.end + near) & (bottom - top > 0.5 * size)
    return bool(above.any() and left[above].max() >= right[above].min())
