"""Chooses the size and the colors that all pictures of a folder are brought to."""

from contextlib import suppress
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from cnncli.data.readers.layout import Packed, Pictures
from cnncli.errors import PictureError, UsageError
from cnncli.pictures.read import PictureFile

MAX_PIXEL_BYTES = 1 << 30
MAX_SIZE = 1024

_SHOWN_SIZE = 96
"""The most pixels of the longer side of pictures that are only looked at."""

COLOURED_SET = 0.05
"""A set has colors if more than this part of its pictures has."""

_SAMPLE = 40
"""How many pictures tell the size and the colors of a set."""


@dataclass(frozen=True)
class ImageFormat:
    """The form that all pictures of a set are brought to.

    Args:
        height: in pixels.
        width: in pixels.
        colour: three colours, or grey.
    """

    height: int
    width: int
    colour: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image."""
        return (self.height, self.width, 3) if self.colour else (self.height, self.width)

    def __str__(self) -> str:
        return f"{self.width}x{self.height} {'color' if self.colour else 'gray'}"


DEFAULT_FORM = ImageFormat(28, 28, False)
"""The form of pictures if nobody says otherwise: that of MNIST."""


def choose_form(size: int | tuple[int, int] | None, colour: bool | None, pictures: Pictures) -> ImageFormat:
    """Return the form of the pictures of a set.

    Args:
        size: height and width, or (height, width); None for about that of the pictures, to look at them.
        colour: whether to keep colors; None to keep them if there are any.
        pictures: all of the set. Some of them tell what is None.

    Raises:
        UsageError: the size is not possible.
    """
    if size is None or colour is None:
        seen, coloured = _look_at_some(pictures)
        size = shown_size(seen, len(pictures)) if size is None else size
        colour = coloured > COLOURED_SET * len(seen) if colour is None else colour
    height, width = (size, size) if isinstance(size, int) else size
    if not (1 <= height <= MAX_SIZE and 1 <= width <= MAX_SIZE):
        raise UsageError(f"pictures cannot be resized to {size} pixels", f"give a size from 1 to {MAX_SIZE}")
    return ImageFormat(height, width, colour)


def _look_at_some(pictures: Pictures) -> tuple[list[tuple[int, int]], int]:
    """Return width and height of some of the pictures, evenly spaced, and how many of them have colors."""
    sizes, coloured = [], 0
    for path, _ in pictures[:: -(-len(pictures) // _SAMPLE)]:
        # one that cannot be read is an error when all are read
        with suppress(PictureError):
            picture = open_picture(path).read().picture
            sizes.append(picture.size)
            coloured += is_coloured(picture)
    return sizes, coloured


def open_picture(source: Path | Packed) -> PictureFile:
    """Open the file of a picture, or the bytes of one from within an archive; raises PictureError."""
    return PictureFile(source) if isinstance(source, Path) else PictureFile(source.content, source.name)


def shown_size(sizes: list[tuple[int, int]], count: int) -> tuple[int, int]:
    """Return the height and width at which so many pictures of these sizes are looked at."""
    width, height = (median(each) for each in zip(*sizes, strict=True)) if sizes else (1, 1)
    # in color, all of them take a quarter of the allowed memory at most
    room = isqrt(MAX_PIXEL_BYTES // 4 // (3 * count))
    most = min(_SHOWN_SIZE, max(room, DEFAULT_FORM.width))
    scale = min(most / max(width, height), 1)
    return max(round(scale * height), 1), max(round(scale * width), 1)


def is_coloured(picture: Image.Image) -> bool:
    """Return whether a part of a picture, a 16th of its sides, is clearly not gray."""
    if picture.mode != "RGB":
        return False
    small = np.asarray(picture.resize((16, 16), Image.Resampling.BOX))
    return bool(np.ptp(small, axis=2).max() > 24)
