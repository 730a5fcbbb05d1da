"""Erases printed lines from a mask, and keeps the strokes that cross them.

Axis letters: H W mask, P positions along a rule.
"""

from collections.abc import Sequence

import numpy as np

from cnncli.pictures.components import find_runs
from cnncli.pictures.rules import Rule
from cnncli.types import BoolArray, FloatArray, IntArray

_LIGHTER = 0.75  # of the darkness of the ink: rules that are lighter are told from it by that


def remove_rules(mask: BoolArray, rules: Sequence[Rule], dark: BoolArray | None = None) -> BoolArray:
    """Return a mask (H, W) without the rules, but with the strokes that cross them.

    Args:
        mask: true for ink.
        rules: from `find_rules`.
        dark: pixels that are too dark for the rules, (H, W); they stay.
    """
    if not rules:
        return mask
    bare = mask.copy()
    for rule in rules:
        _clear(bare if not rule.upright else bare.T, rule)
    if dark is not None:
        bare |= mask & dark
    result = bare.copy()
    for rule in rules:
        if rule.upright:
            _restore(result.T, bare.T, mask.T, rule)
        else:
            _restore(result, bare, mask, rule)
    return result


def find_darker(darkness: FloatArray, mask: BoolArray, rules: Sequence[Rule]) -> BoolArray | None:
    """Return the pixels that are darker than the rules, (H, W), or None if the rules are about as dark as the ink.

    Args:
        darkness: of each pixel, (H, W).
        mask: true for ink, (H, W).
        rules: from `find_rules`.
    """
    if not rules:
        return None
    levels = []
    for rule in rules:
        along = np.arange(int(rule.start), int(rule.end) + 1, 3)
        across = np.rint(rule.at(along)).astype(np.int64).clip(0, mask.shape[1 if rule.upright else 0] - 1)
        levels.append(darkness[along, across] if rule.upright else darkness[across, along])
    of_rules = float(np.median(np.concatenate(levels)))
    ink = remove_rules(mask, rules)
    of_ink = float(np.median(darkness[ink])) if ink.any() else 0.0
    return darkness > (of_rules + of_ink) / 2 if of_rules < _LIGHTER * of_ink else None


def _edges(mask: BoolArray, rule: Rule) -> tuple[IntArray, IntArray, IntArray, BoolArray, BoolArray]:
    """Return the columns of a horizontal rule, the rows of its edges, and whether ink joins each edge, each (P,)."""
    height, width = mask.shape
    extra = rule.thickness + 1  # its ends may be in another rule
    along = np.arange(max(int(rule.start - extra), 0), min(int(rule.end + extra), width - 1) + 1)
    middle = rule.at(along)
    top = np.rint(middle - rule.thickness / 2).astype(np.int64).clip(0, height - 1)
    bottom = np.rint(middle + rule.thickness / 2).astype(np.int64).clip(0, height - 1)
    above = mask[(top - 2).clip(0), along] & (top > 1)
    below = mask[(bottom + 2).clip(None, height - 1), along] & (bottom < height - 2)
    return along, top, bottom, above, below


def _clear(mask: BoolArray, rule: Rule) -> None:
    """Erase a horizontal rule, and its soft edges where no stroke joins it."""
    along, top, bottom, above, below = _edges(mask, rule)
    first, last = top - ~above, bottom + ~below
    for step in range(int((last - first).max()) + 1):
        rows = first + step
        here = (rows <= last) & (rows >= 0) & (rows < mask.shape[0])
        mask[rows[here], along[here]] = False


def _restore(result: BoolArray, bare: BoolArray, mask: BoolArray, rule: Rule) -> None:
    """Draw the strokes that join both edges of a horizontal rule again, straight from edge to edge."""
    along, top, bottom, above, below = _edges(bare, rule)
    thick = bottom - top + 1
    upper, lower = find_runs(above[None])[1:], find_runs(below[None])[1:]
    widest = 2 * (rule.thickness + 4)
    for start, end in zip(*upper, strict=True):
        for other_start, other_end in zip(*lower, strict=True):
            if other_start > end + widest or other_end < start - widest:
                continue
            if max(other_start - end, start - other_end) > thick[start] + 3:
                continue
            rows = np.arange(top[start] - 1, bottom[start] + 2)
            share = np.linspace(0, 1, len(rows))
            first = np.rint(along[0] + start + share * (other_start - start)).astype(np.int64)
            last = np.rint(along[0] + end + share * (other_end - end)).astype(np.int64)
            for row, left, right in zip(rows, first, last, strict=True):
                if 0 <= row < mask.shape[0]:
                    result[row, left:right] |= mask[row, left:right]
