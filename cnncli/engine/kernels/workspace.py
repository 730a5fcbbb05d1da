"""Aligned memory for kernels: arrays of their own, and workspaces that all kernels of a plan share."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from cnncli.nn.aligned import ALIGNMENT, aligned_empty, aligned_zeros
from cnncli.types import BoolArray, FloatArray

FLOAT = np.dtype(np.float32)
_SCRATCH = 64_000_000  # bytes; what is not touched costs nothing
_RUN = 2_048  # numbers; an operation on shorter runs spends its time on going from one to the next
_shared_zeros: FloatArray = np.zeros(0, FLOAT)


class Workspace:
    """Memory for what kernels need only while they work on a slot: they all get the same, so that it stays in cache."""

    def __init__(self) -> None:
        self._arena = aligned_empty(_SCRATCH, np.uint8)
        self._used = 0
        self._turns = [aligned_empty(0, FLOAT), aligned_empty(0, FLOAT)]

    def begin_kernel(self) -> None:
        """Start again for the next kernel."""
        self._used = 0

    def __call__(self, *shape: int) -> FloatArray:
        """Return a float32 array that nothing has been written to, or that another kernel has."""
        return self._take(shape, FLOAT)

    def mask(self, *shape: int) -> BoolArray:
        """Return an array of truth values likewise."""
        return self._take(shape, np.bool_)

    def alternate(self, *shape: int) -> FloatArray:
        """Return one of two arrays by turns: for what is needed until the next kernel that asks has its own."""
        self._turns.reverse()
        size = math.prod(shape)
        if size > self._turns[0].size:
            self._turns[0] = aligned_empty(size, FLOAT)
        array: FloatArray = self._turns[0][:size].reshape(shape)
        return array

    def _take(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        start, size = self._used, math.prod(shape) * np.dtype(dtype).itemsize
        if start + size > self._arena.size:
            return aligned_empty(shape, dtype)
        self._used += -(-size // ALIGNMENT) * ALIGNMENT
        array: npt.NDArray[Any] = self._arena[start : start + size].view(dtype).reshape(shape)
        return array


class ChannelRow:
    """One number for each channel, repeated, so that operations with it have long runs.

    Args:
        pixels: how many times the channels follow each other in the arrays it meets.
        channels: C.
    """

    def __init__(self, pixels: int, channels: int) -> None:
        times = next(
            k for k in range(1, pixels + 1) if pixels % k == 0 and (k * channels >= _RUN or k == pixels)
        )
        self.row = empty(times * channels)
        self._by_channel = self.row.reshape(times, channels)

    def set(self, values: npt.ArrayLike) -> None:
        """Take numbers (C,)."""
        self._by_channel[...] = values

    def across(self, array: FloatArray) -> FloatArray:
        """Return an array (.., C) without gaps as rows that this one can be added to."""
        return array.reshape(-1, self.row.size)


def zeros(*shape: int) -> FloatArray:
    """Return a float32 array of zeros."""
    return aligned_zeros(shape, FLOAT)


def shared_zeros(*shape: int) -> FloatArray:
    """Return zeros that nobody may write to: views of one array, which stays in cache for all who compare with it."""
    global _shared_zeros
    size = math.prod(shape)
    if size > _shared_zeros.size:
        _shared_zeros = aligned_zeros(size, FLOAT)
        _shared_zeros.flags.writeable = False
    return _shared_zeros[:size].reshape(shape)


def shared_zeros_like(array: FloatArray) -> FloatArray:
    """Return such zeros with an array's shape, and its axes in the same order in memory: so NumPy has long runs."""
    axes = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    return shared_zeros(*(array.shape[axis] for axis in axes)).transpose(np.argsort(axes))


def empty(*shape: int) -> FloatArray:
    """Return a float32 array that nothing has been written to."""
    return aligned_empty(shape, FLOAT)


def ones(*shape: int) -> FloatArray:
    """Return a float32 array of ones."""
    array = aligned_empty(shape, FLOAT)
    array.fill(1)
    return array


def empty_mask(*shape: int) -> BoolArray:
    """Return an array of truth values that nothing has been written to."""
    return aligned_empty(shape, np.bool_)
