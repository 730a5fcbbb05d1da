"""Pages as `cnn export --to html` writes them, and pictures to show them."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cnncli.data.synthetic.draw import draw_digits
from cnncli.export.html.write import write
from cnncli.export.subject import Subject
from cnncli.types import ByteArray

SIDE = 336
"""Pixels of a side of the drawing on the page."""


def write_page(subject: Subject, folder: Path) -> str:
    """Write the page of a model, and return its address."""
    path = folder / f"{subject.name}.html"
    path.write_bytes(write(subject)[".html"])
    return path.as_uri()


def draw_large(seed: int, *, count: int = 1, soft: float = 6.0) -> ByteArray:
    """Return the ink of drawn digits of random size, side by side somewhere on a page, (SIDE, SIDE), 255 for ink.

    Args:
        seed: of the digits, their size and their place.
        count: how many; more than one are in one row.
        soft: how steep the edges of the strokes are.
    """
    rng = np.random.default_rng(seed)
    size = int(rng.integers(70, SIDE // count if count > 1 else 300))
    ink = np.zeros((SIDE, SIDE), np.float32)
    top, left = int(rng.integers(0, SIDE - size)), int(rng.integers(0, SIDE - count * size + 1))
    for number, digit in enumerate(draw_digits(rng.integers(0, 10, count), rng)):
        large = np.asarray(Image.fromarray(digit).resize((size, size), Image.Resampling.BICUBIC), np.float32)
        start = left + number * size
        ink[top : top + size, start : start + size] = ((large / 255 - 0.5) * soft + 0.5).clip(0, 1)
    return (255 * ink + 0.5).astype(np.uint8)


def as_text(array: Any) -> str:
    """Return the bytes of an array as base64, to send them to a page."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


BYTES_OF = "(text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))"
"""JavaScript that reads what `as_text` writes."""
