"""Data augmentation: small random changes of training images that keep their labels.

Every augmentation works on a batch or on a part of one and treats each image separately. It draws random numbers only
from its argument, and keeps shape, dtype and the range 0..1. Pixels from outside an image are 0, the background of
MNIST.

Axis letters: N batch, C channels, H W image.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from cnncli.batches.random_source import RandomSource
from cnncli.batches.warp import warp
from cnncli.options import full_names, inside, integer, look_up, real
from cnncli.types import FloatArray


@dataclass(frozen=True)
class Range:
    """The default and the limits of one option."""

    default: float
    low: float
    high: float
    whole: bool = False

    def checked(self, name: str, value: object) -> float:
        """Return the value, or raise a ModelError when it is outside the range."""
        if self.whole:
            return integer(name, value, at_least=int(self.low), at_most=int(self.high))
        return real(name, value, at_least=self.low, at_most=self.high)


@dataclass(frozen=True)
class Transform:
    """An entry of the table of augmentations. `rotate: 10` sets its first option."""

    apply: Callable[..., FloatArray]
    options: dict[str, Range]


def _between(rng: RandomSource, limit: float, count: int) -> FloatArray:
    """Draw one number per image from the uniform distribution between −limit and limit."""
    return limit * rng.uniform(-1, 1, count)


def _move(
    images: FloatArray,
    *,
    degrees: FloatArray | float = 0.0,
    shear: FloatArray | float = 0.0,
    zoom: tuple[FloatArray | float, FloatArray | float] = (1.0, 1.0),
    shift: tuple[FloatArray | float, FloatArray | float] = (0.0, 0.0),
) -> FloatArray:
    """Zoom, shear, rotate counter-clockwise and shift each image about its middle, in this order.

    Pixel p of the result is sampled from the image at zoom⁻¹ · shear⁻¹ · rotation⁻¹ · (p − shift). Pairs are
    (down, right). Shear slants the columns by an angle, like italics.
    """
    count, _, height, width = images.shape
    angle = np.broadcast_to(np.deg2rad(degrees), count)  # (N,)
    cos, sin = np.cos(angle), np.sin(angle)
    slope = np.tan(np.deg2rad(shear))
    # how far the sampled position moves in the image for a step (down, right) in the result
    down_down, down_right = cos / zoom[0], sin / zoom[0]
    right_down, right_right = (slope * cos - sin) / zoom[1], (slope * sin + cos) / zoom[1]
    moves = np.empty((2, count, 3), images.dtype)
    moves[0, :, 0], moves[0, :, 1], moves[1, :, 0], moves[1, :, 1] = (
        down_down,
        down_right,
        right_down,
        right_right,
    )
    moves[0, :, 2] = (height - 1) / 2 - down_down * shift[0] - down_right * shift[1]
    moves[1, :, 2] = (width - 1) / 2 - right_down * shift[0] - right_right * shift[1]
    rows, columns = (moves @ _from_middle(height, width, images.dtype)).reshape(2, count, height, width)
    return warp(images, rows, columns)


@lru_cache(4)
def _from_middle(height: int, width: int, dtype: np.dtype[Any]) -> FloatArray:
    """Return the offsets of each pixel down and right from the middle, and ones for the constant term: (3, H·W)."""
    offsets = np.ones((3, height, width), dtype)
    offsets[0] = np.arange(height)[:, None] - (height - 1) / 2
    offsets[1] = np.arange(width) - (width - 1) / 2
    offsets.flags.writeable = False
    return offsets.reshape(3, -1)


def shift(images: FloatArray, rng: RandomSource, *, pixels: float) -> FloatArray:
    """Shift by up to ±pixels down and right, by whole pixels, so that nothing is blurred."""
    most = int(pixels)
    down, right = (rng.integers(-most, most, len(images), endpoint=True) for _ in range(2))
    return _move(images, shift=(down, right))


def rotate(images: FloatArray, rng: RandomSource, *, degrees: float) -> FloatArray:
    """Rotate about the middle by up to ±degrees."""
    return _move(images, degrees=_between(rng, degrees, len(images)))


def zoom(images: FloatArray, rng: RandomSource, *, factor: float) -> FloatArray:
    """Stretch height and width independently by 1 − factor to 1 + factor."""
    down, right = 1 + _between(rng, factor, len(images)), 1 + _between(rng, factor, len(images))
    return _move(images, zoom=(down, right))


def shear(images: FloatArray, rng: RandomSource, *, degrees: float) -> FloatArray:
    """Slant to the left or right by up to ±degrees."""
    return _move(images, shear=_between(rng, degrees, len(images)))


def affine(
    images: FloatArray, rng: RandomSource, *, degrees: float, zoom: float, shift: float, shear: float
) -> FloatArray:
    """Rotate, stretch, shift (also by fractions of pixels) and shear with one interpolation instead of four."""
    count = len(images)
    return _move(
        images,
        degrees=_between(rng, degrees, count),
        shear=_between(rng, shear, count),
        zoom=(1 + _between(rng, zoom, count), 1 + _between(rng, zoom, count)),
        shift=(_between(rng, shift, count), _between(rng, shift, count)),
    )


def elastic(images: FloatArray, rng: RandomSource, *, alpha: float, sigma: float) -> FloatArray:
    """Displace every pixel by a smooth random field, like the tremor of a hand.

    field = alpha · Gaussian(sigma) ∗ uniform(−1, 1), separately for rows and columns.
    Source: Simard, Steinkraus, Platt: Best practices for convolutional neural networks (2003), section 2.

    Args:
        alpha: strength; with sigma 4, an alpha of 34 moves a pixel by about 1.4 pixels.
        sigma: standard deviation of the smoothing, in pixels.
    """
    count, _, height, width = images.shape
    drawn = np.stack([rng.random((count, height, width), np.float32) for _ in range(2)])
    drawn *= 2
    drawn -= 1
    field = np.float32(alpha) * (_smoothing(height, sigma) @ drawn @ _smoothing(width, sigma))
    rows = field[0] + np.arange(height, dtype=np.float32)[:, None]
    columns = field[1] + np.arange(width, dtype=np.float32)
    return warp(images, rows, columns)


def _smoothing(size: int, sigma: float) -> FloatArray:
    """Return the matrix (size, size) that blurs a vector with a Gaussian, with zeros beyond the ends."""
    distance = np.subtract.outer(np.arange(size), np.arange(size))
    bell: FloatArray = np.exp(-0.5 * (distance / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    return bell.astype(np.float32)


def thickness(images: FloatArray, rng: RandomSource, *, pixels: float) -> FloatArray:
    """Make strokes thicker or thinner by up to ±pixels on each side, with a finer or a broader pen.

    A stroke grows by one pixel where each pixel becomes the brightest of itself and its four neighbors, and shrinks by
    one where it becomes the darkest. Fractions of a pixel are between the image and that one.
    """
    change = _between(rng, pixels, len(images))
    changed = images.copy()
    for sign, extreme in ((1, np.maximum), (-1, np.minimum)):
        left = (sign * change).clip(0)  # pixels that an image still has to change by
        while (chosen := np.flatnonzero(left > 0)).size:
            some = changed[chosen]
            reached = some.copy()
            extreme(reached[:, :, 1:], some[:, :, :-1], out=reached[:, :, 1:])
            extreme(reached[:, :, :-1], some[:, :, 1:], out=reached[:, :, :-1])
            extreme(reached[..., 1:], some[..., :-1], out=reached[..., 1:])
            extreme(reached[..., :-1], some[..., 1:], out=reached[..., :-1])
            part = left[chosen].clip(0, 1).astype(images.dtype)[:, None, None, None]
            changed[chosen] = some + part * (reached - some)
            left -= 1
    return changed


def erase(images: FloatArray, rng: RandomSource, *, size: float) -> FloatArray:
    """Black out a square of size × size pixels whose middle is a random pixel.

    Source: DeVries, Taylor: Improved regularization of convolutional neural networks with cutout (2017).
    """
    count, _, height, width = images.shape
    top = rng.integers(height, size=(count, 1)) - int(size) // 2
    left = rng.integers(width, size=(count, 1)) - int(size) // 2
    r, c = np.arange(height), np.arange(width)
    in_rows, in_columns = (r >= top) & (r < top + size), (c >= left) & (c < left + size)  # (N, H), (N, W)
    erased = in_rows[:, None, :, None] & in_columns[:, None, None, :]  # (N, 1, H, W)
    return np.where(erased, images.dtype.type(0), images)


def noise(images: FloatArray, rng: RandomSource, *, std: float) -> FloatArray:
    """Add Gaussian noise with a standard deviation in units of 0..1, and clip to 0..1."""
    noisy = rng.standard_normal(images.shape, np.float32).astype(images.dtype, copy=False)
    noisy *= images.dtype.type(std)
    noisy += images
    return np.clip(noisy, 0, 1, out=noisy)


def flip(images: FloatArray, rng: RandomSource, *, chance: float) -> FloatArray:
    """Mirror an image left to right, with a probability of `chance`.

    Digits and letters are not the same in a mirror, so this is for photos and clothes.
    """
    mirrored = rng.random(len(images)) < chance
    return np.where(mirrored[:, None, None, None], images[..., ::-1], images)


def brightness(images: FloatArray, rng: RandomSource, *, factor: float) -> FloatArray:
    """Multiply the pixels of each image by 1 − factor to 1 + factor, and clip them to 0..1."""
    gain = (1 + _between(rng, factor, len(images))).astype(images.dtype)
    brighter: FloatArray = images * gain[:, None, None, None]
    return np.clip(brighter, 0, 1, out=brighter)


def contrast(images: FloatArray, rng: RandomSource, *, factor: float) -> FloatArray:
    """Multiply each image's differences from its mean by 1 − factor to 1 + factor, and clip its pixels to 0..1."""
    more = _between(rng, factor, len(images)).astype(images.dtype)
    changed: FloatArray = images - images.mean(axis=(1, 2, 3), keepdims=True)
    changed *= more[:, None, None, None]
    changed += images
    return np.clip(changed, 0, 1, out=changed)


_ANGLE = Range(10, 0, 180)
_SHIFT = Range(2, 0, 1000)
_FACTOR = Range(0.1, 0, 0.9)

AUGMENTATIONS: dict[str, Transform] = {
    "shift": Transform(shift, {"pixels": Range(2, 0, 1000, whole=True)}),
    "rotate": Transform(rotate, {"degrees": _ANGLE}),
    "zoom": Transform(zoom, {"factor": _FACTOR}),
    "shear": Transform(shear, {"degrees": Range(10, 0, 80)}),
    "affine": Transform(
        affine, {"degrees": _ANGLE, "zoom": _FACTOR, "shift": _SHIFT, "shear": Range(0, 0, 80)}
    ),
    "elastic": Transform(elastic, {"alpha": Range(34, 0, 10_000), "sigma": Range(4, 0.1, 1000)}),
    "thickness": Transform(thickness, {"pixels": Range(0.5, 0, 10)}),
    "erase": Transform(erase, {"size": Range(8, 0, 1000, whole=True)}),
    "noise": Transform(noise, {"std": Range(0.1, 0, 10)}),
    "flip": Transform(flip, {"chance": Range(0.5, 0, 1)}),
    "brightness": Transform(brightness, {"factor": Range(0.2, 0, 1)}),
    "contrast": Transform(contrast, {"factor": Range(0.2, 0, 1)}),
}


def make_augmentation(
    specs: Sequence[Iterable[Any]], *, first: int = 0
) -> Callable[[FloatArray, RandomSource], FloatArray] | None:
    """Chain augmentations into one function of images and a generator.

    Args:
        specs: pairs (name, options) in the order in which they are applied. The option "_" is the first option of the
            augmentation, which a config sets by `rotate: 10`. Omitted options have their defaults.
        first: the position of the first pair in the whole list, for error messages.

    Returns:
        The chain, or None for no augmentation.

    Raises:
        ModelError: a name or an option is unknown, or a value is out of range. The key path is (index, option).

    Example:
        >>> augment = make_augmentation([("rotate", {"degrees": 15}), ("noise", {"_": 0.05})])
        >>> augment(np.zeros((2, 1, 28, 28), np.float32), np.random.default_rng(1)).shape
        (2, 1, 28, 28)
    """
    steps = tuple(_checked(index, *spec) for index, spec in enumerate(specs, first))
    return _Chain(steps) if steps else None


@dataclass(frozen=True)
class _Chain:
    """Augmentations one after another; a class, so that it can be sent to another process."""

    steps: tuple[tuple[Callable[..., FloatArray], dict[str, float]], ...]

    def __call__(self, images: FloatArray, rng: RandomSource) -> FloatArray:
        for apply, options in self.steps:
            images = apply(images, rng, **options)
        return images


def _checked(
    index: int, kind: str, options: Mapping[str, object]
) -> tuple[Callable[..., FloatArray], dict[str, float]]:
    """Return the function of an augmentation and all its options."""
    with inside(f"augmentation {index + 1}", index):
        transform = look_up(AUGMENTATIONS, "augmentation", kind, key_path=())
    with inside(f"augmentation {index + 1} ({kind})", index):
        given = full_names(kind, options, transform.options, main=next(iter(transform.options)))
        return transform.apply, {
            name: allowed.checked(name, given.get(name, allowed.default))
            for name, allowed in transform.options.items()
        }
