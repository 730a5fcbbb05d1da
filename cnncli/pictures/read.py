"""Reads pictures of the user's own safely, and turns every digit in them into what MNIST would have made of it."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cnncli.errors import PictureError
from cnncli.pictures.ink import Ink, Invert, find_ink
from cnncli.pictures.place import SIZE, fit, place
from cnncli.pictures.segment import Group, find_groups, stroke_width
from cnncli.types import ByteArray

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
"""What is decoded; Pillow knows many more, and every decoder is a way in."""

MAX_BYTES = 128 << 20
MAX_PIXELS = 64_000_000

_SUFFIX_HINTS = {
    b"ftypheic": "photos in HEIC: save or export it as JPEG",
    b"ftypheif": "photos in HEIF: save or export it as JPEG",
    b"ftypmif1": "photos in HEIF: save or export it as JPEG",
    b"ftypavif": "pictures in AVIF: save it as PNG",
    b"%PDF": "PDF documents: save the page as PNG",
    b"<svg": "drawings in SVG: save it as PNG",
}


@dataclass(frozen=True)
class Digit:
    """One digit of a picture, ready for a network.

    Args:
        pixels: (28, 28), uint8, bright on black.
        box: left, top, right and bottom in the picture, in pixels; right and bottom are exclusive.
        line: the line of digits it stands in, from 0 at the top.
    """

    pixels: ByteArray
    box: tuple[int, int, int, int]
    line: int = 0


@dataclass(frozen=True)
class Preprocessed:
    """What was found in a picture.

    Args:
        digits: left to right, line by line.
        warnings: sentences on what may be wrong with them.
    """

    digits: tuple[Digit, ...]
    warnings: tuple[str, ...] = ()


def read_picture(source: str | Path | bytes | IO[bytes], name: str | None = None) -> Image.Image:
    """Decode a picture: upright, without transparency, with eight bits a channel.

    Args:
        source: a path, the content of a file, or a file opened for reading bytes.
        name: what errors call it; the path, if left out.

    Returns:
        A picture of mode "L" or "RGB".

    Raises:
        PictureError: it is missing, not a picture, of no known format, truncated or too large.

    Example:
        >>> read_picture("digit.png").size
        (300, 300)
    """
    name = name or (str(source) if isinstance(source, str | Path) else "the picture")
    content = _content(source, name)
    with warnings.catch_warnings():
        # Pillow warns about all sorts of harmless flaws, and about sizes that are judged below
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


def find_digits(picture: Image.Image, invert: Invert = "auto", raw: bool = False) -> Preprocessed:
    """Find the digits of a picture and bring each into the form of MNIST.

    A picture of 28x28 pixels that is in this form already passes unchanged.

    Args:
        picture: from `read_picture`.
        invert: "yes" for dark digits on light paper, "no" for bright ones on black, "auto" to look.
        raw: resize the whole picture to 28x28 and do nothing else (but invert it, on "yes").

    Raises:
        PictureError: there is nothing to read.

    Example:
        >>> [digit.box for digit in find_digits(read_picture("digit.png")).digits]
        [(100, 53, 209, 243)]
    """
    width, height = picture.size
    if raw:
        grey = np.asarray(picture.convert("L").resize((SIZE, SIZE), Image.Resampling.BOX))
        return Preprocessed((Digit(255 - grey if invert == "yes" else grey, (0, 0, width, height)),))
    finished = _finished(picture, invert)
    if finished is not None:
        return Preprocessed((finished,))
    ink = find_ink(picture, invert)
    if ink is None:
        raise PictureError("there is nothing to read in the picture: it is blank", _BLANK_HINT)
    groups, notes = find_groups(ink.mask, smallest=max(8.0, 5 / ink.scale))
    if not groups:
        raise PictureError(
            "there is nothing to read in the picture: no ink that could be a digit", _BLANK_HINT
        )
    digits = tuple(_finish(group, ink) for group in groups)
    if ink.contrast < 0.15:
        notes.append("the ink is faint: more light or a darker pen would help")
    if min(digit.box[3] - digit.box[1] for digit in digits) < 12:
        notes.append("a digit is less than 12 pixels high: a larger picture would help")
    return Preprocessed(digits, tuple(notes))


_Decoded = TypeVar("_Decoded")
_BLANK_HINT = "write one digit or more, large and with room around; --raw takes a picture as it is"


def _content(source: str | Path | bytes | IO[bytes], name: str) -> bytes:
    """Return the bytes of a picture, as many as are allowed."""
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
    """Run a step of the decoding, with every failure of a decoder as one kind of error."""
    try:
        return decode()
    except UnidentifiedImageError as error:
        known = [hint for mark, hint in _SUFFIX_HINTS.items() if mark in content[:512]]
        hint = f"this program does not read {known[0]}" if known else None
        formats = ", ".join(FORMATS)
        raise PictureError(f"{name} is not a picture of a known format ({formats})", hint) from error
    except Image.DecompressionBombError as error:
        raise PictureError(f"{name} is too large: more than {MAX_PIXELS / 1e6:.0f} million pixels") from error
    except Exception as error:  # decoders meet damaged files with any exception there is
        raise PictureError(
            f"{name} is damaged and cannot be decoded: {error or type(error).__name__}"
        ) from error


def _upright(picture: Image.Image) -> Image.Image:
    """Turn a photo as its EXIF orientation says; a broken EXIF block turns nothing."""
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # its parser, too, raises anything
        return picture


def _plain(picture: Image.Image) -> Image.Image:
    """Return a picture as "L" or "RGB"."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;"):
        return Image.fromarray(_eight_bits(np.asarray(picture)))
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        return _on_paper(picture.convert("RGBA"))
    if picture.mode in ("L", "1"):
        return picture.convert("L")
    return picture.convert("RGB")


def _eight_bits(values: Any) -> ByteArray:
    """Scale grey values of more than eight bits to 0..255."""
    if values.dtype.kind in "iu" and values.min(initial=0) >= 0 and values.max(initial=0) <= 65535:
        wide = values.max(initial=0) > 255
        grey: ByteArray = (values >> 8 if wide else values).astype(np.uint8)
    else:
        finite = np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0)
        low, high = float(finite.min(initial=0)), float(finite.max(initial=0))
        grey = ((finite - low) * (255 / max(high - low, 1e-30))).astype(np.uint8)
    return grey


def _on_paper(picture: Image.Image) -> Image.Image:
    """Lay a transparent picture on white, or on black when nothing in it would show on white."""
    visible = np.asarray(picture.getchannel("A")) > 127
    grey = np.asarray(picture.convert("RGB").convert("L"))
    white = bool(visible.any() and not visible.all() and grey[visible].min() > 160)
    ground = Image.new("RGBA", picture.size, "black" if white else "white")
    return Image.alpha_composite(ground, picture).convert("RGB")


def _finished(picture: Image.Image, invert: Invert) -> Digit | None:
    """Return the digit of a picture that is in the form of MNIST already, or None."""
    if picture.size != (SIZE, SIZE):
        return None
    pixels = np.asarray(picture.convert("L"))
    dark_ink = invert == "yes" or (invert == "auto" and np.median(pixels[[0, -1]]) > 127)
    pixels = 255 - pixels if dark_ink else pixels
    ring = np.concatenate([pixels[[0, -1]].ravel(), pixels[:, [0, -1]].ravel()])
    rows, columns = np.flatnonzero((pixels > 16).any(axis=1)), np.flatnonzero((pixels > 16).any(axis=0))
    if ring.max() > 16 or pixels.max() < 160 or not 17 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 22:
        return None
    weights = pixels.astype(np.int64)
    centre = np.array([weights.sum(axis=1) @ np.arange(SIZE), weights.sum(axis=0) @ np.arange(SIZE)])
    if np.abs(centre / weights.sum() - 14).max() > 1:
        return None
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return Digit(pixels, box)


def _finish(group: Group, ink: Ink) -> Digit:
    """Bring one group of ink into the form of MNIST, with its box in the picture."""
    left, top, right, bottom = group.box
    near = np.pad(group.mask, 1)  # the grey edge of a stroke lies just outside of the mask
    near = near[1:-1, 1:-1] | near[:-2, 1:-1] | near[2:, 1:-1] | near[1:-1, :-2] | near[1:-1, 2:]
    strength = ink.strength[top:bottom, left:right] * near
    pixels = place(fit(strength, stroke_width(group.mask))[None])[0]
    corners = (
        ink.left + left * ink.scale,
        ink.top + top * ink.scale,
        ink.left + right * ink.scale,
        ink.top + bottom * ink.scale,
    )
    box = (int(corners[0]), int(corners[1]), -int(-corners[2] // 1), -int(-corners[3] // 1))
    return Digit(pixels, box, group.line)
