"""Lets image sets be larger than memory: their bytes stay in a file, and pages of it come and go.

The system brings pages of a mapped file into memory when an array is read there, up to megabytes around a single image,
and counts them as this process's. So a pass over a large set gives them back from time to time, and single images are
read as parts of the file. The system still keeps both in its cache of files while it has room.

Axis letters: N images.
"""

import mmap
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnncli.errors import DataError
from cnncli.types import ByteArray, IntArray, Shape

SMALLEST = 256 << 20
"""Images of fewer bytes are read into memory."""

BLOCK = 32 << 20
"""How many bytes are read before their pages are given back."""


def map_bytes(path: Path, offset: int, shape: Shape) -> ByteArray:
    """Return the bytes of a file from an offset on as a read-only array of this shape.

    Raises:
        OSError, ValueError: the file cannot be mapped.
    """
    return np.memmap(path, np.uint8, "r", offset, shape)


def is_mapped(array: npt.NDArray[Any]) -> bool:
    """Return whether an array is in a mapped file."""
    return _file_of(array) is not None


def release_pages(array: npt.NDArray[Any]) -> None:
    """Give the pages of a mapped file back; does nothing for an array in memory, and where the system cannot do it."""
    mapped = _file_of(array)
    if mapped is not None and sys.platform != "win32":
        mapped.madvise(mmap.MADV_DONTNEED)


def blocks(array: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """Yield an array in slices along its first axis; of a mapped file, pages are given back after each.

    Example:
        >>> [block.shape for block in blocks(np.zeros((10, 4), np.uint8))]
        [(10, 4)]
    """
    if not is_mapped(array):
        yield array
        return
    count = max(1, BLOCK * len(array) // max(array.nbytes, 1))
    for start in range(0, len(array), count):
        yield array[start : start + count]
        release_pages(array)


def take(array: npt.NDArray[Any], chosen: IntArray | slice) -> npt.NDArray[Any]:
    """Return the images at some positions: copies, or for a slice of an array in memory a view.

    Args:
        array: (N, ..).
        chosen: positions from 0 to N - 1, or a slice.

    Raises:
        DataError: the file has become shorter, or cannot be read.

    Example:
        >>> take(np.arange(10), np.array([3, 1])).tolist()
        [3, 1]
    """
    mapped = _file_of(array)
    if mapped is None:
        return array[chosen]
    whole = np.frombuffer(mapped, np.uint8)
    path, skipped = _origin(array)
    first = array.ctypes.data - whole.ctypes.data + skipped
    positions = np.arange(len(array))[chosen] if isinstance(chosen, slice) else chosen
    found = np.empty((len(positions), *array.shape[1:]), array.dtype)
    rows = found.reshape(len(found), -1).view(np.uint8) if len(found) else found
    try:
        with open(path, "rb", buffering=0) as file:
            for row, position in zip(rows, positions.tolist(), strict=True):
                file.seek(first + position * array.strides[0])
                if file.readinto(row.data) != row.nbytes:
                    raise DataError(f"{path} has become shorter while it was in use")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    return found


def _origin(array: Any) -> tuple[str, int]:
    """Return the file that a mapped array is a part of, and the position in it where the mapping starts."""
    while not (isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap)):
        array = array.base
    return str(array.filename), array.offset - array.offset % mmap.ALLOCATIONGRANULARITY


def _file_of(array: Any) -> mmap.mmap | None:
    """Return the mapped file that an array is a view of, or None."""
    while isinstance(array, np.ndarray):
        array = array.base
    return array if isinstance(array, mmap.mmap) else None
