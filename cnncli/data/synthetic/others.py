"""Draws images of what is no digit, in the form of MNIST, so that a network can learn to be unsure of such things.

Letters and signs are written with the pens of the drawn digits. Random strokes are scribbles. Two or three digits in
one image are no digit either. Blots have a random outline, flat or shaded like the photograph of a thing. Textures are
noise of random coarseness and stripes.

Axis letters: N images, S images of the same kind, H W pixels.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from cnncli.data.synthetic.draw import DEFAULT_STYLE, draw_variant
from cnncli.data.synthetic.signs import SIGNS
from cnncli.data.synthetic.strokes import STROKE_VARIANTS, StrokeVariant
from cnncli.pictures.place import BOX, SIZE, center_by_mass
from cnncli.types import ByteArray, FloatArray

_ALIKE = 8  # images drawn from one random shape

_PRINTED = replace(
    DEFAULT_STYLE,
    tremble=1.5,
    bend=0.04,
    slant=(4.0, 8.0),
    turn=4.0,
    apart=0.0,
    pens=((0.3, 0.8, 0.2), (0.4, 1.6, 0.25), (0.3, 2.6, 0.2)),
    pressure=0.05,
)
"""Letters and signs as a machine prints them: thin to very bold."""


def draw_others(count: int, rng: np.random.Generator) -> ByteArray:
    """Draw images that show no digit, in random order.

    Args:
        count: how many.
        rng: draws everything.

    Returns:
        (N, 28, 28), uint8.

    Example:
        >>> draw_others(5, np.random.default_rng(0)).shape
        (5, 28, 28)
    """
    images = np.empty((count, SIZE, SIZE), np.uint8)
    order = rng.permutation(count)
    kinds, shares = zip(*_KINDS, strict=True)
    done = 0
    while done < count:
        alike = min(_ALIKE, count - done)
        kind = kinds[rng.choice(len(kinds), p=shares)]
        images[order[done : done + alike]] = kind(alike, rng)
        done += alike
    return images


def _signs(count: int, rng: np.random.Generator) -> ByteArray:
    """Draw one letter or sign several times, in half of the cases as if it was printed."""
    sign = StrokeVariant(1, SIGNS[rng.integers(len(SIGNS))])
    return draw_variant(sign, count, rng, _PRINTED if rng.random() < 0.5 else DEFAULT_STYLE)


def _scribbles(count: int, rng: np.random.Generator) -> ByteArray:
    """Draw random strokes: one to four, with corners or without, closed or not."""
    strokes = []
    for _ in range(rng.choice([1, 1, 2, 3, 4])):
        points = rng.integers(5, rng.choice([8, 12, 18, 30]))
        path = rng.uniform(0, [60, 100], (points, 2))
        if rng.random() < 0.4:
            # to and fro, as one fills an area
            path[:, 0] = np.where(
                np.arange(points) % 2, rng.uniform(0, 20), rng.uniform(40, 60)
            ) + rng.normal(0, 4, points)
            path[:, 1] = np.sort(path[:, 1])
        corner = "!" if rng.random() < 0.3 else ""
        written = [f"{x:.0f} {y:.0f}{corner}" for x, y in _apart(path)]
        if rng.random() < 0.15:
            written.append(written[0])
        strokes.append(", ".join(written))
    return draw_variant(StrokeVariant(1, ";".join(strokes)), count, rng, DEFAULT_STYLE)


def _apart(path: FloatArray) -> FloatArray:
    """Return the points of a path without those that coincide with the one before, at least two."""
    rounded = np.round(path)
    kept = np.append(True, np.abs(np.diff(rounded, axis=0)).sum(axis=1) > 0)
    return rounded[kept] if kept.sum() > 1 else np.array([[0.0, 0.0], [60.0, 60.0]])


def _several_digits(count: int, rng: np.random.Generator) -> ByteArray:
    """Draw two or three digits beside each other, or two on top of each other."""
    texts = []
    beside = rng.random() < 0.8
    for place in range(3 if beside and rng.random() < 0.25 else 2):
        variants = STROKE_VARIANTS[int(rng.integers(10))]
        x, y = (72 * place, rng.uniform(-12, 12)) if beside else (rng.uniform(-6, 6), 90 * place)
        texts.append(_moved(variants[rng.integers(len(variants))].strokes, x, y))
    return draw_variant(StrokeVariant(1, ";".join(texts)), count, rng, DEFAULT_STYLE)


def _moved(strokes: str, right: float, down: float) -> str:
    """Return strokes moved to the right and down."""

    def moved(point: str) -> str:
        x, y = point.strip().rstrip("!").split()
        return f"{float(x) + right:.1f} {float(y) + down:.1f}{'!' if point.endswith('!') else ''}"

    return ";".join(", ".join(map(moved, stroke.split(","))) for stroke in strokes.split(";"))


def _blots(count: int, rng: np.random.Generator) -> ByteArray:
    """Draw filled outlines: round, edged, or with two equal halves as many things have."""
    rows, columns = np.mgrid[0:BOX, 0:BOX] + 0.5
    y, x = (rows - BOX / 2) / (BOX / 2), (columns - BOX / 2) / (BOX / 2)
    waves = int(rng.integers(1, 8))
    strength = rng.normal(0, rng.choice([0.05, 0.5, 0.5]) / np.arange(1, waves + 1), (count, waves))
    phase = rng.uniform(0, 2 * np.pi, (count, waves)) * (rng.random() < 0.6)
    stretch = np.exp(rng.normal(0, 0.3, (count, 1, 1)))
    angle = np.arctan2(x / stretch, y * stretch)  # (S, H, W), 0 is upwards or downwards
    distance = np.hypot(x / stretch, y * stretch)
    edge = 0.75 * np.ones_like(angle)
    for wave in range(waves):
        edge += strength[:, wave, None, None] * np.cos((wave + 1) * angle + phase[:, wave, None, None])
    ink = np.clip((edge.clip(0.25, 1.2) - distance) * BOX / 2 / 1.2 + 0.5, 0, 1)
    if rng.random() < 0.6:
        ink *= 0.35 + 0.65 * _noise(count, rng)
    return _boxed(ink)


def _things(count: int, rng: np.random.Generator) -> ByteArray:
    """Draw a few filled rectangles and triangles with equal halves, shaded: clothes, furniture, houses."""
    rows, columns = np.mgrid[0:BOX, 0:BOX] + 0.5
    y, x = rows / BOX, np.abs(columns / BOX - 0.5) * 2  # 0 at the middle, 1 at both sides
    ink = np.zeros((count, BOX, BOX))
    # trousers, coats and dresses are narrow
    x /= rng.uniform(0.35, 0.8) if rng.random() < 0.5 else 1
    legs = rng.random() < 0.4
    for _ in range(rng.integers(2, 5)):
        top = rng.uniform(0, 0.7, (count, 1, 1))
        bottom = top + rng.uniform(0.15, 1, (count, 1, 1))
        upper, lower = rng.uniform(0.1, 1, (2, count, 1, 1))
        gap = rng.uniform(0, 0.3, (count, 1, 1)) * (legs or rng.random() < 0.15)
        along = ((y - top) / (bottom - top)).clip(0, 1)
        wide = upper + (lower - upper) * along
        inside = (y >= top) & (y <= bottom) & (x <= wide) & (x >= gap)
        ink = np.where(inside, rng.uniform(0.3, 1, (count, 1, 1)), ink)
    if rng.random() < 0.4:
        # seen from the side: nothing is equal on both sides
        ink = ink[:, :, : BOX // 2].repeat(2, axis=2)
    if rng.random() < 0.7:
        ink *= 1 - rng.choice([0.3, 0.5, 0.7]) * _noise(count, rng)
    return _boxed(ink)


def _textures(count: int, rng: np.random.Generator) -> ByteArray:
    """Draw noise, cut to a rectangle or not, as it is or in two shades, or stripes and squares."""
    ink = _noise(count, rng)
    if rng.random() < 0.4:
        rows, columns = np.mgrid[0:BOX, 0:BOX]
        turned = rng.uniform(0, np.pi, (count, 1, 1))
        along = np.cos(turned) * rows + np.sin(turned) * columns
        across = np.cos(turned) * columns - np.sin(turned) * rows
        length = rng.uniform(2.5, 9, (count, 1, 1))
        ink = 0.5 + 0.5 * np.sin(2 * np.pi * along / length + rng.uniform(0, 6, (count, 1, 1)))
        if rng.random() < 0.4:
            ink *= 0.5 + 0.5 * np.sin(2 * np.pi * across / length)
    if rng.random() < 0.5:
        ink = np.clip((ink - rng.uniform(0.3, 0.7, (count, 1, 1))) * rng.choice([3, 20]) + 0.5, 0, 1)
    height, width = rng.integers(8, BOX, 2, endpoint=True)
    if rng.random() < 0.5:
        ink[:, :, width:] = 0
    else:
        ink[:, height:] = 0
    return _boxed(ink)


def _noise(count: int, rng: np.random.Generator) -> FloatArray:
    """Return noise of a random coarseness, 0..1, (S, H, W)."""
    cells = int(rng.integers(2, 12))
    coarse = rng.random((count, cells, cells))
    place = np.linspace(0, cells - 1, BOX)
    low = np.minimum(place.astype(int), cells - 2)
    mix = np.zeros((BOX, cells))
    mix[np.arange(BOX), low], mix[np.arange(BOX), low + 1] = 1 - (place - low), place - low
    noise: FloatArray = mix @ coarse @ mix.T
    noise -= noise.min(axis=(1, 2), keepdims=True)
    noise /= np.maximum(noise.max(axis=(1, 2), keepdims=True), 1e-6)
    return noise


def _boxed(ink: FloatArray) -> ByteArray:
    """Make the darkest pixel of each image black, and place it."""
    strongest = np.maximum(ink.max(axis=(1, 2), keepdims=True), 1e-6)
    return center_by_mass((255 * (ink / strongest).clip(0, 1) + 0.5).astype(np.uint8))


_KINDS: tuple[tuple[Callable[[int, np.random.Generator], ByteArray], float], ...] = (
    (_signs, 0.37),
    (_scribbles, 0.2),
    (_several_digits, 0.1),
    (_blots, 0.1),
    (_things, 0.13),
    (_textures, 0.1),
)
