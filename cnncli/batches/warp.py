"""Samples images at real-valued positions, which all geometric augmentations have in common.

Axis letters: N images, C channels, H W image.
"""

import threading
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cnncli.types import FloatArray

_CHUNK = 25_600
"""The number of pixels per chunk; all intermediate arrays of a chunk fit into the second-level cache."""


def warp(images: FloatArray, rows: FloatArray, columns: FloatArray) -> FloatArray:
    """Sample images at real-valued positions by bilinear interpolation; pixels outside an image are 0.

    y[n, c, h, w] = x[n, c, rows[n, h, w], columns[n, h, w]]

    Args:
        images: (N, C, H, W).
        rows, columns: (N, H, W), in pixels, where 0 is the middle of the first pixel.

    Returns:
        A new array with the shape and dtype of images.
    """
    warped = np.empty_like(images)
    part = max(1, _CHUNK // (images.shape[2] * images.shape[3]))
    workspace = _memory.workspace(min(part, len(images)), images.shape[1:], images.dtype)
    for first in range(0, len(images), part):
        chosen = slice(first, first + part)
        _warp_part(images[chosen], rows[chosen], columns[chosen], warped[chosen], workspace)
    return warped


class _Workspace(NamedTuple):
    """The intermediate arrays for n images.

    Attributes:
        padded: (n, C, H + 3, W + 3), the images with one pixel of background before and two after each axis, so that
            every clipped position has four neighbors.
        down, right: (n, H, W), the positions, then their distances 0 to 1 from the neighbor above left.
        top, left: (n, H, W), the row and column of that neighbor; then top is its index in the flat padded array.
        corner: (n, H, W), the same index as an integer.
        first: (n, 1), the index of the first pixel of each image in the flat padded array.
        neighbours: (4, n, H, W), the values above left, above right, below left and below right.
    """

    padded: FloatArray
    down: FloatArray
    right: FloatArray
    top: FloatArray
    left: FloatArray
    corner: npt.NDArray[np.intp]
    first: FloatArray
    neighbours: FloatArray


class _Memory(threading.local):
    """Keeps the last workspace of each thread, because allocating it takes half as long as the work in it."""

    def __init__(self) -> None:
        self._kept: _Workspace | None = None

    def workspace(self, count: int, shape: tuple[int, ...], dtype: npt.DTypeLike) -> _Workspace:
        """Return a workspace for `count` images of a shape (C, H, W)."""
        channels, height, width = shape
        size = (count, channels, height + 3, width + 3)
        if self._kept is None or self._kept.padded.shape != size or self._kept.padded.dtype != dtype:
            padded = np.zeros(size, dtype)
            # float32 represents integers exactly only up to 2²⁴
            index_dtype: Any = dtype if padded.size < 1 << 24 else np.float64
            positions = (count, height, width)
            first = np.arange(count, dtype=index_dtype).reshape(-1, 1) * channels * (height + 3) * (width + 3)
            first += width + 4
            down, right = np.empty((2, *positions), dtype)
            top, left = np.empty((2, *positions), index_dtype)
            corner, neighbours = np.empty(positions, np.intp), np.empty((4, *positions), dtype)
            self._kept = _Workspace(padded, down, right, top, left, corner, first, neighbours)
        return self._kept


_memory = _Memory()


def _warp_part(
    images: FloatArray, rows: FloatArray, columns: FloatArray, out: FloatArray, workspace: _Workspace
) -> None:
    """Write the result of `warp` to `out`."""
    count, channels, height, width = images.shape
    padded = workspace.padded
    down, right = workspace.down[:count], workspace.right[:count]
    top, left = workspace.top[:count], workspace.left[:count]
    corner = workspace.corner[:count]
    neighbours = [*workspace.neighbours[:, :count]]
    upper, upper_right, lower, lower_right = neighbours
    padded[:count, :, 1:-2, 1:-2] = images
    np.clip(rows, -1, height, out=down)
    np.clip(columns, -1, width, out=right)
    np.floor(down, out=top)
    np.floor(right, out=left)
    down -= top
    right -= left
    top *= width + 3
    top += left
    flat_top = top.reshape(count, -1)
    flat_top += workspace.first[:count]
    np.copyto(corner, top, casting="unsafe")
    flat, channel_size = padded.reshape(-1), (height + 3) * (width + 3)
    for channel in range(channels):
        start = flat[channel * channel_size :]
        for offset, values in zip((0, 1, width + 3, width + 4), neighbours, strict=True):
            np.take(start[offset:], corner, out=values, mode="wrap")  # all are inside; this omits the check
        upper_right -= upper
        upper_right *= right
        upper += upper_right
        lower_right -= lower
        lower_right *= right
        lower += lower_right
        lower -= upper
        lower *= down
        np.add(upper, lower, out=out[:, channel])
