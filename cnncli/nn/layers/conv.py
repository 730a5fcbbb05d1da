"""Convolution as one matrix product over the im2col form of its input.

Derivation: docs/backward-passes.md#convolution.

N batch, C channels in, F filters, G groups, H W image, KH KW kernel, SH SW stride, DH DW dilation, OH OW output.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from cnncli.errors import ModelError
from cnncli.nn.initializers import weight_and_bias
from cnncli.options import Pair, integer, pair, short_form
from cnncli.types import FloatArray, Shape

from .base import INFERENCE, ArrayView, Layer, Mode, Window
from .windows import (
    Pads,
    check_image,
    check_padding,
    crop,
    output_image,
    pad,
    padding_form,
    pads_of,
    reach,
    taps,
)


class Conv2D(Layer):
    """Slide F filters over an image. Like every framework, it computes the cross-correlation.

        y[n, f, a, b] = bias[f] + sum over c, i, j of
            weight[f, c, i, j] · x[n, c, a·SH + i·DH − top, b·SW + j·DW − left]

    With G groups, c counts the C/G channels of the group of filter f: the first F/G filters read the first C/G
    channels, and so on. A convolution with as many groups as channels is called depthwise.

    Args:
        in_channels: C.
        out_channels: F.
        kernel_size: KH = KW, or (KH, KW), in pixels.
        stride: in pixels, one number or (vertical, horizontal).
        padding: zeros around the image: pixels, (vertical, horizontal), ((top, bottom), (left, right)), "valid"
            (none) or "same" (the output has ceil(H / SH) rows; if the number of added rows is odd, the extra one is
            at the bottom).
        bias: whether each filter has a bias.
        init: how the weights are initialized: "he" or "glorot".
        groups: G; it divides C and F.
        dilation: the distance of neighboring pixels of a window, one number or (vertical, horizontal).
        rng: the generator for the initial weights; None for a fresh one.
        dtype: of the parameters.

    Raises:
        ModelError: an argument is not valid.

    Example:
        >>> Conv2D(3, 64, 3).parameters["weight"].shape
        (64, 3, 3, 3)
        >>> Conv2D(8, 8, 3, groups=8).parameters["weight"].shape
        (8, 1, 3, 3)
    """

    kind = "conv"
    option_names: ClassVar[Mapping[str, str]] = {
        "filters": "out_channels",
        "kernel": "kernel_size",
        "stride": "stride",
        "padding": "padding",
        "bias": "bias",
        "init": "init",
        "groups": "groups",
        "dilation": "dilation",
    }
    weight, bias = ArrayView(), ArrayView()

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | str | Pair | Pads = 0,
        bias: bool = True,
        init: str = "he",
        groups: int = 1,
        dilation: int | Pair = 1,
        *,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        self.in_channels = integer("in_channels", in_channels)
        self.out_channels = integer("filters", out_channels)
        self.kernel_size = pair("kernel", kernel_size)
        self.stride = pair("stride", stride)
        self.padding = check_padding(padding)
        self.init = init
        self.groups = integer("groups", groups)
        self.dilation = pair("dilation", dilation)
        for name, channels in (("channels", self.in_channels), ("filters", self.out_channels)):
            if channels % self.groups:
                raise ModelError(
                    f"groups: {channels} {name} cannot be cut into {self.groups} equal groups",
                    "use a number that divides the channels that come in and the filters",
                    key_path=("groups",),
                )
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        self.parameters = weight_and_bias(shape, init, bias, rng, dtype, self.groups)

    def forward(self, x: FloatArray, mode: Mode = INFERENCE) -> FloatArray:
        N, F = len(x), self.out_channels
        _, OH, OW = self.output_shape(x.shape[1:])
        columns = self._im2col(x)  # (C·KH·KW, N·OH·OW)
        y = self._by_group(self.weight) @ self._by_group(columns)  # (G, F/G, N·OH·OW)
        y = y.reshape(F, -1)
        if "bias" in self.parameters:
            y += self.bias[:, np.newaxis]
        self._saved = (columns, x.shape) if mode.for_backward else None
        # The shape is (N, F, OH, OW), but in memory F stays the outermost axis. The next layers keep this order,
        # so `backward` can reshape its dy for the matrix products without a copy.
        return y.reshape(F, N, OH, OW).swapaxes(0, 1)

    def backward(self, dy: FloatArray) -> FloatArray:
        columns, x_shape = self._take()
        output = dy.shape[2:]
        dy = dy.swapaxes(0, 1).reshape(self.out_channels, -1)  # (F, N·OH·OW)
        dy_groups = self._by_group(dy)  # (G, F/G, N·OH·OW)
        dweight = dy_groups @ self._by_group(columns).swapaxes(1, 2)  # (G, F/G, C/G·KH·KW)
        self.parameters["weight"].grad = dweight.reshape(self.weight.shape)
        if "bias" in self.parameters:
            dy.sum(axis=1, out=self.parameters["bias"].grad)
        del columns  # free it before dcolumns, which is as large
        dcolumns = self._by_group(self.weight).swapaxes(1, 2) @ dy_groups  # (G, C/G·KH·KW, N·OH·OW)
        return self._col2im(dcolumns, x_shape, output)

    def _by_group(self, rows: FloatArray) -> FloatArray:
        """Return rows of channels or filters as (G, rows/G, ..): those of a group are neighbors."""
        return rows.reshape(self.groups, len(rows) // self.groups, -1)

    def _im2col(self, x: FloatArray) -> FloatArray:
        """Copy the pixels of each window into a column: (N, C, H, W) -> (C·KH·KW, N·OH·OW)."""
        (SH, SW), (DH, DW) = self.stride, self.dilation
        padded = pad(x, self.pads(x.shape[1:]))
        span = reach(self.kernel_size, self.dilation)
        windows = np.lib.stride_tricks.sliding_window_view(padded, span, axis=(2, 3))
        windows = windows[:, :, ::SH, ::SW, ::DH, ::DW]  # (N, C, OH, OW, KH, KW), no copy yet
        rows = self.in_channels * self.kernel_size[0] * self.kernel_size[1]
        return windows.transpose(1, 4, 5, 0, 2, 3).reshape(rows, -1)

    def _col2im(self, dcolumns: FloatArray, x_shape: Shape, output: Pair) -> FloatArray:
        """Add each entry of a column to the pixel it was copied from: the transpose of `_im2col`."""
        N, C, H, W = x_shape
        pads = self.pads(x_shape[1:])
        padded_shape = (C, N, H + sum(pads[0]), W + sum(pads[1]))
        dpadded: FloatArray = np.zeros(padded_shape, dcolumns.dtype).swapaxes(0, 1)
        dwindows = dcolumns.reshape(C, -1, N, *output)  # (C, KH·KW, N, OH, OW)
        for index, tap in enumerate(taps(self.kernel_size, self.stride, output, self.dilation)):
            dpadded[tap] += dwindows[:, index].swapaxes(0, 1)
        return crop(dpadded, pads)

    def pads(self, input_shape: Shape) -> Pads:
        """Return the zeros around one image (C, H, W) as ((top, bottom), (left, right))."""
        return pads_of(self.padding, input_shape, reach(self.kernel_size, self.dilation), self.stride)

    def output_shape(self, input_shape: Shape) -> Shape:
        check_image(input_shape)
        if input_shape[0] != self.in_channels:
            raise ModelError(f"needs {self.in_channels} channels, but its input has shape {input_shape}")
        pads = self.pads(input_shape)
        span = reach(self.kernel_size, self.dilation)
        return output_image(input_shape, self.out_channels, span, self.stride, pads)

    def multiply_adds(self, input_shape: Shape) -> int:
        F, OH, OW = self.output_shape(input_shape)
        return F * OH * OW * (self.in_channels // self.groups) * self.kernel_size[0] * self.kernel_size[1]

    def window(self) -> Window:
        return Window(reach(self.kernel_size, self.dilation), self.stride, self.padding, self.dilation)

    def options(self) -> dict[str, object]:
        return {
            "filters": self.out_channels,
            "kernel": short_form(self.kernel_size),
            "stride": short_form(self.stride),
            "padding": padding_form(self.padding),
            "bias": "bias" in self.parameters,
            "init": self.init,
            "groups": self.groups,
            "dilation": short_form(self.dilation),
        }

    @classmethod
    def context(cls, input_shape: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> dict[str, Any]:
        check_image(input_shape)
        return {"in_channels": input_shape[0], "rng": rng, "dtype": dtype}
