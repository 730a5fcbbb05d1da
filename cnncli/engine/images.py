"""How kernels hand images to each other: (H, W, N, C) arrays, whole or with even and odd columns apart.

N is the micro-batch, H W the image, C the channels. With N and C last, a shift of the window by a row or a column is
a slice of the leading axes, and a row is one run of W·N·C numbers. A Winograd tile reads every second column, so its
kernels keep even and odd columns in two arrays; a `Part` says which columns of the image an array holds, and the
kernel on the other side writes, or reads, part by part.
"""

from typing import NamedTuple

from cnncli.types import FloatArray


class Part(NamedTuple):
    """Some columns of an image.

    Attributes:
        start: the first column that the array holds.
        step: 1 for every column from there on, 2 for every second one.
        array: (H, columns, N, C); for a layer without image axes (N, features), with start 0 and step 1.
    """

    start: int
    step: int
    array: FloatArray

    def of(self, image: FloatArray) -> FloatArray:
        """Return the same columns of another image (H, W, N, C), or (N, features) as it is."""
        return image if self.step == 1 and self.start == 0 else image[:, self.start :: self.step]


Parts = tuple[Part, ...]


def whole(array: FloatArray) -> Parts:
    """Return one part that holds everything."""
    return (Part(0, 1, array),)


def columns_apart(even: FloatArray, odd: FloatArray) -> Parts:
    """Return the parts of an image whose even columns are in one array and whose odd ones in another."""
    return (Part(0, 2, even), Part(1, 2, odd)) if odd.shape[1] else (Part(0, 2, even),)


def one_block(parts: Parts) -> FloatArray | None:
    """Return the array of an image that lies in memory as a whole, without gaps, or None."""
    first = parts[0]
    return first.array if first.step == 1 and first.start == 0 and first.array.flags.c_contiguous else None
