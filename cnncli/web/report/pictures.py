"""Turns arrays into pictures that stand in the page itself, as data URIs.

N images, C channels, H W pixels.
"""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from cnncli.types import ByteArray, FloatArray

LARGEST = 64
"""The longer side of a picture; a larger one is made smaller."""

_HEAT = np.array([[20, 20, 60], [120, 28, 109], [229, 92, 48], [252, 255, 164]], float)
"""Colors from nothing to all, dark to bright, so that they keep their order in gray."""


def data_uri(pixels: ByteArray, largest: int | None = LARGEST) -> str:
    """Return a picture as the address of a PNG that holds itself.

    Args:
        pixels: (H, W) or (H, W, 3), uint8.
        largest: the longer side; a larger picture is made smaller. None for any.

    Example:
        >>> data_uri(np.zeros((2, 2), np.uint8))[:22]
        'data:image/png;base64,'
    """
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels) if largest is None else small(pixels, largest)).save(
        content, "PNG", compress_level=9
    )
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode("ascii")


def small(pixels: ByteArray, largest: int = LARGEST) -> ByteArray:
    """Return a picture with at most so many pixels on its longer side; each is the mean of an area."""
    longest = max(pixels.shape[:2])
    if longest <= largest:
        return np.ascontiguousarray(pixels)
    height, width = (max(round(size * largest / longest), 1) for size in pixels.shape[:2])
    resized: ByteArray = np.asarray(
        Image.fromarray(np.ascontiguousarray(pixels)).resize((width, height), Image.Resampling.BOX)
    )
    return resized


def overlay(pixels: ByteArray, heat: FloatArray) -> ByteArray:
    """Return a picture in gray under colors: the more heat, the more color.

    Args:
        pixels: (H, W) or (H, W, 3), uint8.
        heat: (H, W), 0 to 1.

    Returns:
        (H, W, 3), uint8.
    """
    gray = pixels.astype(float) if pixels.ndim == 2 else pixels @ np.array([0.299, 0.587, 0.114])
    at = np.clip(heat, 0, 1)[..., None] * (len(_HEAT) - 1)
    low = np.minimum(at.astype(int), len(_HEAT) - 2)
    color = _HEAT[low[..., 0]] * (1 - (at - low)) + _HEAT[low[..., 0] + 1] * (at - low)
    mixed: ByteArray = np.rint(0.45 * gray[..., None] + 0.55 * color).astype(np.uint8)
    return mixed


def in_a_row(pictures: Sequence[ByteArray], height: int, width: int, gap: int = 1) -> ByteArray:
    """Return pictures side by side, each at the upper left of a cell of one size, with gray gaps.

    Args:
        pictures: each at most (height, width), or (height, width, 3).
        height: of a cell.
        width: of a cell.
        gap: between two cells.
    """
    color = any(each.ndim == 3 for each in pictures)
    shape = (height, len(pictures) * (width + gap) - gap, *((3,) if color else ()))
    row = np.full(shape, 128, np.uint8)
    for number, each in enumerate(pictures):
        left = number * (width + gap)
        row[: each.shape[0], left : left + each.shape[1]] = each if each.ndim == row.ndim else each[..., None]
    return row
