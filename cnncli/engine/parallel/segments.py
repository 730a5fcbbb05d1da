"""Shared memory that a process started by itself can map, and that is gone with the last process that maps it.

POSIX: files in memory without a name, which other processes get as file descriptors. A process may be killed at any
moment, and nothing is left behind. Windows: mappings under a random name, which the system removes with the last
handle.
"""

import math
import mmap
import os
import secrets
import sys
import weakref
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

_SEGMENT = 1 << 24  # bytes: the least that is mapped at once; pages that nothing is written to take no memory
_PAGE = 4096


class Place(NamedTuple):
    """Where an array starts: the number of its segment, and the first byte in it."""

    segment: int
    offset: int


class Segment:
    """One piece of shared memory.

    Args:
        size: in bytes.
        handle: a file descriptor, which the segment closes, or on Windows a name; None to create new memory.

    Raises:
        OSError: the system does not give the memory.
    """

    def __init__(self, size: int, handle: int | str | None = None) -> None:
        self.size = size
        self.handle: int | str
        self.pages: mmap.mmap
        if sys.platform == "win32":
            self.handle = f"cnn-{os.getpid()}-{secrets.token_hex(8)}" if handle is None else str(handle)
            self.pages = mmap.mmap(-1, size, tagname=self.handle)
        else:
            self.handle = _file_in_memory(size) if handle is None else int(handle)
            weakref.finalize(self, os.close, self.handle)
            self.pages = mmap.mmap(self.handle, size)
        self.address: int = np.frombuffer(self.pages, np.uint8).ctypes.data

    def array(
        self,
        shape: tuple[int, ...],
        dtype: npt.DTypeLike,
        offset: int,
        strides: tuple[int, ...] | None = None,
    ) -> npt.NDArray[Any]:
        """Return the array that lies at an offset."""
        return np.ndarray(shape, dtype, self.pages, offset, strides)


class SegmentMemory:
    """Allocates arrays in segments."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self._used = 0  # bytes of the last segment

    def empty(self, *shape: int, dtype: Any = np.float32) -> npt.NDArray[Any]:
        """Return a zeroed shared array that starts at a page of the system.

        Raises:
            OSError: the system does not give the memory.
        """
        size = -(-max(math.prod(shape) * np.dtype(dtype).itemsize, 1) // _PAGE) * _PAGE
        if not self.segments or self._used + size > self.segments[-1].size:
            self.segments.append(Segment(max(size, _SEGMENT)))
            self._used = 0
        array = self.segments[-1].array(shape, dtype, self._used)
        self._used += size
        return array

    def find(self, array: npt.NDArray[Any]) -> Place | None:
        """Return where an array lies, or None if it is not in this memory."""
        low, high = np.lib.array_utils.byte_bounds(array)
        for number, segment in enumerate(self.segments):
            if segment.address <= low and high <= segment.address + segment.size:
                return Place(number, array.__array_interface__["data"][0] - segment.address)
        return None


def _file_in_memory(size: int) -> int:
    """Return the descriptor of a new file in memory that has no name."""
    assert sys.platform != "win32"
    if sys.platform == "linux" and hasattr(os, "memfd_create"):
        descriptor: int = os.memfd_create("cnn", os.MFD_CLOEXEC)
    else:
        import _posixshmem

        # macOS takes at most 31 characters
        name = f"/cnn-{os.getpid()}-{secrets.token_hex(6)}"
        descriptor = int(_posixshmem.shm_open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode=0o600))
        _posixshmem.shm_unlink(name)
    try:
        os.ftruncate(descriptor, size)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
