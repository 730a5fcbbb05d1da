"""Decodes picture files safely: any of the known formats becomes an upright grey or RGB picture with 8 bits."""

import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cnncli.errors import PictureError
from cnncli.types import ByteArray

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
"""The formats that are decoded. Pillow knows many more, and every decoder may have weaknesses."""

MAX_BYTES = 128 << 20
MAX_PIXELS = 64_000_000

_UNREAD_FORMATS = {
    b"ftypheic": "photos in HEIC: save or export it as JPEG",
    b"ftypheif": "photos in HEIF: save or export it as JPEG",
    b"ftypmif1": "photos in HEIF: save or export it as JPEG",
    b"ftypavif": "pictures in AVIF: save it as PNG",
    b"%PDF": "PDF documents: save the page as PNG",
    b"<svg": "drawings in SVG: save it as PNG",
}


def read_picture(source: str | Path | bytes | IO[bytes], name: str | None = None) -> Image.Image:
    """Decode a picture: upright, without transparency, with 8 bits per channel.

    Args:
        source: a path, the content of a file, or a file opened for reading bytes.
        name: what errors call the picture; the path by default.

    Returns:
        A picture of mode "L" or "RGB".

    Raises:
        PictureError: the picture is missing, damaged, too large, or in no known format.

    Example:
        >>> read_picture("digit.png").size
        (300, 300)
    """
    name = name or (str(source) if isinstance(source, str | Path) else "the picture")
    content = _content(source, name)
    with warnings.catch_warnings():
        # Pillow warns about harmless flaws, and about sizes that are checked below
        warnings.simplefilter("ignore")
        opened = _attempt(name, content, lambda: Image.open(BytesIO(content), formats=FORMATS))
        width, height = opened.size
        if width * height > MAX_PIXELS:
            raise PictureError(
                f"{name} is too large: {width} x {height} pixels, more than {MAX_PIXELS / 1e6:.0f} million",
                "shrink it; a digit needs no more than a few hundred pixels",
            )
        _attempt(name, content, opened.load)
        picture = _upright(opened)
        return _attempt(name, content, lambda: _plain(picture))


_Decoded = TypeVar("_Decoded")


def _content(source: str | Path | bytes | IO[bytes], name: str) -> bytes:
    """Return the bytes of a picture; raises PictureError if there are none or too many."""
    if isinstance(source, bytes):
        content = source
    else:
        try:
            if isinstance(source, str | Path):
                if not Path(source).is_file():  # a folder, or a device that never ends
                    what = "is not a file" if Path(source).exists() else "does not exist"
                    raise PictureError(f"{name} {what}")
                with open(source, "rb") as file:
                    content = file.read(MAX_BYTES + 1)
            else:
                content = source.read(MAX_BYTES + 1)
        except OSError as error:
            raise PictureError(f"{name} cannot be read: {error.strerror or error}") from error
    if not content:
        raise PictureError(f"{name} is empty")
    if len(content) > MAX_BYTES:
        raise PictureError(f"{name} is too large: more than {MAX_BYTES >> 20} MiB")
    return content


def _attempt(name: str, content: bytes, decode: Callable[[], _Decoded]) -> _Decoded:
    """Run a step of the decoding and turn every failure into a PictureError."""
    try:
        return decode()
    except UnidentifiedImageError as error:
        known = [hint for mark, hint in _UNREAD_FORMATS.items() if mark in content[:512]]
        hint = f"this program does not read {known[0]}" if known else None
        formats = ", ".join(FORMATS)
        raise PictureError(f"{name} is not a picture of a known format ({formats})", hint) from error
    except Image.DecompressionBombError as error:
        raise PictureError(f"{name} is too large: more than {MAX_PIXELS / 1e6:.0f} million pixels") from error
    except Exception as error:  # for damaged files, decoders raise any type of exception
        raise PictureError(
            f"{name} is damaged and cannot be decoded: {error or type(error).__name__}"
        ) from error


def _upright(picture: Image.Image) -> Image.Image:
    """Rotate a photo by its EXIF orientation; a broken EXIF block is ignored."""
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # the parser raises any type of exception
        return picture


def _plain(picture: Image.Image) -> Image.Image:
    """Convert a picture to mode "L" or "RGB"."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;"):
        return Image.fromarray(_eight_bits(np.asarray(picture)))
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        return _on_paper(picture.convert("RGBA"))
    if picture.mode in ("L", "1"):
        return picture.convert("L")
    return picture.convert("RGB")


def _eight_bits(values: Any) -> ByteArray:
    """Scale grey values of more than 8 bits to 0..255."""
    if values.dtype.kind in "iu" and values.min(initial=0) >= 0 and values.max(initial=0) <= 65535:
        wide = values.max(initial=0) > 255
        grey: ByteArray = (values >> 8 if wide else values).astype(np.uint8)
    else:
        finite = np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0)
        low, high = float(finite.min(initial=0)), float(finite.max(initial=0))
        grey = ((finite - low) * (255 / max(high - low, 1e-30))).astype(np.uint8)
    return grey


def _on_paper(picture: Image.Image) -> Image.Image:
    """Put a transparent picture on white, or on black if nothing would be visible on white."""
    visible = np.asarray(picture.getchannel("A")) > 127
    grey = np.asarray(picture.convert("RGB").convert("L"))
    white = bool(visible.any() and not visible.all() and grey[visible].min() > 160)
    ground = Image.new("RGBA", picture.size, "black" if white else "white")
    return Image.alpha_composite(ground, picture).convert("RGB")
