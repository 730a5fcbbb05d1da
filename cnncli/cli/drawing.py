"""Draws small pictures and bars in the terminal, with what it can print: gray levels, half blocks or ASCII."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from cnncli.cli.console import unicode_ok
from cnncli.storage import write_bytes_atomic
from cnncli.types import ByteArray

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

RAMP = " .:-=+*#%@"
"""Ten levels from dark to bright, for a stream that can print ASCII only."""

ENLARGED = 8
"""How large each pixel of a small picture is when it is saved to be looked at."""

FULL = 28
"""The width in characters of a picture that is drawn alone."""

SHADES = " ░▒▓█"
"""Five levels from dark to bright, for a picture in color where there are no colors."""

HALVES = " ▄▀█"
"""The characters for no half, the lower, the upper, and both."""


def picture(pixels: ByteArray, console: "Console") -> list["Text"]:
    """Return a picture as lines, two rows of pixels in each.

    Args:
        pixels: (H, W), uint8, bright on black; or (H, W, 3) in color.
        console: where it will be printed; it decides between colors, half blocks and ASCII.
    """
    import numpy as np
    from rich.text import Text

    height = len(pixels)
    padded = np.zeros((height + height % 2, *pixels.shape[1:]), np.uint8)
    padded[:height] = pixels
    in_color = has_colors(console)
    if pixels.ndim == 3 and not in_color:
        padded = np.rint(padded @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)  # brightness
    upper, lower = padded[::2], padded[1::2]  # each (H / 2, W) or (H / 2, W, 3)
    if not unicode_ok(console.file):
        return _levels(upper, lower, RAMP)
    if not in_color and pixels.ndim == 3:  # a photo has middle tones, and few clear edges
        return _levels(upper, lower, SHADES)
    if not in_color:
        shapes = 2 * (upper >= 128).astype(int) + (lower >= 128)
        return [Text("".join(HALVES[shape] for shape in row)) for row in shapes]
    if pixels.ndim == 2:
        upper, lower = (np.repeat(half[..., None], 3, axis=2) for half in (upper, lower))
    lines = []
    for above, below in zip(upper.tolist(), lower.tolist(), strict=True):
        line = Text()
        for (r, g, b), (r2, g2, b2) in zip(above, below, strict=True):
            line.append("▀", style=f"rgb({r},{g},{b}) on rgb({r2},{g2},{b2})")
        lines.append(line)
    return lines


def has_colors(console: "Console") -> bool:
    """Return whether pictures can be drawn in color on a console."""
    return unicode_ok(console.file) and console.color_system is not None and not console.no_color


def _levels(upper: ByteArray, lower: ByteArray, characters: str) -> list["Text"]:
    """Return two rows of gray pixels as a line of characters from dark to bright."""
    from rich.text import Text

    mean = (upper.astype(int) + lower) // 2
    return [Text("".join(characters[level * len(characters) // 256] for level in row)) for row in mean]


def thumbnail(pixels: ByteArray, width: int) -> ByteArray:
    """Return a picture, (H, W) or (H, W, 3), made smaller to this width; each pixel is the mean of an area.

    A bright drawing on black becomes brighter, so that its thin strokes stay visible.
    """
    import numpy as np
    from PIL import Image

    if width >= pixels.shape[1]:
        return pixels
    height = max(round(len(pixels) * width / pixels.shape[1]), 1)
    small = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX))
    if pixels.ndim == 2 and np.median(pixels) == 0:
        small = np.minimum(small * 1.5, 255).astype(np.uint8)
    return small


def middle_cut(text: str, width: int, mark: str) -> str:
    """Return a text that is too wide without its middle, since names in a row often differ at their ends.

    Args:
        text: one line.
        width: in characters of the terminal; some characters take two.
        mark: what takes the place of the middle, one character.

    Example:
        >>> middle_cut("capital letter A", 10, "~")
        'capit~er A'
    """
    from rich.cells import cell_len

    kept = len(text)
    short = text
    while kept and cell_len(short) > width:
        kept -= 1
        short = text[: kept - kept // 2] + mark + text[len(text) - kept // 2 :]
    return short


def side_by_side(blocks: list[list["Text"]], gap: int = 2) -> list["Text"]:
    """Return blocks of lines next to each other; each is as wide as its longest line."""
    from rich.text import Text

    height = max((len(block) for block in blocks), default=0)
    lines = [Text() for _ in range(height)]
    for index, block in enumerate(blocks):
        width = max((line.cell_len for line in block), default=0)
        for row, line in enumerate(lines):
            if index:
                line.append(" " * gap)
            piece = block[row] if row < len(block) else Text()
            line.append_text(piece)
            line.append(" " * (width - piece.cell_len))
    for line in lines:
        line.rstrip()
    return lines


def in_rows(blocks: list[list["Text"]], width: int, gap: int = 2) -> list["Text"]:
    """Return blocks of lines in rows, as many blocks in each as fit into the width.

    Args:
        blocks: each a list of lines.
        width: of the terminal, in characters.
        gap: between two blocks.
    """
    widest = max((line.cell_len for block in blocks for line in block), default=1)
    fitting = max((width + gap) // (widest + gap), 1)
    lines: list[Text] = []
    for start in range(0, len(blocks), fitting):
        lines += side_by_side(blocks[start : start + fitting], gap)
    return lines


def bar(fraction: float, width: int, console: "Console") -> str:
    """Return a bar of `width` characters, filled up to a fraction.

    Example:
        >>> from rich.console import Console
        >>> bar(0.5, 4, Console(file=io.StringIO()))  # this file has no encoding, so the bar is ASCII
        '##..'
    """
    full, empty = ("█", "░") if unicode_ok(console.file) else ("#", ".")
    filled = round(min(max(fraction, 0.0), 1.0) * width)
    return full * filled + empty * (width - filled)


def write_png(pixels: ByteArray, path: Path, scale: int | None = 1) -> None:
    """Write a picture, (H, W) or (H, W, 3) uint8, as PNG.

    Args:
        pixels: the picture.
        path: of the file.
        scale: each pixel becomes a square of so many; None for 8, or less for a picture that is large already.

    Raises:
        StorageError: the file cannot be written.
    """
    from PIL import Image

    if scale is None:
        scale = max(1, min(ENLARGED, 1024 // max(pixels.shape[:2])))
    content = io.BytesIO()
    Image.fromarray(pixels.repeat(scale, axis=0).repeat(scale, axis=1)).save(content, "PNG")
    write_bytes_atomic(path, content.getvalue())
