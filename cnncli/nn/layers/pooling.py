"""Pooling: shrinks an image to the maximum or the mean of each window.

Derivations: docs/backward-passes.md#max-pooling and docs/backward-passes.md#average-pooling.

N batch, C channels, H W image, KH KW window, OH OW output.
"""

from collections.abc import Iterable, Mapping
from itertools import count, repeat
from typing import ClassVar

import numpy as np

from cnncli.errors import ModelError
from cnncli.options import Pair, pair, short_form
from cnncli.types import FloatArray, Shape

from .base import INFERENCE, Layer, Mode, Window
from .windows import Pads, check_image, crop, output_image, pad, pads_of, taps


class _Pool(Layer):
    """The options and shapes of maximum and average pooling."""

    option_names: ClassVar[Mapping[str, str]] = {
        "size": "pool_size",
        "stride": "stride",
        "padding": "padding",
    }
    main_option = "size"

    def __init__(
        self, pool_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0
    ) -> None:
        super().__init__()
        self.pool_size = pair("size", pool_size)
        self.stride = self.pool_size if stride is None else pair("stride", stride)
        self.padding = pair("padding", padding, at_least=0)
        if any(border >= size for border, size in zip(self.padding, self.pool_size, strict=True)):
            raise ModelError(
                f"padding: a border of {short_form(self.padding)} around windows of "
                f"{short_form(self.pool_size)} gives windows that see no pixel",
                "use a padding smaller than the window",
                key_path=("padding",),
            )

    def pads(self, input_shape: Shape) -> Pads:
        """Return the border around one image (C, H, W) as ((top, bottom), (left, right))."""
        return pads_of(self.padding, input_shape, self.pool_size, self.stride)

    def _add_up(self, shares: Iterable[FloatArray], dy: FloatArray, x_shape: Shape) -> FloatArray:
        """Return dx (N, C, H, W): every pixel has the sum of the shares of dy of the taps that read it.

        Args:
            shares: one for each tap, (N, C, OH, OW).
            dy: (N, C, OH, OW).
            x_shape: (N, C, H, W).
        """
        pads = self.pads(x_shape[1:])
        N, C, H, W = x_shape
        dpadded = np.zeros((N, C, H + sum(pads[0]), W + sum(pads[1])), dy.dtype)
        for tap, share in zip(taps(self.pool_size, self.stride, dy.shape[2:]), shares, strict=False):
            dpadded[tap] += share
        return crop(dpadded, pads)

    def output_shape(self, input_shape: Shape) -> Shape:
        check_image(input_shape)
        pads = self.pads(input_shape)
        return output_image(input_shape, input_shape[0], self.pool_size, self.stride, pads)

    def window(self) -> Window:
        return Window(self.pool_size, self.stride, self.padding)


class MaxPool2D(_Pool):
    """Keep the largest pixel of each window; of equal pixels the first in row-major order.

        y[n, c, a, b] = max over i, j of x[n, c, a·SH + i − top, b·SW + j − left]

    Args:
        pool_size: KH = KW, or (KH, KW), in pixels.
        stride: in pixels; None for the pool size, so that the windows do not overlap.
        padding: pixels of −infinity around the image, fewer than the size of the window.

    Raises:
        ModelError: an argument is not valid.

    Example:
        >>> MaxPool2D(2).forward(np.array([[[[1., 3], [5, 6]]]]))
        array([[[[6.]]]])
    """

    kind = "maxpool"

    def forward(self, x: FloatArray, mode: Mode = INFERENCE) -> FloatArray:
        _, OH, OW = self.output_shape(x.shape[1:])
        padded = pad(x, self.pads(x.shape[1:]), fill=-np.inf)
        first, *others = taps(self.pool_size, self.stride, (OH, OW))
        y = padded[first].copy(order="K")
        winner = np.zeros_like(y, np.min_scalar_type(len(others)))  # the index of the tap that y comes from
        for index, tap in enumerate(others, start=1):
            if mode.for_backward:
                # only a strictly larger pixel replaces the winner, so the first of equal pixels stays
                np.copyto(winner, index, where=padded[tap] > y)
            np.maximum(y, padded[tap], out=y)
        self._saved = (winner, x.shape) if mode.for_backward else None
        return y

    def backward(self, dy: FloatArray) -> FloatArray:
        winner, x_shape = self._take()
        return self._add_up((dy * (winner == index) for index in count()), dy, x_shape)


class AvgPool2D(_Pool):
    """Keep the mean of each window. The zeros of the padding count as pixels.

        y[n, c, a, b] = 1 / (KH·KW) · sum over i, j of x[n, c, a·SH + i − top, b·SW + j − left]

    Args:
        pool_size: KH = KW, or (KH, KW), in pixels.
        stride: in pixels; None for the pool size, so that the windows do not overlap.
        padding: pixels of zeros around the image, fewer than the size of the window.

    Raises:
        ModelError: an argument is not valid.

    Example:
        >>> AvgPool2D(2).forward(np.array([[[[1., 3], [5, 7]]]]))
        array([[[[4.]]]])
    """

    kind = "avgpool"

    def forward(self, x: FloatArray, mode: Mode = INFERENCE) -> FloatArray:
        _, OH, OW = self.output_shape(x.shape[1:])
        padded = pad(x, self.pads(x.shape[1:]))
        first, *others = taps(self.pool_size, self.stride, (OH, OW))
        y = padded[first].copy(order="K")
        for tap in others:
            y += padded[tap]
        y /= self.pool_size[0] * self.pool_size[1]
        self._saved = x.shape if mode.for_backward else None
        return y

    def backward(self, dy: FloatArray) -> FloatArray:
        share = dy / (self.pool_size[0] * self.pool_size[1])
        return self._add_up(repeat(share), dy, self._take())

    def multiply_adds(self, input_shape: Shape) -> int:
        C, OH, OW = self.output_shape(input_shape)
        return C * OH * OW * self.pool_size[0] * self.pool_size[1]


class GlobalAvgPool(Layer):
    """Keep the mean of each channel: (C, H, W) -> (C,). It replaces a large linear layer.

        y[n, c] = 1 / (H·W) · sum over a, b of x[n, c, a, b]

    Source: Lin et al., Network In Network (2013), section 3.2.
    """

    kind = "globalavgpool"

    def forward(self, x: FloatArray, mode: Mode = INFERENCE) -> FloatArray:
        self._saved = x.shape if mode.for_backward else None
        y: FloatArray = x.mean(axis=(2, 3))
        return y

    def backward(self, dy: FloatArray) -> FloatArray:
        x_shape = self._take()
        share = dy / (x_shape[2] * x_shape[3])
        return np.broadcast_to(share[:, :, np.newaxis, np.newaxis], x_shape)

    def output_shape(self, input_shape: Shape) -> Shape:
        check_image(input_shape)
        return input_shape[:1]

    def multiply_adds(self, input_shape: Shape) -> int:
        C, H, W = input_shape
        return C * H * W

    def window(self) -> None:
        return None
