"""Draws a set of handwritten digits out of nothing but stroke models, so that a first run needs no download.

A digit is one of several ways of writing it (strokes.py). Its control points tremble, the whole is bent,
slanted, turned and stretched, a pen of some width follows the curve, and the result is fitted the way MNIST
was: into a box of 20 pixels, with the centre of mass on the centre of 28x28.

Axis letters: N digits, K control points, P points along the curve.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from cnncli.data.dataset import SYNTHETIC, Dataset, Split, pixel_statistics
from cnncli.data.synthetic.strokes import WAYS, Way, control_points, spline
from cnncli.pictures.place import BOX, SIZE, center_by_mass
from cnncli.randomness import stream
from cnncli.types import ByteArray, FloatArray

_CHUNK = 24  # digits drawn at once: their distances stay in the cache


@dataclass(frozen=True)
class Hand:
    """How much handwriting varies, as standard deviations or as (mean, standard deviation).

    Chosen so that a network trained on these digits alone reads about 94 % of MNIST. More variation of any
    kind raises that figure a little, at the price of digits that people find hard to read too.

    Args:
        tremble: of each control point, where a digit is 100 high.
        bend: of the six terms of a quadratic bend of the whole digit, which is about 2 high.
        stretch: of the logarithm of width over height.
        slant: of the lean to the right, in degrees.
        turn: of the rotation, in degrees.
        pen: mean radius in pixels of the finished digit, and standard deviation of its logarithm.
        pressure: of the radius along the stroke, relative to itself.
        blur: the edge of a stroke is between these two pixels wide.
    """

    tremble: float = 4.0
    bend: float = 0.15
    stretch: tuple[float, float] = (0.1, 0.2)
    slant: tuple[float, float] = (10.0, 15.0)
    turn: float = 8.0
    pen: tuple[float, float] = (1.32, 0.27)
    pressure: float = 0.15
    blur: tuple[float, float] = (0.9, 1.6)


HAND = Hand()


def make_synthetic(train: int = 6000, test: int = 1000, seed: int = 0) -> Dataset:
    """Return the built-in set: every digit equally often, in a random order.

    Args:
        train, test: how many images.
        seed: the same one gives the same set.

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


def draw_digits(labels: npt.NDArray[np.int64], rng: np.random.Generator, hand: Hand = HAND) -> ByteArray:
    """Draw digits in the form of MNIST.

    Args:
        labels: (N,), 0 to 9.
        rng: decides everything else.
        hand: how much the writing varies.

    Returns:
        (N, 28, 28), uint8.
    """
    images = np.empty((len(labels), SIZE, SIZE), np.uint8)
    for digit, ways in WAYS.items():
        mine = np.flatnonzero(labels == digit)
        chosen = np.array([ways.index(way) for way in _choose(digit, len(mine), rng)], np.intp)
        for number, way in enumerate(ways):
            members = mine[chosen == number]
            for start in range(0, len(members), _CHUNK):
                part = members[start : start + _CHUNK]
                images[part] = _draw_boxes(way, len(part), rng, hand)
    return images


def render_digit(digit: int, size: int, rng: np.random.Generator, pen: float | None = None) -> ByteArray:
    """Draw one digit large, bright on black, not in the form of MNIST but as a picture of it would be.

    Args:
        digit: 0 to 9.
        size: height and width of the picture in pixels; the digit takes four fifths of it.
        rng: decides how it is written.
        pen: width of the stroke in pixels, an eleventh of the size if left out.

    Returns:
        (size, size), uint8.

    Example:
        >>> render_digit(7, 300, np.random.default_rng(1)).shape
        (300, 300)
    """
    sharp = 3  # drawn so many times larger, then averaged: smooth edges
    way = _choose(digit, 1, rng)[0]
    curve = _write(way, 1, rng, HAND, points=4 * size)[0]  # (P, 2)
    low, high = curve.min(axis=0), curve.max(axis=0)
    curve = (curve - (low + high) / 2) * (0.8 * size * sharp / (high - low).max()) + size * sharp / 2
    radius = (size / 11 if pen is None else pen) * sharp / 2
    picture = Image.new("L", (size * sharp, size * sharp))
    draw = ImageDraw.Draw(picture)
    for x, y in curve.tolist():
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return np.asarray(picture.reduce(sharp))


def _choose(digit: int, count: int, rng: np.random.Generator) -> list[Way]:
    """Draw ways of writing a digit by their shares."""
    shares = np.array([way.share for way in WAYS[digit]])
    return [WAYS[digit][number] for number in rng.choice(len(shares), count, p=shares / shares.sum())]


def _draw_boxes(way: Way, count: int, rng: np.random.Generator, hand: Hand) -> ByteArray:
    """Draw a digit several times in the same way, (N, 28, 28)."""
    curves = _write(way, count, rng, hand, points=72)  # (N, P, 2)
    low, high = curves.min(axis=1), curves.max(axis=1)  # (N, 2)
    radius = hand.pen[0] * np.exp(hand.pen[1] * _normal(rng, (count,)))
    scale = (BOX - 2 * radius) / (high - low).max(axis=1)
    curves = (curves - (low + high)[:, None] / 2) * scale[:, None, None] + BOX / 2
    radii = radius[:, None] * _pressure(curves.shape[:2], rng, hand)
    return center_by_mass(_ink(curves, radii, rng.uniform(*hand.blur, (count, 1))))


def _write(way: Way, count: int, rng: np.random.Generator, hand: Hand, points: int) -> FloatArray:
    """Return the path of the pen each time something is written in the same way, (N, P, 2), as x and y."""
    control = control_points(way)  # (K, 2)
    control = control - (control.min(axis=0) + control.max(axis=0)) / 2
    jolts = _normal(rng, (count, len(control) + 2, 2))
    # neighbours tremble together, or a round stroke gets angular; 1.5 keeps the variance
    tremble = (jolts[:, 1:-1] + (jolts[:, :-2] + jolts[:, 2:]) / 2) / np.sqrt(1.5)
    written = control + hand.tremble * tremble  # (N, K, 2)
    x, y = written[..., 0] / 50, written[..., 1] / 50  # about ±0.6 and ±1
    bend = hand.bend * _normal(rng, (6, count, 1))
    x, y = (
        x + bend[0] * y * y + bend[1] * x * y + bend[2] * x * x,
        y + bend[3] * y * y + bend[4] * x * y + bend[5] * x * x,
    )
    x = x * np.exp(hand.stretch[0] + hand.stretch[1] * _normal(rng, (count, 1)))
    slant = hand.slant[0] + hand.slant[1] * _normal(rng, (count, 1))
    x = x - y * np.tan(np.deg2rad(slant))
    turn = hand.turn * _normal(rng, (count, 1))
    cos, sin = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    x, y = cos * x - sin * y, sin * x + cos * y
    drawn: FloatArray = spline(way, points) @ np.stack([x, y], axis=-1)
    return drawn  # (P, K) @ (N, K, 2)


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """Draw from the normal distribution, without the extremes that nobody could read."""
    drawn: FloatArray = rng.standard_normal(shape)
    return drawn.clip(-2, 2)


def _pressure(shape: tuple[int, int], rng: np.random.Generator, hand: Hand) -> FloatArray:
    """Return a factor for the radius at each point of the curves, (N, P), that changes smoothly."""
    along = np.linspace(0, 1, shape[1])
    waves, phases = rng.uniform(0.5, 3, (shape[0], 1)), rng.uniform(0, 2 * np.pi, (shape[0], 1))
    strength = hand.pressure * _normal(rng, (shape[0], 1))
    factor: FloatArray = np.exp(strength * np.sin(2 * np.pi * waves * along + phases))
    return factor


def _ink(curves: FloatArray, radii: FloatArray, blur: FloatArray) -> ByteArray:
    """Ink every pixel of a box by its distance from the curve.

    The squared distance of a pixel p from a point q is |p|² − 2(p·q − |q|²/2), so that the nearest of all
    points is one product of matrices and a maximum. Where the pen is thicker, a point is nearer by r² − r₀².

    Args:
        curves: (N, P, 2), x and y in pixels, 0 the outer edge of the first one.
        radii: (N, P), in pixels.
        blur: width of the edge in pixels, (N, 1).

    Returns:
        (N, 20, 20), uint8.
    """
    rows, columns = np.divmod(np.arange(BOX * BOX), BOX)
    pixels = np.stack([columns + 0.5, rows + 0.5, np.ones(BOX * BOX)]).astype(np.float32)  # (3, 400)
    mean_radius = radii.mean(axis=1, keepdims=True)
    lift = (radii**2 - mean_radius**2 - (curves**2).sum(axis=2)) / 2
    nearness = np.concatenate([curves, lift[..., None]], axis=2).astype(np.float32) @ pixels  # (N, P, 400)
    squared = (pixels[:2] ** 2).sum(axis=0) - 2 * nearness.max(axis=1)
    ink = (mean_radius - np.sqrt(np.maximum(squared, 0))) / blur + 0.5
    grey: ByteArray = (255 * np.clip(ink, 0, 1) + 0.5).astype(np.uint8)
    return grey.reshape(-1, BOX, BOX)
