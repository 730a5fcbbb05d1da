"""3x3 convolutions at stride 1 by Winograd's F(2, 3) across the rows, with bias and ReLU.

F(2, 3) computes two output rows with four products instead of six, each over the three taps along the row:

    y = Aᵀ [ (G w) ⊙ (Bᵀ x) ]     with B, G and A of winograd_transforms.py, applied to rows only

F(2x2, 3x3) would save more products, but needs three times as many passes over arrays. In NumPy one pass costs as much
as ten to twenty multiply-adds per number. So F(2, 3) is faster, unless a pool follows.

The three taps along a row need no copies. Images are image-major, (H, N, W', C), so three neighbors in a row are 3·C
numbers without a gap. In that same memory, the windows that start at every third pixel are the rows of a matrix with a
third as many rows and 3·C columns. Three such matrices, one pixel apart, hold all windows. Windows that reach over the
end of a row give outputs that nothing reads. The backward pass does the same with the gradient, where those outputs are
set to zero.

Axis letters: N micro-batch, C channels in, F filters, H W image, W' padded row, OH OW output, TH pairs of output rows,
P = TH·N·W' pixels.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, arXiv 1509.09308.
"""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import as_strided

from cnncli.engine.kernels.arrays import ChannelRow, empty, zeros
from cnncli.engine.kernels.conv.conv_kernel import ConvKernel
from cnncli.engine.kernels.conv.winograd_transforms import (
    BACKWARD_ORDER,
    KERNEL_TRANSFORM,
    ROW_PAIRS,
    rows_backward,
    suits_winograd,
)
from cnncli.engine.kernels.fused_relu import FusedReLU
from cnncli.engine.kernels.kernel import LayerGenerators, Workload, of_slot
from cnncli.engine.kernels.layout import Layout, StridedColumns
from cnncli.engine.kernels.node import Node, count_with_relu
from cnncli.engine.kernels.products import SMALL, ColumnSum, SummedProduct
from cnncli.engine.kernels.tape import Tape
from cnncli.nn.layers import Conv2D
from cnncli.types import FloatArray


def suits_winograd_rows(node: Node) -> bool:
    """Return whether a layer is such a convolution; padding that is wider than a window needs is left to `ConvRows`."""
    layer = node.layer
    return (
        suits_winograd(node)
        and isinstance(layer, Conv2D)
        and max(max(side) for side in layer.pads(node.input_shape)) <= 2
    )


class WinogradRows(ConvKernel):
    """conv 3x3 -> [ReLU]."""

    description: ClassVar[str] = "3x3 convolution by Winograd over pairs of rows"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        return count_with_relu(nodes) if suits_winograd_rows(nodes[0]) else 0

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        s, scratch = self.sizes, workload.scratch
        n, c, f = s.n, s.c, s.f
        self.th = (s.oh + 1) // 2
        # The zeros left of a row are also the zeros right of the row before it.
        self.width = s.left + s.w + max(0, s.right - s.left)
        self.pixels = self.th * n * self.width
        rows = 2 * self.th + 2  # at least as many as the padded image has
        self.x = zeros(workload.input_slots, rows, n * self.width * c)
        a_third = -(-self.pixels // 3)
        self.blocks = -(-a_third * 3 * c * f // SMALL)
        self.block = -(-a_third // self.blocks)
        count = 3 * self.blocks * self.block  # at least P
        # V has two more pixels at its end, where the last windows end. The outputs begin with two zeros, for the
        # windows of the backward pass.
        self.v = [scratch.empty((count + 2) * c) for _ in range(2 if workload.training else 1)]
        self.y, self.z, self.m = (scratch.empty((2 + count) * f) for _ in range(3))
        self.u = empty(4, 3 * c, f)
        self.bias = ChannelRow(self.pixels, f)
        self.ut = empty(4, 3 * f, c) if workload.training and workload.needs_dx else None
        relu = len(nodes) == 2
        self.relus = [
            FusedReLU(workload, (self.pixels * f,), relu=relu, layout=partial(self._output_rows, parity))
            for parity in (0, 1)
        ]
        if workload.training:
            self.du, self.db = SummedProduct((4,), 3 * c, f), ColumnSum(self.pixels, f)
            self.sums = self.du, self.db
            self.factor = scratch.empty(self.pixels * f if relu else 0)
            if workload.needs_dx:
                self.dx = empty(rows, n * self.width * c)

    # --- views

    def _image(self, rows: FloatArray) -> Layout:
        """Return the image (H, W, N, C) inside padded rows."""
        s = self.sizes
        padded = rows.reshape(len(rows), s.n, self.width, s.c)
        image = padded[s.top : s.top + s.h, :, s.left : s.left + s.w]
        return (StridedColumns(0, 1, image.transpose(0, 2, 1, 3)),)

    def _pixels(self, y: FloatArray) -> FloatArray:
        """Return the pixels of an output buffer, without the two zeros before them and what follows: (P·F,)."""
        return y[2 * self.sizes.f : (2 + self.pixels) * self.sizes.f]

    def _output_columns(self, flat: FloatArray) -> FloatArray:
        """Return the columns that are outputs, (TH, OW, N, F), of (P·F,)."""
        image = flat.reshape(self.th, self.sizes.n, self.width, self.sizes.f)
        return image[:, :, : self.sizes.ow].transpose(0, 2, 1, 3)

    def _output_rows(self, parity: int, flat: FloatArray) -> Layout:
        """Return the even rows (parity 0) or the odd rows (1) of the output that (P·F,) holds."""
        return (StridedColumns(0, 1, self._output_columns(flat)[: (self.sizes.oh + 1 - parity) // 2]),)

    def _every_third(self, flat: FloatArray, channels: int, width: int) -> FloatArray:
        """Return (3, blocks, pixels / 3 / blocks, width): `width` numbers from pixels k, k + 3, .. for k = 0, 1, 2."""
        pixel = flat.itemsize * channels
        strides = (pixel, 3 * self.block * pixel, 3 * pixel, flat.itemsize)
        return as_strided(flat, (3, self.blocks, self.block, width), strides)

    # --- forward pass

    def prepare(self, generators: LayerGenerators) -> None:
        weight, bias = self.nodes[0].weight_and_bias()
        c, f = self.sizes.c, self.sizes.f
        by_row = np.ascontiguousarray(weight.transpose(2, 3, 1, 0)).reshape(3, 3 * c * f)  # (KH, KW·C·F)
        np.matmul(KERNEL_TRANSFORM, by_row, out=self.u.reshape(4, -1))
        if self.ut is not None:  # transposed, for windows of the gradient, which read the last tap first
            self.ut.reshape(4, 3, f, c)[...] = self.u.reshape(4, 3, c, f)[:, ::-1].swapaxes(2, 3)
        self.bias.set(bias)

    def input_layout(self, slot: int) -> Layout:
        return self._image(of_slot(self.x, slot))

    def _record_v(self, tape: Tape, slot: int, i: int, v: FloatArray) -> FloatArray:
        """Record position i of V = Bᵀ x, and return its windows."""
        x, th = of_slot(self.x, slot), self.th
        a, b = (x[k : k + 2 * th : 2] for k in ROW_PAIRS[i])
        out = v[: self.pixels * self.sizes.c].reshape(th, -1)
        tape.fill(v[self.pixels * self.sizes.c :], 0)
        combine = tape.add if i == 1 else tape.subtract
        combine(a, b, out=out)
        return self._every_third(v, self.sizes.c, 3 * self.sizes.c)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        f = self.sizes.f
        # even rows, odd rows, product
        y, z, m = (self._pixels(buffer) for buffer in (self.y, self.z, self.m))
        for i, buffer in enumerate((self.y, self.z, self.m, self.m)):
            windows = self._record_v(tape, slot, i, self.v[0])
            tape.matmul(windows, self.u[i], out=self._every_third(buffer[2 * f :], f, f))
            if i == 1:
                if self.nodes[0].has_bias():  # what is added to position 1 goes to both rows
                    self.bias.record_add(tape, z)
                tape.add(y, z, out=y)
            elif i == 2:
                tape.add(y, m, out=y)
                tape.subtract(z, m, out=z)
            elif i == 3:
                tape.add(z, m, out=z)
        for parity, flat in enumerate((y, z)):
            self.relus[parity].record_forward(tape, slot, flat, _every_second_row(out, parity))

    # --- backward pass

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        f = self.sizes.f
        for parity, buffer in enumerate((self.y, self.z)):
            flat = self._pixels(buffer)
            tape.fill(buffer[: 2 * f], 0)
            tape.fill(buffer[2 * f + flat.size :], 0)
            self._record_dy(tape, slot, parity, dy, flat)
            if self.nodes[0].has_bias():
                self.db.record_add(tape, flat.reshape(-1, f))
        for i in BACKWARD_ORDER:
            buffer, v = (self.y, self.m, self.m, self.z)[i], self.v[int(i == 1)]
            if i == 1:
                tape.add(self.y, self.z, out=self.m)
            elif i == 2:
                tape.subtract(self.y, self.z, out=self.m)
            windows = self._record_v(tape, slot, i, v)
            self.du.record_multiply_blocks(tape, i, windows, self._every_third(buffer[2 * f :], f, f))
            if self.ut is not None:  # dV overwrites V
                dy_windows = self._every_third(buffer, f, 3 * f)
                tape.matmul(dy_windows, self.ut[i], out=self._every_third(v, self.sizes.c, self.sizes.c))
                t, t1 = (a[: self.pixels * self.sizes.c].reshape(self.th, -1) for a in (v, self.v[1]))
                rows_backward(tape, i, t, t1, self.dx)
        self.du.record_add_up(tape)
        return self._image(self.dx) if self.workload.needs_dx else ()

    def _record_dy(self, tape: Tape, slot: int, parity: int, dy: Layout, flat: FloatArray) -> None:
        """Record flat (P·F,) = every second row of dy through the ReLU, with zeros where there is no output."""
        if self.sizes.ow < self.width:
            tape.fill(flat.reshape(-1, self.width, self.sizes.f)[:, self.sizes.ow :], 0)
        if parity == 1 and self.sizes.oh % 2:
            tape.fill(self._output_columns(flat)[-1], 0)
        rows = _every_second_row(dy, parity)
        self.relus[parity].record_backward(tape, slot, rows, self._output_rows(parity, flat), self.factor)

    def dweight(self) -> FloatArray:
        c, f = self.sizes.c, self.sizes.f
        dw = (KERNEL_TRANSFORM.T @ self.du.total.reshape(4, -1)).reshape(3, 3, c, f)  # (KH, KW, C, F)
        return dw.transpose(3, 2, 0, 1)


def _every_second_row(image: Layout, parity: int) -> Layout:
    """Return the even rows (parity 0) or the odd rows (1) of an image."""
    return tuple(columns._replace(array=columns.array[parity::2], block=None) for columns in image)
