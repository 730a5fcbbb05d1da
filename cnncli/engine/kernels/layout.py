"""How kernels pass images to each other: where in memory the numbers (H, W, N, C) of a micro-batch lie.

With N and C last, moving a window by one row or one column is a slice of the leading axes. A row of all images is one
run of W·N·C numbers without gaps. A `Layout` is a micro-batch as one or two `StridedColumns`. There are three layouts:

- **single block** (H, W, N, C).
- **split columns**: the even columns (H, ceil(W/2), N, C), then the odd ones (H, W//2, N, C). A Winograd tile and a
  2x2 pool read every second column, which is then one run. Kernels that can work in any order (activations, batch
  normalization) use this layout too.
- **image-major** (H, N, W, C), seen as (H, W, N, C): the neighbors of a pixel in its row are next to it in memory.
  `conv/winograd_rows.py` reads three of them at once, and the elementwise kernels before it use the same layout.

A kernel that writes to another with a different layout pairs up the columns with `matching_columns`.

Axis letters: N images of a micro-batch, C channels, H W image.
"""

import math
from typing import NamedTuple

from cnncli.engine.kernels.arrays import shared_zeros_like
from cnncli.engine.kernels.tape import Tape
from cnncli.types import FloatArray, Shape


class StridedColumns(NamedTuple):
    """Some columns of all images of a micro-batch.

    Attributes:
        start: the first column that the array holds.
        step: 1 for every column from there on, 2 for every second one.
        array: (H, columns, N, C); for a layer without image axes (N, features), with start 0 and step 1.
        block: all numbers of the micro-batch as one flat array, or None where they have gaps in memory.
    """

    start: int
    step: int
    array: FloatArray
    block: FloatArray | None = None


Layout = tuple[StridedColumns, ...]
"""All columns of a micro-batch: one entry, or the even columns and the odd ones."""


def transposed(x: FloatArray) -> FloatArray:
    """Return a view of (N, C, H, W) as (H, W, N, C), or of (H, W, N, C) as (N, C, H, W); (N, features) as it is."""
    return x.transpose(2, 3, 0, 1) if x.ndim == 4 else x


def transposed_shape(shape: Shape, images: int) -> Shape:
    """Return the shape of a micro-batch: (H, W, N, C) for samples (C, H, W), (N, features) for (features,)."""
    if len(shape) == 3:
        c, h, w = shape
        return h, w, images, c
    return images, *shape


def single_block(array: FloatArray) -> Layout:
    """Return the layout of images (H, W, N, C), or of (N, features), in one array."""
    return (StridedColumns(0, 1, array, array.reshape(-1) if array.flags.c_contiguous else None),)


def columns_apart(even: FloatArray, odd: FloatArray, block: FloatArray | None = None) -> Layout:
    """Return the layout of images with their even columns in one array and their odd ones in another."""
    first = StridedColumns(0, 2, even, block)
    return (first, StridedColumns(1, 2, odd, block)) if odd.shape[1] else (first,)


def split_columns(flat: FloatArray, shape: Shape) -> Layout:
    """Return the layout of a flat array (H·W·N·C,) that holds all even columns, then all odd ones."""
    h, w, n, c = shape
    even, odd = (h, (w + 1) // 2, n, c), (h, w // 2, n, c)
    size = math.prod(even)
    return columns_apart(flat[:size].reshape(even), flat[size:].reshape(odd), flat)


def image_major(flat: FloatArray, shape: Shape) -> Layout:
    """Return the layout of a flat array (H·N·W·C,) in which every row of pixels lies image by image."""
    h, w, n, c = shape
    return (StridedColumns(0, 1, flat.reshape(h, n, w, c).transpose(0, 2, 1, 3), flat),)


def select_images(layout: Layout, held: slice, images: slice) -> Layout:
    """Return the layout of some images, out of one that holds the images `held`."""
    if images == held:
        return layout
    chosen = slice(images.start - held.start, images.stop - held.start)
    return tuple(
        columns._replace(
            array=columns.array[:, :, chosen] if columns.array.ndim == 4 else columns.array[chosen],
            block=None,
        )
        for columns in layout
    )


def matching_columns(a: Layout, b: Layout) -> list[tuple[FloatArray, FloatArray]]:
    """Return pairs of views, one of a's arrays and one of b's, that hold the same columns."""
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


def record_copy(tape: Tape, source: Layout, out: Layout, *, relu: bool = False) -> None:
    """Record out = source, or out = max(source, 0)."""
    for values, view in matching_columns(source, out):
        if relu:
            tape.maximum(values, shared_zeros_like(values), out=view)
        else:
            tape.copy(values, out=view)


def record_masked_copy(tape: Tape, dy: Layout, out: Layout, mask: Layout | None) -> None:
    """Record out = dy · mask, or out = dy where there is no mask; mask and out have the same layout."""
    if mask is None:
        record_copy(tape, dy, out)
        return
    pairs, masks = matching_columns(dy, out), matching_columns(dy, mask)
    for (gradient, view), (_, kept) in zip(pairs, masks, strict=True):
        tape.multiply(gradient, kept, out=view)
