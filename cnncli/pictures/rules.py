"""Finds printed lines in a mask: those of lined and squared paper, tables, boxes round a digit, underlines.

A rule has long unbroken runs on one straight line, and digits have many short ones. So a full line of digits is not
taken for a rule. `find_rules` returns all straight lines that could be rules; a stroke of a digit is one of them, and
layout.py decides. erase_rules.py removes them.

Axis letters: H W mask, S segments, P positions along a rule, L U nearly horizontal and upright rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnncli.pictures.components import Components, find_components, find_runs, paint_runs
from cnncli.types import BoolArray, FloatArray, IntArray

_STEEPEST = 0.14  # 8 degrees: pages are rotated less
_MAX_FAILURES = 40  # strokes of digits that are no rules, before the search ends
_COVERED = 0.7  # of the length of a rule has ink
_ALONE = 0.5  # of that has no ink beside it
_UNBROKEN, _ALONE_UNBROKEN = (
    0.95,
    0.25,
)  # the same for a rule without gaps, on which digits may stand all along


@dataclass(frozen=True)
class Rule:
    """A long thin line, nearly horizontal or nearly upright.

    Args:
        upright: whether it runs from top to bottom. Then positions along it are rows, and positions across are columns.
        start, end: its extent along, in pixels of the mask.
        curve: (4,), a polynomial of (along − start) / (end − start) that gives the position across, constant first.
        thickness: in pixels.
        covered: the share of its length that has ink.
    """

    upright: bool
    start: float
    end: float
    curve: FloatArray
    thickness: float
    covered: float = 1.0

    @property
    def length(self) -> float:
        return self.end - self.start

    def at(self, along: FloatArray | IntArray | float) -> FloatArray:
        """Return the position of its middle across, for positions along."""
        u = (np.asarray(along, np.float64) - self.start) / max(self.length, 1)
        across: FloatArray = self.curve[0] + u * (self.curve[1] + u * (self.curve[2] + u * self.curve[3]))
        return across


def find_rules_again(mask: BoolArray, rules: Sequence[Rule], scale: float) -> list[Rule]:
    """Return rules in a larger copy of the same picture, (H, W); `scale` is how much larger it is."""
    turned = np.ascontiguousarray(mask.T)
    return [_trace(turned if rule.upright else mask, rule, scale) for rule in rules]


def find_rules(mask: BoolArray, thickest: int) -> list[Rule]:
    """Return all long thin lines of a mask (H, W), nearly horizontal ones first.

    Args:
        mask: true for ink.
        thickest: no rule is thicker, in pixels.
    """
    level = _find_level(mask, thickest, upright=False)
    return level + _find_level(np.ascontiguousarray(mask.T), thickest, upright=True)


def find_crossings(levels: Sequence[Rule], uprights: Sequence[Rule]) -> BoolArray:
    """Return which rules cross or meet, (L, U)."""
    x = np.tile([rule.at((rule.start + rule.end) / 2) for rule in uprights], (len(levels), 1))  # (L, U)
    y = np.empty_like(x)
    for _ in range(3):
        for number, rule in enumerate(levels):
            y[number] = rule.at(x[number])
        for number, rule in enumerate(uprights):
            x[:, number] = rule.at(y[:, number])

    def reaches(rules: Sequence[Rule], along: FloatArray, slack: FloatArray) -> BoolArray:
        first, last = np.array([rule.start for rule in rules]), np.array([rule.end for rule in rules])
        inside: BoolArray = (along >= first[:, None] - slack) & (along <= last[:, None] + slack)
        return inside

    thickness = np.add.outer([rule.thickness for rule in levels], [rule.thickness for rule in uprights])
    slack = 3 + 2 * thickness
    return reaches(levels, x, slack) & reaches(uprights, y.T, slack.T).T


def _find_level(mask: BoolArray, thickest: int, *, upright: bool) -> list[Rule]:
    """Return the nearly horizontal lines of a mask (H, W), the longest first."""
    shortest = max(10, round(mask.shape[1] / 80))
    segments = _find_segments(mask, thickest, shortest)
    free = np.ones(len(segments.starts), bool)
    rules = []
    failures = 0
    for seed in np.argsort(segments.starts - segments.ends, kind="stable"):
        if failures == _MAX_FAILURES:
            break
        if free[seed]:
            chain = _extend(segments, int(seed), free, mask.shape[1])
            free &= ~chain
            rule = _lengthen(mask, _fit(segments, chain, mask.shape[1], upright), shortest)
            if rule is None or rule.length < 2 * shortest:
                failures += 1
            else:
                rules.append(rule)
                failures = 0
    return sorted(rules, key=lambda rule: -rule.length)


@dataclass(frozen=True)
class _Segments:
    """Straight, thin, nearly horizontal pieces of ink; each array (S,).

    Args:
        starts, ends: first and last column.
        left, right: the row of its middle at these columns.
        thickness: in pixels.
    """

    starts: FloatArray
    ends: FloatArray
    left: FloatArray
    right: FloatArray
    thickness: FloatArray


def _find_segments(mask: BoolArray, thickest: int, shortest: int) -> _Segments:
    height, width = mask.shape
    columns, tops, bottoms = find_runs(mask.T)
    short = bottoms - tops <= thickest
    thin = paint_runs((width, height), columns[short], tops[short], bottoms[short]).T
    grown = thin.copy()  # one pixel up and down, so that the steps of an inclined line do not end its runs
    grown[1:] |= thin[:-1]
    grown[:-1] |= thin[1:]
    rows, starts, ends = find_runs(grown)
    long = ends - starts >= shortest
    pieces = find_components(paint_runs(mask.shape, rows[long], starts[long], ends[long]) & thin)
    left, _, right, _ = pieces.boxes.T.astype(np.float64)
    x, y, slope, deviation = _lines_through(pieces)
    thickness = pieces.areas / np.maximum(right - left, 1)
    straight = (right - left >= shortest - 2) & (np.abs(slope) <= _STEEPEST)
    straight &= (deviation <= 0.35 * thickness + 0.75) & (thickness <= thickest)
    left, right, x, y, slope = (values[straight] for values in (left, right - 1, x, y, slope))
    return _Segments(left, right, y + slope * (left - x), y + slope * (right - x), thickness[straight])


def _lines_through(pieces: Components) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Fit a line to each component; return its middle x and y, slope and standard deviation across, each (K,)."""
    first, last = pieces.starts.astype(np.float64), pieces.ends - 1.0
    count, rows = last - first + 1, pieces.rows.astype(np.float64)
    middle = (first + last) / 2

    def total(values: FloatArray) -> FloatArray:
        return np.bincount(pieces.labels, values, len(pieces)) / pieces.areas

    x, y = total(count * middle), total(count * rows)
    xx = (
        total(count * (middle**2 + (count**2 - 1) / 12)) - x**2
    )  # a run of n pixels has the variance (n² − 1) / 12
    xy, yy = total(count * middle * rows) - x * y, total(count * rows**2) - y**2
    slope = xy / np.maximum(xx, 1e-9)
    return x, y, slope, np.sqrt(np.maximum(yy - slope * xy, 0))


def _extend(segments: _Segments, seed: int, free: BoolArray, width: int) -> BoolArray:
    """Return the segments that lie on one line with a seed, (S,), also across gaps: a digit may be there."""
    chain = np.zeros(len(free), bool)
    chain[seed] = True
    while True:
        rule = _fit(segments, chain, width)
        gap = np.maximum(np.maximum(segments.starts - rule.end, rule.start - segments.ends), 0)
        off = np.maximum(
            np.abs(segments.left - rule.at(segments.starts)), np.abs(segments.right - rule.at(segments.ends))
        )
        near = off <= 1 + rule.thickness / 2 + 0.02 * np.minimum(gap, width / 24)
        alike = (segments.thickness <= 2 * rule.thickness + 1) & (
            rule.thickness <= 2 * segments.thickness + 1
        )
        added = free & ~chain & near & alike & (gap <= min(width / 3, 2 * rule.length))
        if not added.any():
            return chain
        chain |= added


def _fit(segments: _Segments, chain: BoolArray, width: int, upright: bool = False) -> Rule:
    """Fit a curve to the segments of a chain: a straight line if it is short, a cubic if it is long."""
    starts, ends, left, right = (
        values[chain] for values in (segments.starts, segments.ends, segments.left, segments.right)
    )
    start, end = float(starts.min()), float(ends.max())
    along = np.concatenate([starts, (starts + ends) / 2, ends])
    across = np.concatenate([left, (left + right) / 2, right])
    degree = 1 if end - start < width / 4 else 2 if end - start < width / 2 else 3
    u = (along - start) / max(end - start, 1)
    terms = u[:, None] ** np.arange(degree + 1)
    weights = np.tile(ends - starts + 1, 3)
    curve = np.zeros(4)
    curve[: degree + 1] = _solve(terms, across, weights)
    return Rule(upright, start, end, curve, float(np.mean(segments.thickness[chain])))


def _solve(terms: FloatArray, values: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the weighted least-squares solution; a tiny term keeps the equations solvable."""
    weighted = terms * weights[:, None]
    square = weighted.T @ terms
    square += np.eye(len(square)) * 1e-9 * np.trace(square)
    solution: FloatArray = np.linalg.solve(square, weighted.T @ values)
    return solution


def _lengthen(mask: BoolArray, rule: Rule, shortest: int) -> Rule | None:
    """Return a rule with its full length and its thickness, or None if there is too little ink or ink beside it."""
    while True:
        longer = _measure(mask, rule, shortest)
        if longer is None or longer.length < rule.length + shortest - 2:
            return longer
        # more of it may follow beyond what the curve was fitted to
        rule = _trace(mask, longer, 1)


def _measure(mask: BoolArray, rule: Rule, shortest: int) -> Rule | None:
    """Return a rule with its thickness, at most `shortest` pixels longer at each end; None if it is none."""
    height, width = mask.shape
    first, last = max(int(rule.start) - shortest, 0), min(int(rule.end) + shortest, width - 1)
    along = np.arange(first, last + 1)
    middle = np.rint(rule.at(along)).astype(np.int64)
    inside = (middle >= 0) & (middle < height)
    if not inside[int(rule.start) - first : int(rule.end) - first + 1].all():
        return None
    reach = int(rule.thickness / 2 + 1)
    across = middle[:, None] + np.arange(-reach - 2, reach + 3)  # (P, 2 reach + 5)
    ink = np.where((across >= 0) & (across < height), mask[across.clip(0, height - 1), along[:, None]], False)
    core = ink[:, 2:-2]
    covered: BoolArray = np.asarray(core.any(axis=1))
    from_start, from_end = int(rule.start) - first, int(rule.end) - first
    while from_start > 0 and covered[from_start - 1]:
        from_start -= 1
    while from_end < len(along) - 1 and covered[from_end + 1]:
        from_end += 1
    covered, ink, core = (part[from_start : from_end + 1] for part in (covered, ink, core))
    alone = covered & ~ink[:, 0] & ~ink[:, -1]
    least = _ALONE_UNBROKEN if covered.mean() >= _UNBROKEN else _ALONE
    if covered.mean() < _COVERED or alone.sum() < least * covered.sum():
        return None
    start, end = float(along[from_start]), float(along[from_end])
    at = np.linspace(start, end, 4)
    curve = _cubic((at - start) / max(end - start, 1), rule.at(at))  # the same over a longer extent
    return Rule(
        rule.upright, start, end, curve, float(np.median(core[alone].sum(axis=1))), float(covered.mean())
    )


def _trace(mask: BoolArray, rule: Rule, scale: float) -> Rule:
    """Return a horizontal rule of a smaller copy in this mask: with the middle of the ink near it."""
    height, width = mask.shape
    start, end = max(rule.start * scale, 0), min((rule.end + 1) * scale - 1, width - 1)
    along = np.arange(int(start), int(end) + 1)
    middle = (rule.at((along + 0.5) / scale - 0.5) + 0.5) * scale - 0.5
    reach = int(scale * (rule.thickness / 2 + 2)) + 1
    across = np.rint(middle).astype(np.int64)[:, None] + np.arange(-reach, reach + 1)  # (P, 2 reach + 1)
    ink = mask[across.clip(0, height - 1), along[:, None]]
    count = ink.sum(axis=1)
    alone = (count > 0) & ~ink[:, 0] & ~ink[:, -1]
    u = (along - start) / max(end - start, 1)
    scaled = _cubic(u, middle)
    place = (across * ink).sum(axis=1) / np.maximum(count, 1)
    off = place - middle
    alone &= np.abs(off) <= 0.5 + 0.75 * scale
    if alone.sum() < 8:
        return Rule(rule.upright, start, end, scaled, rule.thickness * scale, rule.covered)
    degree = 3 if alone.mean() > 0.3 and alone.sum() > 100 else 0
    terms = u[alone, None] ** np.arange(degree + 1)
    change = np.zeros(4)
    change[: degree + 1] = _solve(terms, off[alone], np.ones(len(terms)))
    return Rule(rule.upright, start, end, scaled + change, float(np.median(count[alone])), rule.covered)


def _cubic(u: FloatArray, values: FloatArray) -> FloatArray:
    """Return the coefficients of a cubic, constant first, from its values at u from 0 to 1."""
    at = np.linspace(0, 1, 4)
    found: FloatArray = np.linalg.solve(at[:, None] ** np.arange(4), np.interp(at, u, values))
    return found
