"""Converts a decoded picture to gray or RGB with 8 bits: 9 to 32 bits per value, inverted TIFF, transparency."""

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from cnncli.types import ByteArray

_PHOTOMETRIC, _BITS_PER_SAMPLE, _SAMPLE_FORMAT = 262, 258, 339  # tags of TIFF
_WHITE_IS_ZERO, _UNSIGNED = 0, 1  # their values
_SAMPLE_NAMES = {1: "unsigned", 2: "signed", 3: "floating-point", 5: "complex", 6: "complex floating-point"}


@dataclass(frozen=True)
class Samples:
    """What a file says about its values; a decoded picture no longer knows it.

    Args:
        bits: how many bits of each value are used; None if the file does not say it.
        unsigned: whether 32-bit whole numbers are unsigned. Pillow always decodes them as signed.
        white_is_zero: whether 0 is white. Pillow inverts such values only if they have 8 bits or fewer.
        wide_colour: whether each color has 16 bits, of which Pillow decodes the upper 8.
    """

    bits: int | None = None
    unsigned: bool = False
    white_is_zero: bool = False
    wide_colour: bool = False


def read_samples(opened: Image.Image, content: bytes) -> Samples:
    """Return what a file says about its values.

    Args:
        opened: the file, opened by Pillow and not decoded yet.
        content: the bytes of the file.
    """
    wide_colour = ";16" in str(getattr(opened, "tile", "")) and opened.mode in ("RGB", "RGBA", "LA")
    if opened.format == "PNG":
        start = content.find(b"sBIT", 0, 1024)
        bits = max(content[start + 4 : start + 5], default=0) if start > 0 else 0
        return Samples(bits or None, wide_colour=wide_colour)
    tags: Any = getattr(opened, "tag_v2", None)
    if tags is None:
        return Samples()
    bits = max(tags.get(_BITS_PER_SAMPLE, (1,)))
    return Samples(
        bits=bits if 8 < bits < 16 else None,  # 16 and 32 are the size of the container
        unsigned=set(tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))) == {_UNSIGNED},
        white_is_zero=tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO,
        wide_colour=wide_colour,
    )


def name_samples(content: bytes) -> str | None:
    """Return the form of the values of a TIFF that Pillow does not decode, such as "64-bit floating-point values"."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2  # most pictures are no TIFF

    try:
        directory = ImageFileDirectory_v2(content[:8])
        stream = BytesIO(content)
        stream.seek(directory.next)
        directory.load(stream)
        kind = _SAMPLE_NAMES.get(max(directory.get(_SAMPLE_FORMAT, (_UNSIGNED,))), "unknown")
        white = ", zero for white" if directory.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else ""
        return f"{max(directory.get(_BITS_PER_SAMPLE, (1,)))}-bit {kind} values{white}"
    except Exception:  # the parser raises any type of exception
        return None


def to_plain(picture: Image.Image, samples: Samples = Samples()) -> tuple[Image.Image, int]:
    """Convert a picture to mode "L" or "RGB".

    Returns:
        The picture, and how many bits its values used: 8, or 9 to 32 if they were scaled down.
    """
    if picture.mode in ("I", "F") or picture.mode.startswith("I;"):
        values = np.asarray(picture)
        if samples.unsigned and values.dtype == np.int32:
            values = values.view(np.uint32)
        grey, bits = scale_to_bytes(values, samples.bits)
        return Image.fromarray(255 - grey if samples.white_is_zero else grey), bits
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        return _on_paper(picture.convert("RGBA")), 8
    return picture.convert("L" if picture.mode in ("L", "1") else "RGB"), 8


def scale_to_bytes(values: npt.NDArray[Any], announced: int | None) -> tuple[ByteArray, int]:
    """Scale values of more than 8 bits to 0..255; return them and the number of bits that they used.

    Scanners and microscopes store 10 or 12 bits in 16. Without a word in the file, the largest value says how many
    bits are used, so the scale is always a power of two.
    """
    if values.dtype.kind in "iu" and values.min(initial=0) >= 0:
        used = int(values.max(initial=0)).bit_length()
        bits = announced if announced is not None and announced >= used else max(used, 8)
        return (values >> max(bits - 8, 0)).astype(np.uint8), bits
    finite = np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0)
    low, high = float(finite.min(initial=0)), float(finite.max(initial=0))
    return ((finite - low) * (255 / max(high - low, 1e-30))).astype(np.uint8), 8


def _on_paper(picture: Image.Image) -> Image.Image:
    """Put a transparent picture on white, or on black if its ink is bright."""
    background = Image.new("RGBA", picture.size, "black" if _has_bright_ink(picture) else "white")
    return Image.alpha_composite(background, picture).convert("RGB")


def _has_bright_ink(picture: Image.Image) -> bool:
    """Return whether the visible part is bright strokes, and not a bright sheet with dark writing.

    A sheet is bright up to its edge and has dark pixels inside. Bright strokes have none, or they are dark along their
    edge, because a program has made a black background transparent.
    """
    visible = np.asarray(picture.getchannel("A")) > 127
    grey = np.asarray(picture.convert("RGB").convert("L"))
    if not visible.any() or visible.all() or np.median(grey[visible]) <= 127:
        return False
    near_transparent = Image.fromarray(~visible).convert("L").filter(ImageFilter.MaxFilter(3))
    edge = visible & (np.asarray(near_transparent) > 0)
    return bool(np.median(grey[edge]) <= 127 or (grey[visible] < 128).mean() <= 0.005)
