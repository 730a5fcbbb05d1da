"""Makes small, label-keeping changes to training images, so that a network sees more than was written.

Every augmentation works on a batch or a part of one, mixes no images, draws from what it is given and from
nothing else, and keeps shape, type and the range 0..1. What moves in from outside an image is 0, the background
of MNIST.

Axis letters: N batch, C channels, H W image.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from cnncli.batches.draws import Draws
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


def _between(rng: Draws, limit: float, count: int) -> FloatArray:
    """Draw from the uniform distribution between −limit and limit, one number an image."""
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

    A pixel p of the result shows the place zoom⁻¹ · shear⁻¹ · rotation⁻¹ · (p − shift) of the image. Pairs
    are (down, right); shear slants the columns by an angle, as italics do.
    """
    count, _, height, width = images.shape
    angle = np.broadcast_to(np.deg2rad(degrees), count)  # (N,)
    cos, sin = np.cos(angle), np.sin(angle)
    slope = np.tan(np.deg2rad(shear))
    # how far the place sampled moves in the image, for a step (down, right) in the result
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
    """Return how far down and right of the middle each pixel lies, and ones for what is constant: (3, H·W)."""
    places = np.ones((3, height, width), dtype)
    places[0] = np.arange(height)[:, None] - (height - 1) / 2
    places[1] = np.arange(width) - (width - 1) / 2
    places.flags.writeable = False
    return places.reshape(3, -1)


def shift(images: FloatArray, rng: Draws, *, pixels: float) -> FloatArray:
    """Shift by whole pixels, up to ±pixels down and right, which blurs nothing."""
    most = int(pixels)
    down, right = (rng.integers(-most, most, len(images), endpoint=True) for _ in range(2))
    return _move(images, shift=(down, right))


def rotate(images: FloatArray, rng: Draws, *, degrees: float) -> FloatArray:
    """Rotate about the middle by up to ±degrees."""
    return _move(images, degrees=_between(rng, degrees, len(images)))


def zoom(images: FloatArray, rng: Draws, *, factor: float) -> FloatArray:
    """Stretch height and width, each on its own, by 1 − factor to 1 + factor."""
    down, right = 1 + _between(rng, factor, len(images)), 1 + _between(rng, factor, len(images))
    return _move(images, zoom=(down, right))


def shear(images: FloatArray, rng: Draws, *, degrees: float) -> FloatArray:
    """Slant to the left or right by up to ±degrees."""
    return _move(images, shear=_between(rng, degrees, len(images)))


def affine(
    images: FloatArray, rng: Draws, *, degrees: float, zoom: float, shift: float, shear: float
) -> FloatArray:
    """Rotate, stretch, shift (parts of pixels too) and shear at once: one interpolation instead of four."""
    count = len(images)
    return _move(
        images,
        degrees=_between(rng, degrees, count),
        shear=_between(rng, shear, count),
        zoom=(1 + _between(rng, zoom, count), 1 + _between(rng, zoom, count)),
        shift=(_between(rng, shift, count), _between(rng, shift, count)),
    )


def elastic(images: FloatArray, rng: Draws, *, alpha: float, sigma: float) -> FloatArray:
    """Displace every pixel by a smooth random field, as a hand that trembles does.

    field = alpha · Gaussian(sigma) ∗ uniform(−1, 1), one for the rows and one for the columns.
    Source: Simard, Steinkraus, Platt: Best practices for convolutional neural networks (2003), section 2.

    Args:
        alpha: strength; at sigma 4 an alpha of 34 moves a pixel by about 1.4 pixels.
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
    """Return the matrix (size, size) that blurs a vector with a Gaussian; beyond its ends are zeros."""
    distance = np.subtract.outer(np.arange(size), np.arange(size))
    bell: FloatArray = np.exp(-0.5 * (distance / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    return bell.astype(np.float32)


def erase(images: FloatArray, rng: Draws, *, size: float) -> FloatArray:
    """Black out one square of size × size, whose middle may lie on any pixel.

    Source: DeVries, Taylor: Improved regularization of convolutional neural networks with cutout (2017).
    """
    count, _, height, width = images.shape
    top = rng.integers(height, size=(count, 1)) - int(size) // 2
    left = rng.integers(width, size=(count, 1)) - int(size) // 2
    r, c = np.arange(height), np.arange(width)
    in_rows, in_columns = (r >= top) & (r < top + size), (c >= left) & (c < left + size)  # (N, H), (N, W)
    erased = in_rows[:, None, :, None] & in_columns[:, None, None, :]  # (N, 1, H, W)
    return np.where(erased, images.dtype.type(0), images)


def noise(images: FloatArray, rng: Draws, *, std: float) -> FloatArray:
    """Add Gaussian noise of a standard deviation, in units of 0..1, and clip."""
    noisy = rng.standard_normal(images.shape, np.float32).astype(images.dtype, copy=False)
    noisy *= images.dtype.type(std)
    noisy += images
    return np.clip(noisy, 0, 1, out=noisy)


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
    "erase": Transform(erase, {"size": Range(8, 0, 1000, whole=True)}),
    "noise": Transform(noise, {"std": Range(0.1, 0, 10)}),
}


def make_augmentation(
    specs: Sequence[Iterable[Any]],
) -> Callable[[FloatArray, Draws], FloatArray] | None:
    """Chain augmentations into one function of images and a generator.

    Args:
        specs: pairs (name, options) in the order of their application. The option "_" stands for the first
            one of the augmentation, so that `rotate: 10` may be written; what is left out has its default.

    Returns:
        The chain, or None when there is nothing to do.

    Raises:
        ModelError: a name or an option is unknown, or a value is out of range. The key path is (index, option).

    Example:
        >>> augment = make_augmentation([("rotate", {"degrees": 15}), ("noise", {"_": 0.05})])
        >>> augment(np.zeros((2, 1, 28, 28), np.float32), np.random.default_rng(1)).shape
        (2, 1, 28, 28)
    """
    steps = [_checked(index, *spec) for index, spec in enumerate(specs)]
    if not steps:
        return None

    def augment(images: FloatArray, rng: Draws) -> FloatArray:
        for apply, options in steps:
            images = apply(images, rng, **options)
        return images

    return augment


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
