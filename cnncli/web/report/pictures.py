"""Turns arrays into pictures that stand in the page itself, as data URIs.

H W pixels.
"""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from cnncli.types import ByteArray

LARGEST = 64
"""The longer side of a picture; a larger one is made smaller."""


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


def in_a_row(pictures: Sequence[ByteArray], gap: int = 1) -> ByteArray:
    """Return pictures of one size, (H, W) or (H, W, 3), side by side with gray gaps."""
    height, width, *colors = pictures[0].shape
    row = np.full((height, len(pictures) * (width + gap) - gap, *colors), 128, np.uint8)
    for number, each in enumerate(pictures):
        left = number * (width + gap)
        row[:, left : left + width] = each
    return row
