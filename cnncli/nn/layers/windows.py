"""The geometry of convolution and pooling: paddings, output sizes, and the taps of a window.

N batch, C channels, H W image, KH KW kernel, SH SW stride, OH OW output. A tap is one position (i, j) in the window.
"""

from collections.abc import Iterator

import numpy as np

from cnncli.errors import ModelError
from cnncli.options import Pair, choice, pair
from cnncli.types import FloatArray, Shape

Pads = tuple[Pair, Pair]
"""((top, bottom), (left, right)), in pixels."""

Padding = str | Pair
"""(vertical, horizontal) pixels on each side, or "valid", or "same"."""


def output_size(size: int, kernel: int, stride: int, before: int = 0, after: int = 0) -> int:
    """Return floor((size + before + after − kernel) / stride) + 1. It is below 1 when the kernel does not fit.

    Example:
        >>> output_size(32, kernel=5, stride=1, before=2, after=2)
        32
    """
    return (size + before + after - kernel) // stride + 1


def same_pads(size: int, kernel: int, stride: int) -> Pair:
    """Return the padding (before, after) that gives ceil(size / stride) output positions.

    If the total is odd, the extra pixel is after (at the bottom or the right), as in TensorFlow.

    Example:
        >>> same_pads(28, kernel=2, stride=1)
        (0, 1)
    """
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def check_padding(value: object) -> Padding:
    """Return a checked padding: one whole number, a pair of them, "valid" or "same"."""
    if isinstance(value, str):
        return choice("padding", value, ("valid", "same"))
    return pair("padding", value, at_least=0)


def pads_of(padding: Padding, input_shape: Shape, kernel: Pair, stride: Pair) -> Pads:
    """Return how many pixels a padding adds on each side of one image (C, H, W)."""
    _, H, W = input_shape
    if padding == "same":
        return same_pads(H, kernel[0], stride[0]), same_pads(W, kernel[1], stride[1])
    if padding == "valid":
        return (0, 0), (0, 0)
    assert isinstance(padding, tuple)
    vertical, horizontal = padding
    return (vertical, vertical), (horizontal, horizontal)


def check_image(input_shape: Shape) -> None:
    """Raise a ModelError when a shape is not that of an image, (C, H, W)."""
    if len(input_shape) != 3:
        raise ModelError(
            f"needs an image (channels, height, width), but its input has shape {input_shape}",
            "put it before flatten and linear",
        )


def output_image(input_shape: Shape, channels: int, kernel: Pair, stride: Pair, pads: Pads) -> Shape:
    """Return (channels, OH, OW).

    Raises:
        ModelError: the window is larger than the padded image.
    """
    _, H, W = input_shape
    OH = output_size(H, kernel[0], stride[0], *pads[0])
    OW = output_size(W, kernel[1], stride[1], *pads[1])
    if OH < 1 or OW < 1:
        raise ModelError(
            f"a {kernel[0]}x{kernel[1]} window does not fit its input {input_shape}",
            "use a smaller window, padding, or fewer layers that shrink the image",
        )
    return channels, OH, OW


def pad(x: FloatArray, pads: Pads, fill: float = 0.0) -> FloatArray:
    """Return x (N, C, H, W) with a border around each image, or x itself when the border is empty."""
    if pads == ((0, 0), (0, 0)):
        return x
    return np.pad(x, ((0, 0), (0, 0), *pads), constant_values=fill)


def crop(x: FloatArray, pads: Pads) -> FloatArray:
    """Return the view of x (N, C, H, W) without the border that `pad` added."""
    (top, bottom), (left, right) = pads
    return x[:, :, top : x.shape[2] - bottom, left : x.shape[3] - right]


def taps(kernel: Pair, stride: Pair, output: Pair) -> Iterator[tuple[slice, ...]]:
    """Yield one index for each tap of the window, in row-major order.

    Indexing a padded image (N, C, H, W) with the index of tap (i, j) gives (N, C, OH, OW): the pixel that each
    window has at (i, j). A loop over the few taps replaces a loop over all pixels.
    """
    (KH, KW), (SH, SW), (OH, OW) = kernel, stride, output
    for i in range(KH):
        for j in range(KW):
            rows = slice(i, i + SH * (OH - 1) + 1, SH)
            columns = slice(j, j + SW * (OW - 1) + 1, SW)
            yield slice(None), slice(None), rows, columns
