"""Scales and places digits as the authors of MNIST did: 20x20 pixels, with the center of mass at the center of 28x28.

Axis letters: N digits, H W the box of a digit.
"""

import math

import numpy as np
from PIL import Image

from cnncli.pictures.average import average_areas
from cnncli.types import ByteArray, FloatArray, IntArray

SIZE = 28
"""Height and width of an image of a digit, in pixels."""

BOX = 20
"""The longer side of the digit in such an image, in pixels."""

_THIN = 1.8  # a stroke width in pixels of the scaled digit; strokes of MNIST are about 2.6 wide
_THICKENED = 2.4


def center_by_mass(digits: ByteArray) -> ByteArray:
    """Move each digit by whole pixels so that its center of mass is at the center of 28x28 pixels.

    In pixel indices, the center of mass cm moves to (13.5, 14.5]: the top left corner of the digit goes to
    floor(14.5 − cm), computed with integers. A digit that would extend beyond the image is moved inside.
    Source: the description of MNIST by its authors, and its 60,000 training images, which this function does not move.

    Args:
        digits: (N, H, W), uint8, bright on black, H and W at most 28.

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


def scale_to_box(ink: FloatArray, stroke: float) -> ByteArray:
    """Scale the ink of a digit to a box of 20x20 pixels by averaging areas, with its aspect ratio kept.

    A stroke that would become thinner than any stroke in MNIST is thickened first. Otherwise a line of one pixel in a
    large picture would vanish in the average.

    Args:
        ink: 0 for paper to 1 for ink, cut to the box of the digit, (H, W).
        stroke: mean stroke width, in pixels.

    Returns:
        (20, 20), uint8.
    """
    longer = max(ink.shape)
    if stroke * BOX / longer < _THIN:
        factor = max(1, longer // 100)  # 100 to 200 pixels are enough for thickening
        ink, stroke, longer = _shrink_by_maximum(ink, factor), max(stroke / factor, 1), longer / factor
        ink = _dilate(ink, (_THICKENED * longer / BOX - stroke) / 2)
    height, width = ink.shape
    longer = max(height, width)
    top, left = (longer - height) // 2, (longer - width) // 2
    square = np.zeros((longer, longer), np.float32)
    square[top : top + height, left : left + width] = ink
    if longer >= BOX:
        small = average_areas(square, (BOX, BOX))
    else:
        enlarged = Image.fromarray(square).resize((BOX, BOX), Image.Resampling.BILINEAR)
        small = np.asarray(enlarged)
    grey: ByteArray = (255 * (small / max(float(small.max()), 1e-6)).clip(0, 1) + 0.5).astype(np.uint8)
    return grey


def _shrink_by_maximum(ink: FloatArray, factor: int) -> FloatArray:
    height, width = ink.shape
    padded = np.pad(ink, ((0, -height % factor), (0, -width % factor)))
    blocks = padded.reshape(padded.shape[0] // factor, factor, padded.shape[1] // factor, factor)
    shrunk: FloatArray = blocks.max(axis=(1, 3))
    return shrunk


def _dilate(ink: FloatArray, radius: float) -> FloatArray:
    """Return the maximum over a disc around each pixel; the result is larger by ceil(radius) on each side."""
    reach = math.ceil(radius)
    if reach < 1:
        return ink
    height, width = ink.shape
    padded = np.pad(ink, 2 * reach)
    grown = np.zeros((height + 2 * reach, width + 2 * reach), ink.dtype)
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            # the edge of the disc is soft, so that a fraction of a pixel in the radius has an effect
            weight = min(1.0, radius + 0.5 - math.hypot(down, right))
            if weight > 0:
                top, left = reach + down, reach + right
                np.maximum(
                    grown,
                    weight * padded[top : top + grown.shape[0], left : left + grown.shape[1]],
                    out=grown,
                )
    return grown


def _offset(weight: IntArray, length: int) -> IntArray:
    """Return the first index of the digits on one axis, (N,), from their mass at each index, (N, length)."""
    total = np.maximum(weight.sum(axis=1), 1)
    moment = weight @ np.arange(length)
    start: IntArray = (29 * total - 2 * moment) // (2 * total)  # floor(14.5 − moment / total)
    return np.clip(start, 0, SIZE - length)
