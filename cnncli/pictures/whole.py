"""Takes a whole picture as one image of a network: only resized, not searched for digits.

Training and `cnn predict` both call `resize_whole`, so a network sees new pictures as it saw those of its training.

Axis letters: N images, H and W pixels, C colors.
"""

from typing import TYPE_CHECKING, Literal

import numpy as np

from cnncli.mapped import take
from cnncli.types import BoolArray, ByteArray, FloatArray

if TYPE_CHECKING:
    from PIL.Image import Image

Form = Literal["digits", "as_is"]
"""What an image is made of: one digit that was found and brought into the form of MNIST, or a whole picture."""

Background = Literal["dark", "bright", "mixed"]

_DARK, _BRIGHT = 85, 170  # the lower and the upper third of 0..255
_NEAR = 40  # a pixel of a uniform border is this near to the median of the border
_SAMPLE = 2000


def resize_whole(picture: "Image", size: tuple[int, int], *, colour: bool) -> ByteArray:
    """Return a whole picture in the size of a network's images; a picture of this size keeps its pixels.

    Args:
        picture: a picture from `read_picture`.
        size: height and width of the result. The aspect ratio is not kept.
        colour: three colours, (H, W, 3), or grey, (H, W).
    """
    from PIL.Image import Resampling

    converted = picture.convert("RGB" if colour else "L")
    height, width = size
    if converted.size != (width, height):
        converted = converted.resize((width, height), Resampling.BILINEAR)  # averages when it shrinks
    return np.asarray(converted)


def transpose(picture: "Image") -> "Image":
    """Return a picture with rows and columns exchanged."""
    from PIL.Image import Transpose

    return picture.transpose(Transpose.TRANSPOSE)


def from_pixels(pixels: ByteArray) -> "Image":
    """Return an image of a data set, (H, W) or (H, W, 3) uint8, as a picture."""
    from PIL import Image

    return Image.fromarray(pixels)


def background_of_set(images: ByteArray) -> Background:
    """Return whether nearly all images of a set have a dark background, or nearly all a bright one.

    More than 95 % must have it, and less than 0.2 % clearly the other one. At most 2,000 images are looked at.

    Args:
        images: (N, H, W) or (N, H, W, C), uint8.
    """
    images = take(images, slice(None, None, -(-len(images) // _SAMPLE) or 1))
    if len(images) == 0:
        return "mixed"
    medians, uniform = _borders(images)
    for name, other in (("dark", "bright"), ("bright", "dark")):
        if _has(name, medians).mean() > 0.95 and (_has(other, medians) & uniform).mean() < 0.002:
            return "dark" if name == "dark" else "bright"
    return "mixed"


def clear_background(pixels: ByteArray) -> Background:
    """Return whether one image has a dark or a bright background; "mixed" if its border is not uniform.

    Args:
        pixels: (H, W) or (H, W, C), uint8.
    """
    medians, uniform = _borders(pixels[None])
    if not uniform[0]:
        return "mixed"
    return "dark" if medians[0] <= _DARK else "bright" if medians[0] >= _BRIGHT else "mixed"


def _has(background: str, medians: FloatArray) -> BoolArray:
    return medians <= _DARK if background == "dark" else medians >= _BRIGHT


def _borders(images: ByteArray) -> tuple[FloatArray, BoolArray]:
    """Return the median brightness of the border of each image, (N,), and whether the border is uniform, (N,)."""
    height, width = images.shape[1:3]
    depth = max(1, round(0.04 * min(height, width)))
    ring = np.ones((height, width), bool)
    ring[depth : height - depth, depth : width - depth] = False
    border = images[:, ring].astype(np.float32)  # (N, R) or (N, R, C)
    grey = border.mean(axis=2) if border.ndim == 3 else border
    medians: FloatArray = np.median(grey, axis=1)
    return medians, (np.abs(grey - medians[:, None]) <= _NEAR).mean(axis=1) >= 0.9
