"""Memory for kernels: aligned arrays of their own, and scratch memory that the kernels of a plan share."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from cnncli.engine.kernels.tape import Tape
from cnncli.nn.aligned import ALIGNMENT, aligned_empty, aligned_zeros
from cnncli.types import BoolArray, FloatArray

_FLOAT = np.dtype(np.float32)
_SCRATCH_BYTES = 64_000_000  # the system provides only the pages that are touched
_LONG_RUN = 2_048  # numbers; with shorter runs NumPy spends its time on the loop around them
_shared_zeros: FloatArray = np.zeros(0, _FLOAT)


class Scratch:
    """Memory that a kernel needs only while it works on one micro-batch.

    All kernels of a plan get the same memory, so that it stays in the cache. Arrays of one kernel do not overlap.
    """

    def __init__(self) -> None:
        self._arena = aligned_empty(_SCRATCH_BYTES, np.uint8)
        self._used = 0
        self._alternating = [aligned_empty(0, _FLOAT), aligned_empty(0, _FLOAT)]

    def begin_kernel(self) -> None:
        """Offer all memory again, to the next kernel."""
        self._used = 0

    def empty(self, *shape: int) -> FloatArray:
        """Return a float32 array; it holds whatever the last kernel left there."""
        return self._take(shape, _FLOAT)

    def empty_mask(self, *shape: int) -> BoolArray:
        """Return a boolean array; it holds whatever the last kernel left there."""
        return self._take(shape, np.bool_)

    def alternate(self, *shape: int) -> FloatArray:
        """Alternate between two arrays. A result stays valid until the next call but one."""
        self._alternating.reverse()
        size = math.prod(shape)
        if size > self._alternating[0].size:
            self._alternating[0] = aligned_empty(size, _FLOAT)
        return self._alternating[0][:size].reshape(shape)

    def _take(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        start, size = self._used, math.prod(shape) * np.dtype(dtype).itemsize
        if start + size > self._arena.size:
            return aligned_empty(shape, dtype)
        self._used += -(-size // ALIGNMENT) * ALIGNMENT
        return self._arena[start : start + size].view(dtype).reshape(shape)


class ChannelRow:
    """One number for each channel, repeated in memory: adding it to an image is then a loop over long runs.

    Args:
        pixels: how many times the channels repeat in the arrays that it is combined with.
        channels: C.
    """

    def __init__(self, pixels: int, channels: int) -> None:
        divisors = (k for k in range(1, pixels + 1) if pixels % k == 0)
        repeats = next(k for k in divisors if k * channels >= _LONG_RUN or k == pixels)
        self.row = empty(repeats * channels)
        self._by_channel = self.row.reshape(repeats, channels)

    def set(self, values: npt.ArrayLike) -> None:
        """Set the numbers (C,)."""
        self._by_channel[...] = values

    def across(self, array: FloatArray) -> FloatArray:
        """Return a view of a contiguous array (.., C) whose rows are as long as this one."""
        return array.reshape(-1, self.row.size)

    def record_add(self, tape: Tape, array: FloatArray) -> None:
        """Record array += the numbers of the channels."""
        rows = self.across(array)
        tape.add(rows, self.row, out=rows)


def empty(*shape: int) -> FloatArray:
    """Return an uninitialized float32 array."""
    return aligned_empty(shape, _FLOAT)


def empty_mask(*shape: int) -> BoolArray:
    """Return an uninitialized boolean array."""
    return aligned_empty(shape, np.bool_)


def zeros(*shape: int) -> FloatArray:
    """Return a float32 array of zeros."""
    return aligned_zeros(shape, _FLOAT)


def ones(*shape: int) -> FloatArray:
    """Return a float32 array of ones."""
    array = aligned_empty(shape, _FLOAT)
    array.fill(1)
    return array


def shared_zeros(*shape: int) -> FloatArray:
    """Return read-only zeros, a view of one array that all kernels compare with, so that it stays in the cache."""
    global _shared_zeros
    size = math.prod(shape)
    if size > _shared_zeros.size:
        _shared_zeros = aligned_zeros(size, _FLOAT)
        _shared_zeros.flags.writeable = False
    return _shared_zeros[:size].reshape(shape)


def shared_zeros_like(array: FloatArray) -> FloatArray:
    """Return such zeros with the shape and the memory order of an array, so that NumPy's loop has long runs."""
    axes = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    return shared_zeros(*(array.shape[axis] for axis in axes)).transpose(np.argsort(axes))
