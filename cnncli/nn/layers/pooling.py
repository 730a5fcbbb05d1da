"""Pooling: shrinks an image to the maximum or the mean of each window.

Derivations: docs/backward-passes.md#max-pooling and docs/backward-passes.md#average-pooling.

N batch, C channels, H W image, KH KW window, OH OW output.
"""

from collections.abc import Iterable, Mapping
from itertools import count, repeat
from typing import ClassVar

import numpy as np

from cnncli.errors import ModelError
from cnncli.options import Pair, flag, pair, short_form
from cnncli.types import FloatArray, IntArray, Shape

from .base import INFERENCE, Layer, Mode, Window
from .windows import (
    NO_PADS,
    Pads,
    ceil_pads,
    check_image,
    check_padding,
    crop,
    output_image,
    output_size,
    pad,
    padding_form,
    pads_of,
    taps,
)


class _Pool(Layer):
    """The options and shapes of maximum and average pooling."""

    option_names: ClassVar[Mapping[str, str]] = {
        "size": "pool_size",
        "stride": "stride",
        "padding": "padding",
        "ceil_mode": "ceil_mode",
    }
    main_option = "size"

    def __init__(
        self,
        pool_size: int | Pair,
        stride: int | Pair | None = None,
        padding: int | str | Pair | Pads = 0,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.pool_size = pair("size", pool_size)
        self.stride = self.pool_size if stride is None else pair("stride", stride)
        self.padding = check_padding(padding)
        self.ceil_mode = flag("ceil_mode", ceil_mode)
        if isinstance(self.padding, str):
            return  # "same" never pads by a whole window
        borders = (max(side) if isinstance(side, tuple) else side for side in self.padding)
        for border, size in zip(borders, self.pool_size, strict=True):
            if border >= size:
                raise ModelError(
                    f"padding: a border of {padding_form(self.padding)} around windows of "
                    f"{short_form(self.pool_size)} gives windows that see no pixel",
                    "use a padding smaller than the window",
                    key_path=("padding",),
                )

    def pads(self, input_shape: Shape) -> Pads:
        """Return the border around one image (C, H, W) as ((top, bottom), (left, right)).

        Where `ceil_mode` lets a window hang over the edge, the border holds it. So every window has all its pixels.
        """
        vertical, horizontal = self._own_pads(input_shape)
        if not self.ceil_mode:
            return vertical, horizontal
        _, H, W = input_shape
        return (
            ceil_pads(H, self.pool_size[0], self.stride[0], vertical),
            ceil_pads(W, self.pool_size[1], self.stride[1], horizontal),
        )

    def _own_pads(self, input_shape: Shape) -> Pads:
        """Return the border that the option `padding` asks for."""
        return pads_of(self.padding, input_shape, self.pool_size, self.stride)

    def options(self) -> dict[str, object]:
        return {**super().options(), "padding": padding_form(self.padding)}

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
        padding: pixels of −infinity around the image, as for `Conv2D`; on each side fewer than the window has.
        ceil_mode: whether the last windows may hang over the edge, where their stride does not fit the image.

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
    """Keep the mean of each window. The zeros of the padding count as pixels, unless `count_include_pad` is off.

        y[n, c, a, b] = 1 / count[a, b] · sum over i, j of x[n, c, a·SH + i − top, b·SW + j − left]

    count[a, b] is KH·KW, or the number of pixels of the image in that window. What `ceil_mode` lets hang over the edge
    never counts.

    Args:
        pool_size: KH = KW, or (KH, KW), in pixels.
        stride: in pixels; None for the pool size, so that the windows do not overlap.
        padding: pixels of zeros around the image, as for `Conv2D`; on each side fewer than the window has.
        ceil_mode: whether the last windows may hang over the edge, where their stride does not fit the image.
        count_include_pad: whether the padding counts in the mean.

    Raises:
        ModelError: an argument is not valid.

    Example:
        >>> AvgPool2D(2).forward(np.array([[[[1., 3], [5, 7]]]]))
        array([[[[4.]]]])
    """

    kind = "avgpool"
    option_names: ClassVar[Mapping[str, str]] = {
        **_Pool.option_names,
        "count_include_pad": "count_include_pad",
    }

    def __init__(
        self,
        pool_size: int | Pair,
        stride: int | Pair | None = None,
        padding: int | str | Pair | Pads = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(pool_size, stride, padding, ceil_mode)
        self.count_include_pad = flag("count_include_pad", count_include_pad)

    def counts(self, input_shape: Shape) -> IntArray | None:
        """Return how many pixels each window of an image (C, H, W) counts, (OH, OW); None where it is KH·KW for all."""
        pads = self.pads(input_shape)
        counted = self._own_pads(input_shape) if self.count_include_pad else NO_PADS
        if pads == counted:
            return None
        sides = []
        for axis in (0, 1):
            (before, after), (own_before, own_after) = pads[axis], counted[axis]
            size, kernel, stride = input_shape[1 + axis], self.pool_size[axis], self.stride[axis]
            start = np.arange(output_size(size, kernel, stride, before, after)) * stride - before
            sides.append(np.minimum(start + kernel, size + own_after) - np.maximum(start, -own_before))
        counts = np.multiply.outer(*sides)
        return None if (counts == self.pool_size[0] * self.pool_size[1]).all() else counts

    def _share(self, total: FloatArray, input_shape: Shape) -> FloatArray:
        """Return numbers (N, C, OH, OW), each divided by how many pixels its window counts."""
        counts = self.counts(input_shape)
        share: FloatArray = total / (self.pool_size[0] * self.pool_size[1] if counts is None else counts)
        return share.astype(total.dtype, copy=False)

    def forward(self, x: FloatArray, mode: Mode = INFERENCE) -> FloatArray:
        _, OH, OW = self.output_shape(x.shape[1:])
        padded = pad(x, self.pads(x.shape[1:]))
        first, *others = taps(self.pool_size, self.stride, (OH, OW))
        y = padded[first].copy(order="K")
        for tap in others:
            y += padded[tap]
        self._saved = x.shape if mode.for_backward else None
        return self._share(y, x.shape[1:])

    def backward(self, dy: FloatArray) -> FloatArray:
        x_shape = self._take()
        return self._add_up(repeat(self._share(dy, x_shape[1:])), dy, x_shape)

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
