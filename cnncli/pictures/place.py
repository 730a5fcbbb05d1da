"""Puts digits where the authors of MNIST put them: the centre of mass on the centre of 28x28 pixels.

Axis letters: N digits, H W the box of a digit.
"""

import math

import numpy as np
from PIL import Image

from cnncli.types import ByteArray, FloatArray, IntArray

SIZE = 28
"""Height and width of a finished digit, in pixels."""

BOX = 20
"""What the longer side of a digit measures in it."""

_THIN = 1.8  # pixels of the finished digit; in MNIST strokes are about 2.6 wide
_THICKENED = 2.4


def place(digits: ByteArray) -> ByteArray:
    """Place each digit in 28x28 pixels by its centre of mass, moving it by whole pixels.

    With pixel indices as coordinates, the centre of mass cm ends in (13.5, 14.5]: the digit's corner goes to
    floor(14.5 − cm), computed in whole numbers. A digit that would stick out stays inside.
    Source: the description of the set by its authors, and its 60,000 training images, which this leaves where
    they are.

    Args:
        digits: (N, H, W), uint8, bright on 0, H and W at most 28.

    Returns:
        (N, 28, 28), uint8.
    """
    count, height, width = digits.shape
    top = _offset(digits.sum(axis=2, dtype=np.int64), height)  # (N,)
    left = _offset(digits.sum(axis=1, dtype=np.int64), width)
    placed = np.zeros((count, SIZE, SIZE), np.uint8)
    rows = top[:, None, None] + np.arange(height)[:, None]
    columns = left[:, None, None] + np.arange(width)
    placed[np.arange(count)[:, None, None], rows, columns] = digits
    return placed


def fit(ink: FloatArray, stroke: float) -> ByteArray:
    """Shrink the ink of a digit into a box of 20x20 by averaging areas, its aspect kept.

    A stroke that would end up thinner than anybody's pen in MNIST is thickened before: averaged as it is, a line
    of one pixel in a large picture would vanish.

    Args:
        ink: 0 for paper to 1, cut to the digit, (H, W).
        stroke: mean width of the strokes, in pixels.

    Returns:
        (20, 20), uint8.
    """
    longer = max(ink.shape)
    if stroke * BOX / longer < _THIN:
        factor = max(1, longer // 100)  # thickening needs no more pixels than this
        ink, stroke, longer = _shrink_by_maximum(ink, factor), max(stroke / factor, 1), longer / factor
        ink = _dilate(ink, (_THICKENED * longer / BOX - stroke) / 2)
    height, width = ink.shape
    longer = max(height, width)
    top, left = (longer - height) // 2, (longer - width) // 2
    square = np.pad(ink, ((top, longer - height - top), (left, longer - width - left)))
    way = Image.Resampling.BOX if longer >= BOX else Image.Resampling.BILINEAR
    small = np.asarray(Image.fromarray(square.astype(np.float32)).resize((BOX, BOX), way))
    grey: ByteArray = (255 * (small / max(float(small.max()), 1e-6)).clip(0, 1) + 0.5).astype(np.uint8)
    return grey


def _shrink_by_maximum(ink: FloatArray, factor: int) -> FloatArray:
    height, width = ink.shape
    padded = np.pad(ink, ((0, -height % factor), (0, -width % factor)))
    blocks = padded.reshape(padded.shape[0] // factor, factor, padded.shape[1] // factor, factor)
    shrunk: FloatArray = blocks.max(axis=(1, 3))
    return shrunk


def _dilate(ink: FloatArray, radius: float) -> FloatArray:
    """Return the maximum over a disc around each pixel; the result is larger by the radius on each side."""
    reach = math.ceil(radius)
    if reach < 1:
        return ink
    height, width = ink.shape
    padded = np.pad(ink, 2 * reach)
    grown = np.zeros((height + 2 * reach, width + 2 * reach), ink.dtype)
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            # the edge of the disc is soft, so that radii between two pixels differ
            share = min(1.0, radius + 0.5 - math.hypot(down, right))
            if share > 0:
                top, left = reach + down, reach + right
                np.maximum(
                    grown, share * padded[top : top + grown.shape[0], left : left + grown.shape[1]], out=grown
                )
    return grown


def _offset(weight: IntArray, length: int) -> IntArray:
    """Return where an axis has to start, (N,), from the weight of each of its indices, (N, length)."""
    total = np.maximum(weight.sum(axis=1), 1)
    moment = weight @ np.arange(length)
    start: IntArray = (29 * total - 2 * moment) // (2 * total)  # floor(14.5 − moment / total)
    return np.clip(start, 0, SIZE - length)
