"""Reads all 16 bits of each color of a PNG, of which Pillow keeps the upper 8.

Scanners and cameras store 10 or 12 bits in 16. The upper 8 of them are a dark picture with few shades.
"""

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from cnncli.pictures.plain import scale_to_bytes
from cnncli.types import ByteArray

_ALL_BITS = 128  # an upper byte from here on has a value that uses all 16 bits


def scale_colours(opened: Image.Image, content: bytes, announced: int | None) -> tuple[Image.Image, int]:
    """Scale the colors of a picture by the bits that they use, as gray pictures are.

    Args:
        opened: the picture with 16 bits per color, decoded by Pillow to the upper 8.
        content: the bytes of its file.
        announced: how many bits are used; None if the file does not say it.

    Returns:
        The picture, and how many bits its colors used: 8 if it is returned as it was, because it is no PNG in color.
    """
    if opened.format != "PNG" or opened.mode not in ("RGB", "RGBA") or getattr(opened, "n_frames", 1) > 1:
        return opened, 8
    upper = np.asarray(opened)
    if upper[..., :3].max(initial=0) >= _ALL_BITS:
        return opened, 16
    lower = _decode_lower(content)
    if lower is None:
        return opened, 8
    colours = upper[..., :3].astype(np.uint16) << 8 | lower[..., :3]
    scaled = upper.copy()
    scaled[..., :3], bits = scale_to_bytes(colours, announced)
    picture = Image.fromarray(scaled)
    # the orientation and a transparent color are there
    picture.info = dict(opened.info)
    return picture, bits


def _decode_lower(content: bytes) -> ByteArray | None:
    """Decode a PNG with the bytes of each value swapped, so that Pillow keeps the lower one; None if it is gray."""
    again: Any = Image.open(BytesIO(content), formats=["PNG"])
    # gray values with transparency are decoded as colors, and Pillow cannot swap their bytes
    if any(mode not in ("RGB;16B", "RGBA;16B") for *_, mode in again.tile):
        return None
    again.tile = [(codec, box, offset, mode.replace("16B", "16L")) for codec, box, offset, mode in again.tile]
    return np.asarray(again)
