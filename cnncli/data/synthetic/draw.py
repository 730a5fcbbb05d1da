"""Draws the built-in set of handwritten digits, so that a first training run needs no download.

A digit is drawn from one of several stroke models (strokes.py). Its control points get random offsets, the digit is
bent, stretched, slanted and rotated, and a pen of random width follows the curve. The result has the form of MNIST:
scaled to a box of 20x20 pixels, with the center of mass at the center of 28x28 pixels.

Axis letters: N digits, K control points, P points along the curve.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cnncli.data.dataset import SYNTHETIC, Dataset, Split, pixel_statistics
from cnncli.data.synthetic.strokes import (
    STROKE_VARIANTS,
    StrokeVariant,
    control_points,
    spline,
    stroke_sizes,
)
from cnncli.pictures.place import BOX, SIZE, center_by_mass
from cnncli.randomness import stream
from cnncli.types import ByteArray, FloatArray

_CHUNK = 24  # digits drawn at once, so that their distances fit into the cache


@dataclass(frozen=True)
class WritingStyle:
    """How much the handwriting varies, as standard deviations or as pairs (mean, standard deviation).

    With the default values, a network trained on 60,000 of these digits alone reads 98 % of MNIST (README.md). More
    tremble and bend raise that figure, but give digits that people cannot read either.

    Args:
        tremble: the offset of each control point, for a digit 100 high.
        bend: each of the six terms of a quadratic bend of the digit, which is about 2 high.
        stretch: the logarithm of width over height.
        slant: the slant to the right, in degrees.
        turn: the rotation, in degrees.
        apart: the offset of each stroke from where the others expect it, for a digit 100 high.
        pens: for each kind of pen its share, the mean radius in pixels of the 28x28 image, and the standard deviation
            of the logarithm of the radius: pencil, ball pen, felt pen.
        pressure: the change of the radius along a stroke, relative to the radius.
        blur: the smallest and largest width of the edge of a stroke, in pixels.
        grain: the share of digits drawn with a pencil that leaves gaps in the grain of the paper.
        coarse: the share of digits that a scanner or a tablet stores as a bitmap of few pixels.
        grids: the smallest and largest size of such a bitmap, in pixels.
    """

    tremble: float = 5.0
    bend: float = 0.18
    stretch: tuple[float, float] = (0.1, 0.2)
    slant: tuple[float, float] = (10.0, 15.0)
    turn: float = 8.0
    apart: float = 3.0
    pens: tuple[tuple[float, float, float], ...] = ((0.15, 0.9, 0.2), (0.6, 1.3, 0.22), (0.25, 1.8, 0.25))
    pressure: float = 0.15
    blur: tuple[float, float] = (0.9, 1.6)
    grain: float = 0.06
    coarse: float = 0.12
    grids: tuple[int, int] = (11, 18)


DEFAULT_STYLE = WritingStyle()


def make_synthetic(train: int = 6000, test: int = 1000, seed: int = 0) -> Dataset:
    """Draw the built-in set, with equally many images of every digit, in random order.

    Args:
        train, test: the number of images in each split.
        seed: equal seeds give equal sets.

    Example:
        >>> make_synthetic(train=20, test=10).train.images.shape
        (20, 28, 28)
    """
    rng = stream(seed, SYNTHETIC)
    labels = rng.permutation(np.arange(train + test) % 10)
    images = draw_digits(labels, rng)
    splits = Split(images[:train], labels[:train]), Split(images[train:], labels[train:])
    mean, std = pixel_statistics(images[:train])
    return Dataset(SYNTHETIC, *splits, tuple("0123456789"), mean, std)


def draw_digits(
    labels: npt.NDArray[np.int64], rng: np.random.Generator, style: WritingStyle = DEFAULT_STYLE
) -> ByteArray:
    """Draw digits in the form of MNIST.

    Args:
        labels: (N,), 0 to 9.
        rng: draws everything else.
        style: how much the writing varies.

    Returns:
        (N, 28, 28), uint8.
    """
    images = np.empty((len(labels), SIZE, SIZE), np.uint8)
    for digit, variants in STROKE_VARIANTS.items():
        of_digit = np.flatnonzero(labels == digit)
        chosen = _choose(digit, len(of_digit), rng)
        for number, variant in enumerate(variants):
            of_variant = of_digit[chosen == number]
            for start in range(0, len(of_variant), _CHUNK):
                chunk = of_variant[start : start + _CHUNK]
                images[chunk] = draw_variant(variant, len(chunk), rng, style)
    return images


def _choose(digit: int, count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw the indices of variants of a digit, (count,), by their shares."""
    shares = np.array([variant.share for variant in STROKE_VARIANTS[digit]])
    return rng.choice(len(shares), count, p=shares / shares.sum())


def draw_variant(
    variant: StrokeVariant, count: int, rng: np.random.Generator, style: WritingStyle
) -> ByteArray:
    """Draw a variant several times, (N, 28, 28)."""
    curves = _write(variant, count, rng, style, points=72)  # (N, P, 2)
    low, high = curves.min(axis=1), curves.max(axis=1)  # (N, 2)
    shares, means, deviations = np.array(style.pens).T
    pen = rng.choice(len(shares), count, p=shares / shares.sum())
    radius = means[pen] * np.exp(deviations[pen] * _normal(rng, (count,)))
    scale = (BOX - 2 * radius) / (high - low).max(axis=1)
    curves = (curves - (low + high)[:, None] / 2) * scale[:, None, None] + BOX / 2
    radii = radius[:, None] * _pressure(curves.shape[:2], rng, style)
    ink = _ink(curves, radii, rng.uniform(*style.blur, (count, 1)))
    ink = _grain(ink, rng, style)
    few = np.flatnonzero(rng.random(count) < style.coarse)
    if len(few):
        grid = int(rng.integers(style.grids[0], style.grids[1], endpoint=True))
        ink[few] = _bitmap(curves[few], radii[few], grid, rng)
    return center_by_mass((255 * ink + 0.5).astype(np.uint8))


def _write(
    variant: StrokeVariant, count: int, rng: np.random.Generator, style: WritingStyle, points: int
) -> FloatArray:
    """Distort a variant several times; return the path of the pen each time, (N, P, 2), as x and y."""
    control = control_points(variant)  # (K, 2)
    control = control - (control.min(axis=0) + control.max(axis=0)) / 2
    jolts = _normal(rng, (count, len(control) + 2, 2))
    # the offsets of neighbors are averaged, to keep round strokes round; 1.5 keeps the variance
    tremble = (jolts[:, 1:-1] + (jolts[:, :-2] + jolts[:, 2:]) / 2) / np.sqrt(1.5)
    stroke = np.repeat(np.arange(len(sizes := stroke_sizes(variant))), sizes)  # of each control point
    offsets = style.apart * _normal(rng, (count, len(sizes), 2)) * (len(sizes) > 1)
    written = control + style.tremble * tremble + offsets[:, stroke]  # (N, K, 2)
    x, y = written[..., 0] / 50, written[..., 1] / 50  # about ±0.6 and ±1
    bend = style.bend * _normal(rng, (6, count, 1))
    x, y = (
        x + bend[0] * y * y + bend[1] * x * y + bend[2] * x * x,
        y + bend[3] * y * y + bend[4] * x * y + bend[5] * x * x,
    )
    x = x * np.exp(style.stretch[0] + style.stretch[1] * _normal(rng, (count, 1)))
    slant = style.slant[0] + style.slant[1] * _normal(rng, (count, 1))
    x = x - y * np.tan(np.deg2rad(slant))
    turn = style.turn * _normal(rng, (count, 1))
    cos, sin = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    x, y = cos * x - sin * y, sin * x + cos * y
    drawn: FloatArray = spline(variant, points) @ np.stack([x, y], axis=-1)
    return drawn  # (P, K) @ (N, K, 2)


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """Draw from the normal distribution, clipped, because nobody could read the extremes."""
    drawn: FloatArray = rng.standard_normal(shape)
    return drawn.clip(-2, 2)


def _pressure(shape: tuple[int, int], rng: np.random.Generator, style: WritingStyle) -> FloatArray:
    """Return a smooth factor for the radius at each point of the curves, (N, P)."""
    along = np.linspace(0, 1, shape[1])
    waves, phases = rng.uniform(0.5, 3, (shape[0], 1)), rng.uniform(0, 2 * np.pi, (shape[0], 1))
    strength = style.pressure * _normal(rng, (shape[0], 1))
    factor: FloatArray = np.exp(strength * np.sin(2 * np.pi * waves * along + phases))
    return factor


def _grain(ink: FloatArray, rng: np.random.Generator, style: WritingStyle) -> FloatArray:
    """Take ink away in spots for the share `style.grain` of the digits, as the grain of paper does to a pencil."""
    rough = np.flatnonzero(rng.random(len(ink)) < style.grain)
    spots = rng.random((len(rough), BOX // 2, BOX // 2)).repeat(2, axis=1).repeat(2, axis=2)
    strength = rng.uniform(0.2, 0.8, (len(rough), 1, 1))
    ink[rough] *= 1 - strength * spots
    return ink


def _bitmap(curves: FloatArray, radii: FloatArray, grid: int, rng: np.random.Generator) -> FloatArray:
    """Draw digits as bitmaps of grid x grid pixels, half of them black and white only, and enlarge them.

    Returns:
        (N, 20, 20), 0..1.
    """
    scale = grid / BOX
    small = _ink(curves * scale, np.maximum(radii * scale, 0.55), np.full((len(curves), 1), 0.8), grid)
    sharp = rng.random(len(small)) < 0.5
    small[sharp] = small[sharp] > 0.4
    enlarge = _area_weights(grid, BOX)
    return enlarge @ small @ enlarge.T


def _area_weights(old: int, new: int) -> FloatArray:
    """Return the matrix (new, old) that averages pixels over the area of each new pixel."""
    edges = np.arange(new + 1) * (old / new)
    low, high = np.maximum(edges[:-1, None], np.arange(old)), np.minimum(edges[1:, None], np.arange(old) + 1)
    covered: FloatArray = np.maximum(high - low, 0) * (new / old)
    return covered


def _ink(curves: FloatArray, radii: FloatArray, blur: FloatArray, size: int = BOX) -> FloatArray:
    """Compute the ink of every pixel of a box from its distance to the curve.

    The squared distance of a pixel p from a point q is |p|² − 2(p·q − |q|²/2), so one matrix product and a maximum
    find the nearest point. A radius r above the mean radius r₀ reduces the squared distance by r² − r₀².

    Args:
        curves: (N, P, 2), x and y in pixels, where 0 is the outer edge of the first pixel.
        radii: (N, P), pen radius in pixels.
        blur: (N, 1), width of the edge in pixels.
        size: pixels of a side of the box.

    Returns:
        (N, size, size), 0..1.
    """
    rows, columns = np.divmod(np.arange(size * size), size)
    pixels = np.stack([columns + 0.5, rows + 0.5, np.ones(size * size)]).astype(
        np.float32
    )  # (3, size * size)
    mean_radius = radii.mean(axis=1, keepdims=True)
    lift = (radii**2 - mean_radius**2 - (curves**2).sum(axis=2)) / 2
    nearness = (
        np.concatenate([curves, lift[..., None]], axis=2).astype(np.float32) @ pixels
    )  # (N, P, size * size)
    squared = (pixels[:2] ** 2).sum(axis=0) - 2 * nearness.max(axis=1)
    ink = (mean_radius - np.sqrt(np.maximum(squared, 0))) / blur + 0.5
    clipped: FloatArray = np.clip(ink, 0, 1)
    return clipped.reshape(-1, size, size)
