"""Estimates the brightness of the paper at each pixel of a picture, in spite of ink, shadows and uneven light."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image

from cnncli.types import BoolArray, FloatArray

_UNEVEN = 0.1  # of the border differs from the paper: there may be shadows on it


def deviations_from_paper(plane: FloatArray) -> tuple[FloatArray, FloatArray | None]:
    """Return how much brighter each pixel is than the paper, (H, W); if the border is uneven, also by another estimate.

    The brightness of the paper is that of the border, extrapolated to the inside as a smooth surface. If there are
    shadows on the border, it is the median nearby.
    """
    ring = np.ones(plane.shape, bool)
    depth = max(1, round(0.04 * min(plane.shape)))
    ring[depth:-depth, depth:-depth] = False
    border = plane[ring]
    if np.ptp(border) == 0:  # no shadow is there, as in a drawing
        return plane - border[0], None
    deviation = plane - _paper_of_border(plane, ring)
    off = np.abs(deviation)
    contrast = float(np.quantile(off, 0.99))
    outlying = ring & (off > 0.15 * contrast)
    if outlying.sum() <= _UNEVEN * ring.sum():
        return deviation, None
    other = plane - _paper_of_medians(plane)
    if outlying.sum() > 0.25 * ring.sum():
        across = np.abs(np.diff(plane, axis=0))[(outlying[1:] != outlying[:-1]) & ring[1:] & ring[:-1]]
        along = np.abs(np.diff(plane, axis=1))[
            (outlying[:, 1:] != outlying[:, :-1]) & ring[:, 1:] & ring[:, :-1]
        ]
        jumps = np.concatenate([across, along])
        if jumps.size and jumps.mean() < 0.12 * contrast:
            return other, None  # no sharp edges: there are shadows on the border
    return deviation, other


def polarity_of(deviation: FloatArray) -> float:
    """Return -1 if all that differs from the paper is darker, 1 if all is brighter."""
    size = np.abs(deviation)
    noise = 4 * median_from_zero(size) if size.size > 4 else 0.0
    strong = np.where(size > min(noise, 40), deviation, 0)
    squares = strong**2
    return float((np.sign(strong) * squares).sum() / max(float(squares.sum()), 1e-9))


def median_from_zero(values: FloatArray) -> float:
    """Return the median of values of which none is below 0.

    It is 0 if most values are, as in a drawing; to count them is ten times as fast as to find a median.

    Example:
        >>> median_from_zero(np.array([0.0, 3.0, 0.0])), median_from_zero(np.array([1.0, 2.0]))
        (0.0, 1.5)
    """
    return 0.0 if 2 * np.count_nonzero(values) < values.size else float(np.median(values))


def darkness_of(grey: FloatArray, share: float) -> FloatArray:
    """Return how much darker each pixel is than the paper around it: 1 − grey / paper, in 0..1, (H, W).

    The brightness of the paper comes from a morphological closing of a small copy: a maximum over windows, then a
    minimum. It fills strokes that are narrower than the window and keeps shadows that are wider.

    Args:
        grey: (H, W).
        share: the width of the window, as a part of the shorter side.
    """
    small = _shrink(grey, 96)
    window = max(3, round(share * min(small.shape))) | 1
    closed = _sliding_extreme(_sliding_extreme(small, window, np.maximum), window, np.minimum)
    paper = enlarge(_sliding(closed, 5, np.mean).clip(16), grey.shape)
    darker = np.divide(grey, paper)  # large arrays: one at a time
    del paper
    np.subtract(1, darker, out=darker)
    return np.clip(darker, 0, 1, out=darker)


def _paper_of_medians(plane: FloatArray) -> FloatArray:
    """Return the median in a wide window around each pixel, computed on a smaller copy, (H, W)."""
    small = _shrink(plane, 64)
    reach = max(1, round(0.15 * max(small.shape)))
    padded = np.pad(small, reach, mode="reflect")  # "edge" would widen a thin frame
    views = np.lib.stride_tricks.sliding_window_view(padded, (2 * reach + 1, 2 * reach + 1))
    return enlarge(np.median(views, axis=(2, 3)).astype(np.float32), plane.shape)


def _paper_of_border(plane: FloatArray, ring: BoolArray) -> FloatArray:
    """Fit a quadratic surface to the border of a plane without its outliers; return the surface (H, W)."""
    values = plane[ring].astype(np.float64)
    terms = _quadratic_terms(*plane.shape)
    inputs = terms[ring]
    fits = np.abs(values - np.median(values)) <= 40
    for _ in range(4):
        if fits.sum() < 24:
            return np.full_like(plane, np.median(values))
        weights = np.linalg.lstsq(inputs[fits], values[fits], rcond=None)[0]
        residual = np.abs(values - inputs @ weights)
        fits = residual <= max(3 * 1.4826 * float(np.median(residual[fits])), 2)
    surface: FloatArray = (terms @ weights).clip(plane.min(), plane.max()).astype(np.float32)
    return surface


@lru_cache(maxsize=4)
def _quadratic_terms(height: int, width: int) -> FloatArray:
    """Return 1, x, y, x², xy and y² at each pixel, (H, W, 6), with x and y from -1 to 1."""
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    terms: FloatArray = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    terms.setflags(write=False)
    return terms


def _shrink(plane: FloatArray, longest: int) -> FloatArray:
    """Shrink a plane so that its longer side is at most `longest` pixels."""
    height, width = plane.shape
    factor = min(1, longest / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BOX))


def enlarge(plane: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Enlarge a plane to (height, width)."""
    height, width = shape
    return np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR))


def _sliding(plane: FloatArray, window: int, function: Callable[..., FloatArray]) -> FloatArray:
    """Apply a function to a window around each pixel, first along columns, then along rows."""
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (window // 2, window // 2)
        views = np.lib.stride_tricks.sliding_window_view(np.pad(plane, pad, mode="edge"), window, axis=axis)
        plane = function(views, axis=-1)
    return plane


def _sliding_extreme(plane: FloatArray, window: int, extreme: np.ufunc) -> FloatArray:
    """Apply np.maximum or np.minimum to a window around each pixel, first along columns, then along rows.

    A window of 2n pixels is two of n, so the work grows with the logarithm of the window.
    """
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (window // 2, window // 2)
        count = plane.shape[axis]
        # along the first axis; each entry covers `width` pixels from its place on
        covering, width = np.pad(plane, pad, mode="edge").swapaxes(0, axis), 1
        while 2 * width <= window:
            covering, width = extreme(covering[:-width], covering[width:]), 2 * width
        plane = extreme(covering[:count], covering[window - width :]).swapaxes(0, axis)
    return plane
