"""Says which formats of picture files are read, which of them need another package, and what the others are.

Photos in HEIC and PDF documents need the packages of the extra `photos`, which are imported when such a file comes.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from io import BytesIO
from typing import Literal

from PIL import Image

from cnncli.errors import PictureError

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
"""The formats that Pillow always decodes. It knows many more, and every decoder may have weaknesses."""

Container = Literal["AVIF", "HEIF", "PDF"]
"""A format that is recognized by its first bytes, because Pillow needs help with it."""

PACKAGES: Mapping[Container, tuple[str, str, str]] = {
    "AVIF": ("PIL._avif", "pillow>=11.3", "a picture in AVIF"),
    "HEIF": ("pi_heif", "pi-heif", "a photo in HEIC"),
    "PDF": ("pypdfium2", "pypdfium2", "a PDF document"),
}
"""The module that decodes a format, what to install for it, and what a file of that format is."""

_CONTAINER_OF: Mapping[str, Container] = {
    ".avif": "AVIF",
    ".heic": "HEIF",
    ".heif": "HEIF",
    ".hif": "HEIF",
    ".pdf": "PDF",
}
_PLAIN_SUFFIXES = frozenset(
    ".bmp .gif .jfif .jpe .jpeg .jpg .mpo .pbm .pgm .png .pnm .ppm .tif .tiff .webp".split()
)
SUFFIXES = _PLAIN_SUFFIXES | frozenset(_CONTAINER_OF)
"""The endings of the files that are read, where the packages for them are installed."""

UNREAD_SUFFIXES = frozenset(".cr2 .dng .ico .jp2 .jxl .nef .psd .svg .tga".split())
"""The endings of picture files that are never read."""

_UNREAD = {
    b"<svg": "drawings in SVG: save it as PNG",
    b"8BPS": "Photoshop files: save it as PNG",
    b"JXL ": "pictures in JPEG XL: save it as PNG",
    b"jP  ": "pictures in JPEG 2000: save it as PNG",
}
_HEIF_BRANDS = frozenset("heic heix heim heis hevc hevx hevm hevs heif mif1 mif2 msf1 miaf".split())
_AVIF_BRANDS = frozenset(("avif", "avis"))


def container_of(content: bytes) -> Container | None:
    """Return the format of a file if it is one of `PACKAGES`."""
    if b"%PDF-" in content[:1024]:  # readers of PDF allow other bytes before it
        return "PDF"
    brands = _brands(content)
    return "AVIF" if brands & _AVIF_BRANDS else "HEIF" if brands & _HEIF_BRANDS else None


def unread_format(content: bytes) -> str | None:
    """Return what a file is that is never read, and what to do about it."""
    if _brands(content):
        return "films: save one frame as PNG"
    return next((hint for mark, hint in _UNREAD.items() if mark in content[:512]), None)


def reads_suffix(suffix: str) -> bool:
    """Return whether files with this ending, in lower case, are read with the packages that are installed."""
    if suffix in _PLAIN_SUFFIXES:
        return True
    return suffix in _CONTAINER_OF and _is_installed(_CONTAINER_OF[suffix])


def why_unread(suffix: str) -> str | None:
    """Return why files with this ending, in lower case, are not read; None if they are no pictures."""
    if suffix in _CONTAINER_OF and not reads_suffix(suffix):
        container = _CONTAINER_OF[suffix]
        return f"in {container}, which needs the package {PACKAGES[container][1]}"
    return f"in a format that is not read: {suffix}" if suffix in UNREAD_SUFFIXES else None


def check_installed(container: Container, name: str) -> None:
    """Check that the package for a format is installed.

    Raises:
        PictureError: it is not.
    """
    if not _is_installed(container):
        _, package, what = PACKAGES[container]
        raise PictureError(
            f"{name} is {what}, which needs the package {package.partition('>')[0]}",
            f"pip install '{package}', or save it as {'JPEG' if container == 'HEIF' else 'PNG'}",
        )


def open_image(content: bytes, name: str) -> Image.Image:
    """Open a picture that is no PDF; its pixels are decoded later.

    Raises:
        PictureError: the package for its format is not installed.
        Exception: whatever Pillow raises for a damaged or unknown file.
    """
    container = container_of(content)
    if container is None:
        return Image.open(BytesIO(content), formats=FORMATS)
    check_installed(container, name)
    if container == "AVIF":
        from PIL import AvifImagePlugin  # noqa: F401  # registers the format
    else:
        import pi_heif

        pi_heif.register_heif_opener(thumbnails=False)
    return Image.open(BytesIO(content), formats=(container,))


def _is_installed(container: Container) -> bool:
    try:
        return find_spec(PACKAGES[container][0]) is not None
    except (ImportError, ValueError):
        return False


def _brands(content: bytes) -> frozenset[str]:
    """Return the brands of a file of the family of MP4: first the main brand, then a version, then all."""
    if content[4:8] != b"ftyp":
        return frozenset()
    box = content[8 : min(int.from_bytes(content[:4], "big"), 512)]
    return frozenset(
        box[start : start + 4].decode("latin-1") for start in range(0, len(box), 4) if start != 4
    )
