"""Convolutions of a single image in inference: all windows laid out at once (im2col), and one product of matrices.

    y = windows @ w     (OH·OW·N x KH·KW·C) @ (KH·KW·C x F)

For one image the calls cost as much as their arithmetic. This takes one copy and one product, where Winograd's
transforms take about forty calls. With more images Winograd's fewer multiplications win (see docs/engine.md).

Axis letters: N micro-batch (1), C channels in, F filters, KH KW kernel, OH OW output, PH PW pooled output.
"""

from collections.abc import Sequence
from typing import ClassVar

from numpy.lib.stride_tricks import as_strided

from cnncli.engine.kernels.arrays import empty, zeros
from cnncli.engine.kernels.conv.bias_relu import BiasReLU
from cnncli.engine.kernels.conv.conv_kernel import ConvKernel
from cnncli.engine.kernels.conv.pool_planes import PoolPlanes, covers_pool
from cnncli.engine.kernels.kernel import LayerGenerators, Workload, of_slot
from cnncli.engine.kernels.layout import Layout, single_block
from cnncli.engine.kernels.node import Node, count_with_relu, dense_conv
from cnncli.engine.kernels.products import record_product
from cnncli.engine.kernels.tape import Tape
from cnncli.types import FloatArray, Shape

FEW = 1
"""Up to so many images these kernels are used."""


class WindowsConv(ConvKernel):
    """conv -> [ReLU], any kernel, stride and padding, in inference."""

    description: ClassVar[str] = "convolution of one image, one product for all windows"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        if workload.training or workload.images > FEW or not dense_conv(nodes[0].layer):
            return 0
        return count_with_relu(nodes)

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        s = self.sizes
        self.x = zeros(workload.input_slots, s.padded_h, s.padded_w, s.n, s.c)
        self.image = self.x[:, s.top : s.top + s.h, s.left : s.left + s.w]
        self.weight = empty(s.kh * s.kw * s.c, s.f)
        self._allocate_output()

    def _allocate_output(self) -> None:
        s = self.sizes
        self.windows = self.workload.scratch.empty(s.oh, s.ow, s.n, s.kh, s.kw, s.c)
        relu = len(self.nodes) == 2
        self.tail = BiasReLU(self.nodes[0], self.workload, relu=relu, layout=self._layout)

    def _layout(self, flat: FloatArray) -> Layout:
        s = self.sizes
        return single_block(flat.reshape(s.oh, s.ow, s.n, s.f))

    def prepare(self, generators: LayerGenerators) -> None:
        weight, bias = self.nodes[0].weight_and_bias()
        s = self.sizes
        self.weight.reshape(s.kh, s.kw, s.c, s.f)[...] = weight.transpose(2, 3, 1, 0)
        self._prepare_bias(bias)

    def _prepare_bias(self, bias: FloatArray | float) -> None:
        self.tail.bias.set(bias)

    def input_layout(self, slot: int) -> Layout:
        return single_block(of_slot(self.image, slot))

    def _record_windows(self, tape: Tape, slot: int, strides: Shape) -> FloatArray:
        """Record laying out the windows, whose leading axes move by these strides, and return them: (windows, taps)."""
        x = of_slot(self.x, slot)
        row, column, image, channel = x.strides
        seen = as_strided(x, self.windows.shape, (*strides, image, row, column, channel))
        tape.copy(seen, out=self.windows)
        return self.windows.reshape(-1, len(self.weight))

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        s, (row, column, *_) = self.sizes, self.x.strides[1:]
        windows, y = (
            self._record_windows(tape, slot, (s.sh * row, s.sw * column)),
            self.tail.products_out(out),
        )
        record_product(tape, windows, self.weight, y.reshape(-1, s.f))
        self.tail.record_forward(tape, slot, y, out)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        raise AssertionError("this kernel is for inference only")

    def dweight(self) -> FloatArray:
        raise AssertionError("this kernel is for inference only")


class WindowsConvPool(WindowsConv):
    """conv -> [ReLU] -> max-pool 2x2 in inference. The windows are sorted by their place in the pool's window.

    A maximum commutes with a bias and with ReLU. So the kernel pools first.
    """

    description: ClassVar[str] = "convolution of one image and its pool, one product for all windows"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        return covers_pool(nodes) if WindowsConv.match(nodes, workload) else 0

    def _allocate_output(self) -> None:
        s, scratch = self.sizes, self.workload.scratch
        f, ph, pw = self.nodes[-1].output_shape
        self.shape = (ph, pw, s.n, f)
        self.windows = scratch.empty(2, 2, ph, pw, s.n, s.kh, s.kw, s.c)
        self.products = scratch.empty(4, ph * pw * s.n, f)
        self.pooled = scratch.empty(ph * pw * s.n * f)
        self.bias_row = empty(pw, s.n, f)
        relu = len(self.nodes) == 3
        self.pool = PoolPlanes(self.workload, self.pooled.shape, relu=relu, layout=self._layout)

    def _layout(self, flat: FloatArray) -> Layout:
        return single_block(flat.reshape(self.shape))

    def _prepare_bias(self, bias: FloatArray | float) -> None:
        self.bias_row[...] = bias

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        s, (row, column, *_) = self.sizes, self.x.strides[1:]
        down, right = s.sh * row, s.sw * column
        windows = self._record_windows(tape, slot, (down, right, 2 * down, 2 * right))
        record_product(tape, windows, self.weight, self.products.reshape(-1, s.f))
        self.pool.record_forward(tape, slot, self.products.reshape(2, 2, -1), self.pooled)
        rows = self.pooled.reshape(len(self.pooled) // self.bias_row.size, -1)
        tape.add(rows, self.bias_row.reshape(-1), out=rows)
        self.pool.record_output(tape, slot, self.pooled, out)
