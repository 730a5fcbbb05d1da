"""Arrays that start at a multiple of 64 bytes, the size of a cache line and of the widest vector register.

NumPy's own arrays start at a multiple of 16 bytes. A 512-bit load from such an array spans two cache lines. On
processors with 512-bit loads this halves the speed of every pass over an array in the cache.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

ALIGNMENT = 64  # bytes


def aligned_empty(shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an uninitialized array."""
    return _inside(np.empty, shape, dtype)


def aligned_zeros(shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an array of zeros."""
    return _inside(np.zeros, shape, dtype)


def _inside(allocate: Any, shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    shape = (shape,) if isinstance(shape, int) else shape
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = allocate(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    array: npt.NDArray[Any] = raw[start : start + size].view(dtype).reshape(shape)
    return array
