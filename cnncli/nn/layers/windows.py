"""The geometry of convolution and pooling: paddings, output sizes, and the taps of a window.

N batch, C channels, H W image, KH KW kernel, SH SW stride, OH OW output. A tap is one position (i, j) in the window.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from cnncli.errors import ModelError
from cnncli.options import Pair, choice, pair, short_form
from cnncli.types import FloatArray, Shape

Pads = tuple[Pair, Pair]
"""((top, bottom), (left, right)), in pixels."""

NO_PADS: Pads = ((0, 0), (0, 0))

Padding = str | Pair | Pads
"""(vertical, horizontal) pixels on each side, those of each side by itself, or "valid", or "same"."""


def output_size(size: int, kernel: int, stride: int, before: int = 0, after: int = 0) -> int:
    """Return floor((size + before + after − kernel) / stride) + 1. It is below 1 when the kernel does not fit.

    Example:
        >>> output_size(32, kernel=5, stride=1, before=2, after=2)
        32
    """
    return (size + before + after - kernel) // stride + 1


def reach(kernel: Pair, dilation: Pair) -> Pair:
    """Return how many pixels a window spans in each direction, those that a dilation skips included.

    Example:
        >>> reach((3, 5), dilation=(2, 1))
        (5, 5)
    """
    return dilation[0] * (kernel[0] - 1) + 1, dilation[1] * (kernel[1] - 1) + 1


def ceil_pads(size: int, kernel: int, stride: int, pads: Pair) -> Pair:
    """Return the padding (before, after) with which also the last pixels are in a window, cut off or not.

    A window that would begin in the padding behind the image is left out, as in PyTorch and ONNX.

    Example:
        >>> ceil_pads(6, kernel=3, stride=2, pads=(0, 0))
        (0, 1)
    """
    before, after = pads
    outputs = -(-(size + before + after - kernel) // stride) + 1
    if (outputs - 1) * stride >= size + before:
        outputs -= 1
    return before, max(after, (outputs - 1) * stride + kernel - size - before)


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
    """Return a checked padding: a whole number, [vertical, horizontal], each side by itself, "valid" or "same".

    Example:
        >>> check_padding([[1, 0], [2, 2]]), check_padding([[1, 1], [2, 2]]), check_padding(1)
        (((1, 0), (2, 2)), (1, 2), (1, 1))
    """
    if isinstance(value, str):
        return choice("padding", value, ("valid", "same"))
    sides = value if isinstance(value, Sequence) and len(value) == 2 else ()
    if any(isinstance(side, Sequence) and not isinstance(side, str) for side in sides):
        vertical, horizontal = (pair("padding", side, at_least=0) for side in sides)
        if vertical[0] == vertical[1] and horizontal[0] == horizontal[1]:
            return vertical[0], horizontal[0]
        return vertical, horizontal
    try:
        return pair("padding", value, at_least=0)
    except ModelError as error:
        if not isinstance(value, Sequence) or len(value) != 4:
            raise
        hint = "each side by itself is written [[top, bottom], [left, right]]"
        raise ModelError(error.message, hint, error.key_path) from None


def padding_form(padding: Padding) -> object:
    """Return a padding as a config writes it.

    Example:
        >>> padding_form((1, 1)), padding_form(((1, 0), (2, 2)))
        (1, [[1, 0], [2, 2]])
    """
    if isinstance(padding, str):
        return padding
    vertical, horizontal = padding
    if isinstance(vertical, tuple) and isinstance(horizontal, tuple):
        return [list(vertical), list(horizontal)]
    return short_form((vertical, horizontal))  # type: ignore[arg-type]


def pads_of(padding: Padding, input_shape: Shape, kernel: Pair, stride: Pair) -> Pads:
    """Return how many pixels a padding adds on each side of one image (C, H, W).

    Args:
        padding: as `check_padding` returns it.
        input_shape: (C, H, W).
        kernel: the size of the window, or its `reach` if it is dilated.
        stride: in pixels.
    """
    _, H, W = input_shape
    if padding == "same":
        return same_pads(H, kernel[0], stride[0]), same_pads(W, kernel[1], stride[1])
    if padding == "valid":
        return NO_PADS
    assert isinstance(padding, tuple)
    vertical, horizontal = padding
    return (
        vertical if isinstance(vertical, tuple) else (vertical, vertical),
        horizontal if isinstance(horizontal, tuple) else (horizontal, horizontal),
    )


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
    if pads == NO_PADS:
        return x
    return np.pad(x, ((0, 0), (0, 0), *pads), constant_values=fill)


def crop(x: FloatArray, pads: Pads) -> FloatArray:
    """Return the view of x (N, C, H, W) without the border that `pad` added."""
    (top, bottom), (left, right) = pads
    return x[:, :, top : x.shape[2] - bottom, left : x.shape[3] - right]


def taps(kernel: Pair, stride: Pair, output: Pair, dilation: Pair = (1, 1)) -> Iterator[tuple[slice, ...]]:
    """Yield one index for each tap of the window, in row-major order.

    Indexing a padded image (N, C, H, W) with the index of tap (i, j) gives (N, C, OH, OW): the pixel that each
    window has at (i, j). A loop over the few taps replaces a loop over all pixels.
    """
    (KH, KW), (SH, SW), (OH, OW), (DH, DW) = kernel, stride, output, dilation
    for i in range(0, KH * DH, DH):
        for j in range(0, KW * DW, DW):
            rows = slice(i, i + SH * (OH - 1) + 1, SH)
            columns = slice(j, j + SW * (OW - 1) + 1, SW)
            yield slice(None), slice(None), rows, columns
