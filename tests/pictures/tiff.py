"""Writes TIFF files with any tags, to test forms that Pillow reads and cannot write."""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, STRIP, ROWS, STRIP_BYTES = (
    256,
    257,
    258,
    259,
    262,
    273,
    278,
    279,
)
SUBFILE_TYPE, SAMPLE_FORMAT = 254, 339


def tiff(pages: Sequence[npt.NDArray[Any]], **tags: int) -> bytes:
    """Return a little-endian TIFF with one strip per page.

    Args:
        pages: (H, W) arrays of whole numbers, or (H, bytes) packed rows with `width`.
        tags: `bits`, `width`, `photometric`, `subfile` of every page but the first, `sample_format`.
    """
    out = bytearray(b"II*\0") + struct.pack("<I", 8)
    for number, page in enumerate(pages):
        entries = {
            WIDTH: tags.get("width", page.shape[1]),
            HEIGHT: page.shape[0],
            BITS: tags.get("bits", 8 * page.itemsize),
            COMPRESSION: 1,
            PHOTOMETRIC: tags.get("photometric", 1),
            ROWS: page.shape[0],
            STRIP_BYTES: page.nbytes,
        }
        if "sample_format" in tags:
            entries[SAMPLE_FORMAT] = tags["sample_format"]
        if number and "subfile" in tags:
            entries[SUBFILE_TYPE] = tags["subfile"]
        directory = len(out)
        end = directory + 2 + 12 * (len(entries) + 1) + 4
        entries[STRIP] = end
        out += struct.pack("<H", len(entries))
        for tag, value in sorted(entries.items()):
            out += struct.pack("<HHII", tag, 4, 1, value)
        last = number == len(pages) - 1
        out += struct.pack("<I", 0 if last else end + page.nbytes)
        out += np.ascontiguousarray(page).astype(page.dtype.newbyteorder("<")).tobytes()
    return bytes(out)
