"""Decodes picture files safely: any of the known formats becomes an upright gray or RGB picture with 8 bits."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cnncli.errors import PictureError
from cnncli.pictures.formats import FORMATS, PACKAGES, container_of, open_image, unread_format
from cnncli.pictures.frames import choose_frame
from cnncli.pictures.pdf import PdfFile
from cnncli.pictures.plain import name_samples, read_samples, to_plain
from cnncli.pictures.wide import scale_colours

MAX_BYTES = 128 << 20
MAX_PIXELS = 70_000_000
"""Larger pictures are refused. A phone of 64 megapixels makes photos of 9248 x 6944."""

HALVED_PIXELS = 40_000_000
"""A JPEG that is larger is decoded at half its width and height, which takes a quarter of the memory."""

QUICK_PIXELS = 10_000_000
"""So is one that is larger than this, if the caller asks for a quick look: it takes 0.36 of the time."""

MAX_PAGES = 1000
"""More pages of a TIFF are refused."""

ANIMATED = ("AVIF", "GIF", "PNG", "WEBP")
"""The formats that may be animations."""

_SUBFILE_TYPE, _REDUCED, _MASK = 254, 1, 4  # a tag of TIFF, and two of its bits


_Decoded = TypeVar("_Decoded")


@dataclass(frozen=True)
class Page:
    """One picture of a file.

    Args:
        picture: upright, of mode "L" or "RGB".
        scale: how many times as wide and as high the picture of the file is: 1 or 2.
        bits: how many bits its values used in the file: 8, or 9 to 32 if they were scaled down.
        warnings: sentences about what is not in the picture.
        unread_frames: how many frames of an animation show something else.
    """

    picture: Image.Image
    bits: int = 8
    warnings: tuple[str, ...] = ()
    unread_frames: int = 0
    scale: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture of the file, upright."""
        return self.scale * self.picture.width, self.scale * self.picture.height


class PictureFile:
    """A picture file that may have several pages: those of a TIFF or a PDF, and one picture of any other file.

    Args:
        source: a path, the content of a file, or a file opened for reading bytes.
        name: what errors call the picture; the path by default.

    Raises:
        PictureError: the file is missing, too large, or in no known format.

    Example:
        >>> len(PictureFile("digit.png"))
        1
    """

    def __init__(self, source: str | Path | bytes | IO[bytes], name: str | None = None) -> None:
        self.name = name or (str(source) if isinstance(source, str | Path) else "the picture")
        self._content = _content(source, self.name)
        self._document: PdfFile | None = None
        self._is_halved = False
        if container_of(self._content) == "PDF":
            self._document = self._attempt(lambda: PdfFile(self._content, self.name))
            self._pages = list(range(len(self._document)))
        else:
            self._opened = self._attempt(lambda: open_image(self._content, self.name))
            self._pages = _page_indices(self._opened) if self._opened.format == "TIFF" else [0]
        if len(self._pages) > MAX_PAGES:
            raise PictureError(
                f"{self.name} is too large: more than {MAX_PAGES:,} pages", "split it into smaller files"
            )

    def __len__(self) -> int:
        return len(self._pages)

    def page_name(self, page: int) -> str:
        """Return the name of a page: the name of the file, with the number from 1 if there are several pages."""
        return self.name if len(self) == 1 else f"{self.name}[{page + 1}]"

    def read(self, page: int = 0, *, quick: bool = False) -> Page:
        """Decode a page: upright, without transparency, with 8 bits per channel.

        Args:
            page: its index, from 0.
            quick: decode a JPEG of more than QUICK_PIXELS at half its width and height.

        Raises:
            PictureError: the page is damaged or too large.
        """
        return self._attempt(lambda: self._read(page, quick), self.page_name(page))

    def _read(self, page: int, quick: bool) -> Page:
        if self._document is not None:
            return Page(self._document.draw(page))
        opened, notes, unread = self._opened, [], 0
        if opened.format == "TIFF":
            opened.seek(self._pages[page])
        self._check_size(page)
        frames = 1 if opened.format == "TIFF" else getattr(opened, "n_frames", 1)
        if frames > 1 and opened.format in ANIMATED:
            frame, complete = choose_frame(opened)
            opened.seek(frame)
            if not complete:
                unread = frames - 1
                notes.append(f"an animation of {frames} frames: only the first one is read")
        samples = read_samples(opened, self._content)
        if self._is_halved:
            # what was decoded at half its size cannot be decoded again
            opened = self._opened = open_image(self._content, self.name)
        width = opened.width
        if opened.format in ("JPEG", "MPO") and width * opened.height > (
            QUICK_PIXELS if quick else HALVED_PIXELS
        ):
            opened.draft(None, (width // 2, opened.height // 2))
        scale = 2 if opened.width < width else 1
        self._is_halved = scale > 1
        opened.load()
        decoded: Image.Image = opened
        colour_bits = 8
        if samples.wide_colour:
            decoded, colour_bits = scale_colours(opened, self._content, samples.bits)
        picture, bits = to_plain(_upright(decoded), samples)
        if samples.wide_colour and colour_bits == 8 and np.asarray(picture).max() < 32:
            notes.append("16 bits per color that are nearly black: save it with 8 bits per color")
        return Page(picture, max(bits, colour_bits), tuple(notes), unread, scale)

    def _check_size(self, page: int) -> None:
        width, height = self._opened.size
        if width * height > MAX_PIXELS:
            raise PictureError(
                f"{self.page_name(page)} is too large: {width} x {height} pixels, "
                f"more than {MAX_PIXELS / 1e6:.0f} million",
                "shrink it; a digit needs no more than a few hundred pixels",
            )

    def _attempt(self, decode: Callable[[], _Decoded], name: str | None = None) -> _Decoded:
        with warnings.catch_warnings():
            # Pillow warns about harmless flaws, and about sizes that are checked above
            warnings.simplefilter("ignore")
            return _attempt(name or self.name, self._content, decode)


def read_picture(source: str | Path | bytes | IO[bytes], name: str | None = None) -> Image.Image:
    """Decode the first picture of a file: upright, without transparency, with 8 bits per channel.

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
    return PictureFile(source, name).read().picture


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
        known = _unread_format(content)
        hint = f"this program does not read {known}" if known else None
        formats = ", ".join((*FORMATS, *PACKAGES))
        raise PictureError(f"{name} is not a picture of a known format ({formats})", hint) from error
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise PictureError(f"{name} is too large: more than {MAX_PIXELS / 1e6:.0f} million pixels") from error
    except Exception as error:  # for damaged files, decoders raise any type of exception
        raise PictureError(
            f"{name} is damaged and cannot be decoded: {error or type(error).__name__}"
        ) from error


def _unread_format(content: bytes) -> str | None:
    """Return what a file is that is not decoded, and what to do about it."""
    if content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        samples = name_samples(content) or "this layout or compression"
        return f"TIFF files with {samples}: save it as PNG, or with 8 or 16 bits per value"
    return unread_format(content)


def _upright(picture: Image.Image) -> Image.Image:
    """Rotate a photo by its EXIF orientation; a broken EXIF block is ignored."""
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # the parser raises any type of exception
        return picture


def _page_indices(opened: Image.Image) -> list[int]:
    """Return the positions of the pages of a TIFF, without reduced copies of other pages and without masks.

    A damaged page is the last one: the way to the next page is lost with it.
    """
    pages: list[int] = []
    others: list[int] = []
    for index in range(MAX_PAGES + 1):
        try:
            opened.seek(index)
        except EOFError:
            break
        except Exception:  # for damaged files, decoders raise any type of exception
            pages.append(index)
            break
        tags: Any = getattr(opened, "tag_v2", {})
        (others if tags.get(_SUBFILE_TYPE, 0) & (_REDUCED | _MASK) else pages).append(index)
    return pages or others[:1]
