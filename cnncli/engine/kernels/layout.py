"""How kernels hand images to each other: (H, W, N, C) arrays, whole or with even and odd columns apart.

N is the micro-batch, H W the image, C the channels. With N and C last, a shift of the window by a row or a column is
a slice of the leading axes, and a row is one run of W·N·C numbers. A Winograd tile and a 2x2 pool read every second
column, so their kernels keep even and odd columns in two arrays, and so do those that do not care (activations,
normalisations): long runs everywhere. A `StridedColumns` says which columns of the image an array holds; where two
kernels meet, `pairs` finds the columns that belong together.

The convolution that looks at three neighbours of a row at once wants them side by side, `by_image`: the same axes, with
W and N the other way around in memory. What is in front of it keeps its images so too.
"""

import math
from typing import NamedTuple

from cnncli.types import FloatArray, Shape


class StridedColumns(NamedTuple):
    """Some columns of an image.

    Attributes:
        start: the first column that the array holds.
        step: 1 for every column from there on, 2 for every second one.
        array: (H, columns, N, C); for a layer without image axes (N, features), with start 0 and step 1.
        block: all parts of the image as one flat array, where they lie in memory without gaps.
    """

    start: int
    step: int
    array: FloatArray
    block: FloatArray | None = None


Layout = tuple[StridedColumns, ...]


def whole(array: FloatArray) -> Layout:
    """Return one part that holds everything."""
    return (StridedColumns(0, 1, array, array.reshape(-1) if array.flags.c_contiguous else None),)


def columns_apart(even: FloatArray, odd: FloatArray, block: FloatArray | None = None) -> Layout:
    """Return the layout of an image with its even columns in one array and its odd ones in another."""
    first = StridedColumns(0, 2, even, block)
    return (first, StridedColumns(1, 2, odd, block)) if odd.shape[1] else (first,)


def split(flat: FloatArray, shape: Shape) -> Layout:
    """Return the parts of a flat array that holds all even columns of an image, then all odd ones.

    Args:
        flat: (H·W·N·C,), or (N·features,).
        shape: (H, W, N, C), or (N, features), which is left whole.
    """
    if len(shape) == 2:
        return whole(flat.reshape(shape))
    h, w, n, c = shape
    even, odd = (h, (w + 1) // 2, n, c), (h, w // 2, n, c)
    size = math.prod(even)
    return columns_apart(flat[:size].reshape(even), flat[size:].reshape(odd), flat)


def by_image(flat: FloatArray, shape: Shape) -> Layout:
    """Return the one part of a flat array in which every row of pixels lies image by image, (H, N, W, C).

    Args:
        flat: (H·N·W·C,), or (N·features,).
        shape: (H, W, N, C), or (N, features), which is left whole.
    """
    if len(shape) == 2:
        return whole(flat.reshape(shape))
    h, w, n, c = shape
    return (StridedColumns(0, 1, flat.reshape(h, n, w, c).transpose(0, 2, 1, 3), flat),)


def pairs(a: Layout, b: Layout) -> list[tuple[FloatArray, FloatArray]]:
    """Return views of a's arrays and of b's that hold the same columns of the same image."""
    found = []
    for p in a:
        for q in b:
            if p.step == q.step:
                if p.start == q.start:
                    found.append((p.array, q.array))
            elif p.step == 1:
                found.append((p.array[:, q.start :: 2], q.array))
            else:
                found.append((p.array, q.array[:, p.start :: 2]))
    return found
