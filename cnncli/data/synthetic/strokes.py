"""Stroke models of the ten digits: pen strokes through control points, several variants per digit.

A stroke is a text of points "x y" in the order of writing, with x to the right and y downwards, in a box about 60
wide and 100 high. The pen follows a smooth curve through all points, a Catmull-Rom spline, with a corner at each
point marked with "!".
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cnncli.types import BoolArray, FloatArray


@dataclass(frozen=True)
class StrokeVariant:
    """One way of writing a digit.

    Args:
        share: how often people use this variant, relative to the other variants of the digit.
        strokes: the strokes of the pen, separated by ";".
    """

    share: float
    strokes: str


_V = StrokeVariant  # a short name, so that each variant fits on one line

STROKE_VARIANTS: Mapping[int, tuple[StrokeVariant, ...]] = {
    0: (
        _V(5, "32 2, 12 14, 2 50, 12 86, 32 98, 52 84, 60 50, 50 14, 30 3"),  # closed
        _V(3, "42 8, 26 3, 8 22, 2 56, 14 90, 34 98, 54 80, 60 44, 48 12, 26 8"),  # ends inside
        _V(2, "22 6, 6 26, 2 60, 14 92, 36 97, 56 74, 58 36, 46 8, 30 0, 14 8"),  # ends outside
        _V(1, "36 10, 30 2, 10 18, 3 54, 16 90, 36 97, 56 76, 58 40, 46 10, 40 24"),  # hooked
        _V(0.3, "32 2, 12 14, 2 50, 12 86, 32 98, 52 84, 60 50, 50 14, 30 3; 52 8, 10 92"),  # crossed
        _V(1, "40 4, 20 8, 4 36, 4 66, 20 94, 42 94, 58 66, 58 34, 46 10"),  # with a gap
    ),
    1: (
        _V(9, "32 0, 31 50, 30 100"),  # a bar
        _V(2, "16 20, 32 0!, 31 50, 30 100"),  # with a flag
        _V(1, "20 10, 32 0!, 31 50, 30 100"),  # with a short flag
        _V(2, "4 30, 34 0!, 32 50, 30 100"),  # with a long flag
        _V(2, "2 46, 34 0!, 33 50, 32 100"),  # with a flag down to the middle, as in Europe
        _V(1, "0 66, 36 0!, 34 50, 33 100"),  # with a flag nearly as long as the stem
        _V(1, "6 40, 22 24, 34 2!, 33 50, 32 100"),  # with a curved flag
        _V(0.6, "2 34, 12 36, 34 0!, 33 50, 31 100"),  # with a hooked flag
        _V(1, "16 20, 32 0!, 31 50, 30 98; 10 98, 32 98, 54 97"),  # with flag and foot
        _V(1, "6 30, 34 2!, 32 50, 30 96; 0 96, 32 97, 64 94"),  # and both long
        _V(0.8, "10 24, 30 2!, 30 50, 29 97; 14 97, 30 97, 48 96"),  # and a short foot
        _V(0.5, "2 44, 34 2!, 33 50, 32 97; 8 98, 34 97, 60 96"),  # a long flag and a foot
        _V(0.5, "32 0, 30 98; 12 98, 50 97"),  # with a foot
        _V(2.5, "0 44, 46 0!, 42 50, 36 100"),  # a wide flag
        _V(2, "0 50, 52 2!, 50 50, 46 100"),  # and a wider one
        _V(0.7, "0 74, 30 0!, 40 50, 52 100"),  # like a roof
        _V(1.2, "4 96, 34 0!, 33 50, 31 100"),  # a flag down to the foot
        _V(0.8, "0 98, 20 56, 40 2!, 36 50, 32 96"),
        _V(1.2, "0 58, 14 26, 32 4, 44 6, 46 40, 48 100"),  # flag and stem in one arc
        _V(0.8, "2 40, 20 16, 40 2, 46 10, 42 50, 38 100"),
        _V(0.7, "44 0, 42 44, 36 82, 18 98, 6 88, 14 76, 34 80, 70 82"),  # stem, loop and foot in one stroke
    ),
    2: (
        _V(4, "6 24, 16 6, 36 1, 54 16, 50 40, 30 68, 4 96!, 34 94, 62 95"),  # corner at the foot
        _V(3, "8 22, 22 4, 44 4, 52 24, 42 54, 22 84, 6 96, 2 84, 16 76, 36 88, 64 92"),  # loop at the foot
        _V(2, "8 26, 20 6, 42 2, 54 20, 44 50, 20 86, 8 94, 24 88, 46 94, 64 86"),  # wavy base
        _V(1.5, "2 10, 30 4, 52 6, 52 24, 32 56, 4 94!, 34 92, 60 94"),  # flat top
        _V(1, "12 12, 6 28, 18 24, 26 6, 46 6, 52 28, 40 60, 8 92!, 30 90, 58 96"),  # curl at the top
        _V(2, "10 22, 24 4, 46 6, 50 28, 42 62, 22 92, 4 92, 0 74, 14 62, 34 72, 48 90, 70 92"),  # round loop
        _V(2, "8 14, 28 0, 50 16, 52 48, 38 80, 16 94, 2 80, 10 62, 30 66, 50 88, 66 84"),  # round loop
        _V(2, "12 24, 26 4, 46 14, 40 48, 20 86, 4 92, 2 76, 18 68, 40 82, 72 92"),  # wide loop
        _V(1.5, "14 24, 32 4, 50 14, 42 40, 24 66, 4 90!, 38 90, 80 92"),  # long base
        _V(1, "14 14, 34 2, 46 20, 30 60, 4 90!, 36 84, 78 80"),  # long base, rising
        _V(1, "10 8, 34 2, 52 14, 50 44, 36 76, 14 90, 2 82, 10 72, 30 84, 50 98, 62 96"),  # big loop
        _V(2, "8 26, 16 6, 38 2, 52 18, 44 42, 4 98!, 62 98"),  # straight foot
        _V(1, "12 20, 24 4, 44 6, 46 26, 30 58, 6 94!, 30 88, 44 96, 64 92"),  # wavy foot
        _V(0.8, "6 52, 4 24, 26 2, 50 12, 48 44, 28 80, 8 96, 2 82, 16 74, 42 98, 62 92, 64 68"),  # like a Q
    ),
    3: (
        _V(4, "6 14, 26 2, 48 12, 44 34, 22 46!, 50 56, 56 78, 36 97, 4 88"),
        _V(2, "4 6!, 30 3, 54 4!, 28 40!, 52 52, 58 76, 38 97, 4 90"),  # flat top
        _V(3, "8 12, 30 1, 50 16, 38 40, 22 47, 44 50, 58 70, 44 94, 20 98, 2 86"),  # round middle
        _V(1.5, "8 14, 32 2, 50 18, 38 42, 22 52, 20 44, 40 48, 56 72, 38 96, 4 88"),  # loop in the middle
        _V(1.5, "12 16, 32 0, 46 12, 34 38, 20 46!, 40 52, 46 74, 26 96, 0 94"),  # slim
        _V(1.5, "0 8, 30 2, 52 8, 40 30, 24 44!, 46 50, 52 70, 30 90, 0 98"),  # flat ends
        _V(1, "6 8, 34 2, 48 16, 36 38, 24 44!, 46 44, 58 62, 46 88, 16 100, 0 92, 8 84"),  # curled tail
        _V(
            1.5, "2 4!, 30 4, 56 2!, 26 38!, 48 44, 58 68, 44 94, 18 98, 0 88"
        ),  # a flat top with a long diagonal
    ),
    4: (
        _V(4, "12 6, 8 32, 4 56!, 30 54, 62 50; 48 2, 46 50, 42 98"),  # open
        _V(2, "42 2, 22 32, 2 62!, 32 62, 62 60; 44 2, 43 50, 42 98"),  # closed
        _V(2, "12 8, 6 34, 8 52, 26 54, 46 42!, 54 4!, 50 50, 46 98"),  # in one stroke, rounded
        _V(2, "14 8, 4 44, 4 54!, 26 54, 56 50; 54 6, 44 50, 36 98"),
        _V(1.5, "24 2, 14 28, 2 54, 10 62, 36 56, 64 50; 46 24, 42 60, 36 98"),  # low upright
        _V(1, "50 2!, 26 26, 4 56!, 34 56, 60 54; 36 36, 36 66, 34 98"),
        _V(1, "8 10, 6 40, 18 50, 42 46, 50 10!, 50 50, 52 98"),
        _V(2, "20 2, 2 64!, 62 62; 44 36, 42 100"),  # a slanted stroke and a short bar
        _V(2, "10 4, 6 56!, 60 54; 42 30, 40 100"),
        _V(1.5, "26 0, 4 60!, 60 58; 48 24, 34 100"),  # both slanted
        _V(1, "14 2, 10 46!, 58 44; 56 8, 52 100"),  # the bar ends at the stem
    ),
    5: (
        _V(3, "14 4, 10 44!, 32 38, 54 54, 52 84, 28 98, 2 88; 14 4, 36 3, 60 2"),  # bar apart
        _V(3, "58 3, 34 4, 16 6!, 10 44!, 34 40, 54 60, 46 90, 22 98, 0 90"),  # in one stroke
        _V(2, "56 6, 30 2, 14 18, 20 40, 44 56, 50 80, 32 97, 4 90"),  # like an S
        _V(2, "20 10, 12 42, 34 46, 48 66, 36 92, 6 96; 20 8, 42 6, 70 0"),  # slim, long bar
        _V(1.5, "22 6, 14 42!, 40 40, 54 62, 44 88, 10 98; 22 6, 46 6, 72 0"),  # long bar, round belly
        _V(1, "50 8, 24 4, 18 22, 24 42, 46 58, 50 84, 34 98, 12 92"),  # upright S
        _V(1, "54 4, 20 6!, 12 40, 36 44, 52 64, 40 92, 14 94, 4 80, 14 74"),  # curled tail
        _V(2, "16 12, 12 46!, 34 40, 54 56, 50 86, 26 98, 2 90; 22 3, 42 2, 64 1"),  # bar far apart
        _V(1, "12 10, 10 46!, 36 42, 54 62, 46 90, 20 98, 0 92; 26 6, 48 2, 70 -2"),  # a rising bar apart
        _V(1.5, "20 2, 10 42!, 40 40, 56 62, 46 92, 8 98; 20 2, 58 2"),  # angular
    ),
    6: (
        _V(4, "42 2, 20 26, 4 62, 14 94, 38 96, 54 76, 42 56, 22 60, 8 80"),
        _V(2, "30 1, 14 32, 6 70, 18 96, 42 92, 52 70, 36 58, 16 68, 8 84"),
        _V(2, "54 4, 26 18, 6 52, 8 86, 30 98, 54 88, 56 66, 36 56, 14 70"),  # curved back
        _V(1.5, "22 2, 8 40, 4 78, 20 97, 48 94, 58 74, 42 60, 18 70, 8 86"),  # wide bowl
        _V(1.5, "40 2, 14 36, 2 76, 16 94, 44 84, 58 64, 46 54, 24 70, 12 90"),  # leaning bowl
        _V(1, "48 2, 28 30, 8 72, 14 96, 32 94, 46 78, 40 64, 26 70, 16 90"),  # small bowl
        _V(1.5, "44 0, 18 40, 6 70, 14 94, 40 96, 52 76, 38 60, 12 72"),  # straight back
        _V(0.7, "58 2, 20 4, 6 22, 4 80, 20 98, 50 98!, 50 54!, 8 44"),  # angular
        _V(0.5, "4 2!, 4 96!, 50 96!, 50 52!, 6 50"),  # as a display shows it, without a roof
    ),
    7: (
        _V(4, "4 8, 30 6, 56 4!, 42 46, 28 98"),
        _V(3, "2 14, 20 6, 44 4, 54 10, 44 44, 30 98"),  # round shoulder
        _V(2, "4 24, 6 6!, 30 6, 58 4!, 40 48, 24 98"),  # serif
        _V(2, "4 8, 30 6, 58 4!, 40 48, 26 98; 14 52, 34 50, 58 47"),  # bar
        _V(0.7, "4 22, 8 6!, 34 6, 58 6!, 40 48, 28 98; 18 52, 54 48"),  # serif and bar
        _V(2, "4 12, 28 8, 50 6!, 50 50, 46 98"),  # upright
        _V(1.5, "2 34, 4 8!, 30 9, 60 2!, 46 48, 32 98"),  # long serif
        _V(0.7, "0 14, 28 10, 52 8!, 38 44, 22 98; 8 54, 36 52, 64 48"),  # long bar
        _V(1, "4 28, 6 10, 30 12, 54 6!, 50 50, 48 98"),  # long serif, upright
        _V(1, "0 14, 10 20, 24 6, 46 8, 52 14, 38 50, 26 98"),  # wavy top
        _V(3, "4 10, 30 6, 58 4!, 42 46, 26 98; 16 56, 36 51, 58 46"),  # rising bar
        _V(1.5, "0 18, 8 6, 22 10, 40 8, 56 2!, 44 46, 32 98; 18 54, 58 48"),  # flourish and bar
        _V(1.5, "4 26, 6 6!, 30 8, 58 4!, 42 48, 30 98; 20 52, 56 48"),  # serif and bar
        _V(1.5, "4 8, 30 6, 56 4!, 42 30, 33 62, 30 98; 16 52, 54 50"),  # curved stem and bar
        _V(1, "2 20, 10 4, 26 10, 44 6, 58 0!, 46 40, 34 98"),  # flourish
        _V(
            1.5, "0 4, 4 26, 22 32, 42 22, 54 6, 44 2, 40 14, 42 34, 34 64, 30 100; 10 58, 58 54"
        ),  # cup, loop, bar
        _V(1, "2 2, 6 22, 24 26, 46 16, 58 0!, 48 40, 36 98; 12 56, 60 52"),  # cup and bar
        _V(0.7, "0 6, 6 24, 26 26, 52 10!, 44 50, 32 98"),  # cup
        _V(
            1.2, "0 2, 8 20, 28 28, 50 22, 58 8, 46 0, 38 12, 38 50, 38 100; 10 64, 72 54"
        ),  # upright, loop, bar
        _V(0.5, "2 8, 22 18, 48 0!, 40 30, 34 56; 6 46, 62 40; 34 44, 26 98"),  # in three strokes
    ),
    8: (
        _V(4, "50 12, 30 1, 10 16, 20 38, 44 58, 54 80, 30 98, 6 82, 16 60, 42 38, 54 16"),  # one stroke
        _V(2, "52 4, 28 4, 8 22, 24 44, 44 62, 46 88, 26 98, 8 84, 22 60, 44 36, 60 8"),  # open at the top
        _V(2, "30 48, 10 30, 14 8, 34 1, 50 14, 44 36, 18 56, 4 78, 22 98, 50 92, 56 68, 28 46"),
        _V(1.5, "30 46, 12 28, 16 6, 36 2, 48 20, 30 46; 30 46, 8 68, 12 94, 36 98, 54 78, 30 46"),
        _V(2, "48 14, 30 2, 10 18, 22 38, 38 58, 38 86, 24 98, 14 84, 24 60, 46 36, 50 14"),  # slim foot
        _V(1.5, "44 6, 24 4, 10 20, 26 42, 42 62, 40 90, 22 98, 10 84, 24 56, 48 26, 66 2"),  # long flick
        _V(1.5, "56 20, 40 2, 12 6, 8 28, 34 42, 54 62, 48 92, 18 96, 6 74, 24 50, 54 30"),  # round
        _V(1.5, "54 16, 40 2, 16 6, 10 26, 28 44, 44 66, 34 94, 12 96, 8 78, 28 52, 60 22"),  # leaning
        _V(1, "22 30, 8 18, 24 2, 46 6, 48 26, 28 52, 10 80, 22 98, 38 86, 32 58, 18 28"),  # slim foot
        _V(
            1.5,
            "30 48, 12 36, 12 12, 30 2, 48 12, 48 36, 30 48; 30 48, 6 62, 6 88, 30 98, 54 88, 54 62, 30 48",
        ),  # two circles
        _V(1.5, "50 18, 36 2, 14 10, 16 30, 44 56, 52 80, 30 98, 8 84, 16 62, 36 46, 44 36"),  # not closed
        _V(1, "34 10, 20 2, 12 14, 22 30, 36 48, 34 80, 22 98, 14 80, 22 50, 34 26"),  # narrow
        _V(
            1, "18 16, 34 22, 52 12, 50 0, 36 2, 28 24, 42 56, 44 80, 28 98, 12 90; 28 40, 2 76"
        ),  # both loops open
    ),
    9: (
        _V(3, "50 14, 28 2, 8 22, 12 46, 34 48, 50 26, 52 8!, 50 50, 46 98"),  # upright tail
        _V(3, "52 18, 36 2, 12 14, 8 40, 28 48, 48 32, 54 10, 50 44, 40 76, 28 100"),  # slanted tail
        _V(2, "50 18, 30 2, 8 20, 14 46, 38 44, 52 18, 52 60, 40 94, 18 98, 4 88"),  # curled tail
        _V(1.5, "54 12, 32 4, 6 28, 10 48, 32 46, 52 16, 46 46, 34 98"),  # flat bowl
        _V(2, "58 10, 36 2, 8 22, 6 42, 28 42, 56 12!, 42 54, 28 98"),  # flat oval
        _V(1.5, "54 18, 30 0, 4 22, 10 56, 36 56, 54 22!, 54 60, 52 98"),  # big bowl
        _V(1.5, "40 8, 20 6, 8 24, 14 42, 34 42, 48 22, 50 14!, 40 56, 32 98"),  # small bowl
        _V(1.5, "46 30, 26 46, 6 36, 10 10, 36 2, 50 16, 48 54, 42 98"),  # one sweep
        _V(1, "46 6, 20 8, 10 32, 26 44, 46 30, 48 6!, 52 50, 50 100"),
        _V(2, "50 14, 28 2, 8 22, 12 46, 34 48, 50 26, 52 8!, 52 60, 46 90, 26 100, 6 92"),  # like a g
        _V(1.5, "48 20, 28 4, 8 22, 14 46, 36 48, 50 22, 50 8!, 50 78, 34 100, 10 96, 2 82"),  # with a hook
        _V(1.5, "52 16, 34 0, 10 14, 8 38, 28 46, 48 32, 54 12, 48 56, 26 88, 4 98"),  # swung tail
        _V(1, "50 10, 28 4, 10 24, 16 46, 38 46, 50 20, 50 4!, 50 98"),  # straight stem
        _V(1.2, "32 20, 20 6, 12 24, 22 38, 32 22, 34 8!, 32 60, 26 100"),  # narrow
        _V(
            1, "38 2, 36 44, 22 54, 12 42, 20 26, 36 30, 36 60, 34 82, 24 100"
        ),  # like a q, its bowl on the stem
    ),
}


def control_points(variant: StrokeVariant) -> FloatArray:
    """Return all control points of a variant, (K, 2), as x and y."""
    return np.concatenate([_read(stroke)[0] for stroke in variant.strokes.split(";")])


def stroke_sizes(variant: StrokeVariant) -> list[int]:
    """Return the number of control points of each stroke."""
    return [len(_read(stroke)[0]) for stroke in variant.strokes.split(";")]


def spline(variant: StrokeVariant, points: int) -> FloatArray:
    """Return the matrix (P, K) that maps control points to about `points` points along the curves.

    The curve is linear in its control points, so one matrix product computes any number of distorted curves.
    """
    read = [_read(stroke) for stroke in variant.strokes.split(";")]
    lengths = [np.linalg.norm(np.diff(control, axis=0), axis=1) for control, _ in read]
    total = sum(length.sum() for length in lengths)
    blocks = [
        _spline_of(control, corners, np.maximum(1, np.ceil(length * points / total)).astype(int))
        for (control, corners), length in zip(read, lengths, strict=True)
    ]
    matrix = np.zeros((sum(len(block) for block in blocks), sum(block.shape[1] for block in blocks)))
    row = column = 0
    for block in blocks:
        matrix[row : row + block.shape[0], column : column + block.shape[1]] = block
        row, column = row + block.shape[0], column + block.shape[1]
    return matrix


def _read(stroke: str) -> tuple[FloatArray, BoolArray]:
    """Parse a stroke; return its control points, (K, 2), and which of them are corners, (K,)."""
    points = [point.strip() for point in stroke.split(",")]
    control = np.array([[float(number) for number in point.rstrip("!").split()] for point in points])
    return control, np.array([point.endswith("!") for point in points])


def _spline_of(control: FloatArray, corners: BoolArray, counts: npt.NDArray[np.int_]) -> FloatArray:
    """Return the matrix of one stroke: `counts[i]` points from control point i to the next, and the last point."""
    count = len(control)
    unit = np.eye(count)
    steps = np.sqrt(np.linalg.norm(np.diff(control, axis=0), axis=1))[:, None]  # centripetal: no overshooting
    slopes = np.diff(unit, axis=0) / steps  # (K − 1, K)
    inner = (slopes[:-1] * steps[1:] + slopes[1:] * steps[:-1]) / (steps[1:] + steps[:-1])
    arriving, leaving = np.empty((count, count)), np.empty((count, count))  # tangents at the control points
    arriving[1:-1] = leaving[1:-1] = inner
    loose_start = np.append(corners[:-1], False) | (np.arange(count) == 0)
    loose_end = corners | (np.arange(count) == count - 1)
    rows = []
    for i in range(count - 1):
        first, last = leaving[i], arriving[i + 1]
        if loose_start[i] and loose_end[i + 1]:
            first = last = slopes[i]
        elif loose_start[i]:
            first = 2 * slopes[i] - last
        elif loose_end[i + 1]:
            last = 2 * slopes[i] - first
        t = np.arange(counts[i])[:, None] / counts[i]
        hermite = (1 + 2 * t) * (1 - t) ** 2 * unit[i] + t * t * (3 - 2 * t) * unit[i + 1]
        rows.append(hermite + steps[i] * (t * (1 - t) ** 2 * first - t * t * (1 - t) * last))
    return np.concatenate([*rows, unit[-1:]])
