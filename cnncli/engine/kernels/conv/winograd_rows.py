"""3x3 convolutions at stride 1: Winograd's F(2, 3) down the columns, windows along the rows, bias and ReLU behind.

Two output rows together need four products instead of six, each with three taps along the row:

    y = Aᵀ [ (G w) ∘ (Bᵀ x) ]     with B, G and A of winograd.py, applied to rows only

Winograd in both directions would save more products, but needs three times as many passes over arrays, and a pass that
NumPy makes costs as much as ten to twenty multiply-adds for each of its numbers: this way is faster unless a pool
follows.

The three taps along a row need no copies. Images lie image by image, (H, N, W + padding, C), so three neighbours of a
row are 3·C numbers without a gap. The windows that start at every third pixel are the rows of a matrix of a third as
many rows and 3·C columns in that same memory; three such matrices, one pixel apart, hold all windows. Those that reach
over the end of a row give outputs that nobody reads. On the way back the same trick runs over the gradient, where these
outputs are set to zero.

Axis letters: N micro-batch, C channels in, F filters, H W image, TH pairs of output rows, W' padded row, P = TH·N·W'.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015, arXiv 1509.09308.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import as_strided

from cnncli.engine.kernels.conv.winograd import BACK, KERNEL_TRANSFORM, ROW_PAIRS, rows_back, suits_winograd
from cnncli.engine.kernels.kernel import Kernel, LayerGenerators, Workload, write_gradient
from cnncli.engine.kernels.layout import Layout, StridedColumns, record_copy, record_masked_copy
from cnncli.engine.kernels.node import Node
from cnncli.engine.kernels.products import SMALL, ColumnSum, SummedProduct
from cnncli.engine.kernels.tape import Tape
from cnncli.engine.kernels.workspace import ChannelRow, empty, empty_mask, shared_zeros, zeros
from cnncli.nn.layers import Conv2D, ReLU
from cnncli.types import FloatArray


def suits_winograd_rows(node: Node) -> bool:
    """Return whether a layer is such a convolution; more padding than its window needs is left to other kernels."""
    layer = node.layer
    return (
        suits_winograd(node)
        and isinstance(layer, Conv2D)
        and max(max(side) for side in layer.pads(node.input_shape)) <= 2
    )


class WinogradRows(Kernel):
    """conv 3x3 -> [ReLU]."""

    pattern: ClassVar[str] = "3x3 convolution by Winograd over pairs of rows"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        if not suits_winograd_rows(nodes[0]):
            return 0
        return 2 if len(nodes) > 1 and isinstance(nodes[1].layer, ReLU) else 1

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        conv = nodes[0].layer
        assert isinstance(conv, Conv2D)
        n, (c, h, w), (f, oh, ow) = workload.images, nodes[0].input_shape, nodes[0].output_shape
        (self.top, _), (self.left, right) = conv.pads(nodes[0].input_shape)
        self.c, self.f, self.h, self.w, self.oh, self.ow = c, f, h, w, oh, ow
        self.relu = len(nodes) == 2
        self.th = (oh + 1) // 2
        # The zeros in front of a row are also those behind the row before it.
        self.width = self.left + w + max(0, right - self.left)
        self.pixels = self.th * n * self.width
        rows = 2 * self.th + 2  # no fewer than the padded image has
        slots = workload.slots if workload.training else 1
        self.x = zeros(slots, rows, n * self.width * c)
        a_third = -(-self.pixels // 3)
        self.blocks = -(-a_third * 3 * c * f // SMALL)
        self.block = -(-a_third // self.blocks)
        count = 3 * self.blocks * self.block  # at least P
        # Behind a place's pixels: where the last windows end. In front of an output's: two zeros, for the way back.
        self.v = [workload.workspace((count + 2) * c) for _ in range(2 if workload.training else 1)]
        self.y, self.z, self.m = (workload.workspace((2 + count) * f) for _ in range(3))
        self.u = empty(4, 3 * c, f)
        self.bias = ChannelRow(self.pixels, f)
        self.ut = empty(4, 3 * f, c) if workload.training and workload.needs_dx else None
        if workload.training:
            self.du, self.db = SummedProduct((4,), 3 * c, f), ColumnSum(self.pixels, f)
            self.positive = empty_mask(workload.slots, 2, self.pixels * f) if self.relu else None
            self.mask = workload.workspace(self.pixels * f if self.relu else 0)
            if workload.needs_dx:
                self.dx = empty(rows, n * self.width * c)

    # --- where things lie

    def _image(self, rows: FloatArray) -> Layout:
        """Return the real image (H, W, N, C) inside padded rows."""
        padded = rows.reshape(len(rows), self.workload.images, self.width, self.c)
        image = padded[self.top : self.top + self.h, :, self.left : self.left + self.w]
        return (StridedColumns(0, 1, image.transpose(0, 2, 1, 3)),)

    def _made(self, y: FloatArray) -> FloatArray:
        """Return the pixels of an output buffer, without the two in front and what is behind: (P·F,)."""
        return y[2 * self.f : (2 + self.pixels) * self.f]

    def _output_rows(self, flat: FloatArray) -> FloatArray:
        """Return the real columns of every second output row, (TH, OW, N, F), of (P·F,)."""
        image = flat.reshape(self.th, self.workload.images, self.width, self.f)
        return image[:, :, : self.ow].transpose(0, 2, 1, 3)

    def _every_third(self, flat: FloatArray, channels: int, width: int) -> FloatArray:
        """Return (3, blocks, pixels / 3 / blocks, width): from pixels j, j + 3, .. on, `width` numbers each."""
        pixel = flat.itemsize * channels
        return as_strided(
            flat,
            (3, self.blocks, self.block, width),
            (pixel, 3 * self.block * pixel, 3 * pixel, flat.itemsize),
        )

    # --- the way forward

    def prepare(self, generators: LayerGenerators) -> None:
        weight, bias = self.nodes[0].weight_and_bias()
        c, f = self.c, self.f
        by_row = np.ascontiguousarray(weight.transpose(2, 3, 1, 0)).reshape(3, 3 * c * f)  # (KH, KW·C·F)
        np.matmul(KERNEL_TRANSFORM, by_row, out=self.u.reshape(4, -1))
        if self.ut is not None:  # the same the other way around: windows of the gradient, last tap first
            back = self.u.reshape(4, 3, c, f)[:, ::-1].swapaxes(2, 3)
            self.ut.reshape(4, 3, f, c)[...] = back
        self.bias.set(bias)

    def input_layout(self, slot: int) -> Layout:
        return self._image(self.x[slot % len(self.x)])

    def _transform(self, tape: Tape, slot: int, place: int, v: FloatArray) -> FloatArray:
        """Write down one place of Bᵀ x and return its windows."""
        x, th = self.x[slot % len(self.x)], self.th
        a, b = (x[k : k + 2 * th : 2] for k in ROW_PAIRS[place])
        into = v[: self.pixels * self.c].reshape(th, -1)
        tape.fill(v[self.pixels * self.c :], 0)
        if place == 1:
            tape.add(a, b, out=into)
        else:
            tape.subtract(a, b, out=into)
        return self._every_third(v, self.c, 3 * self.c)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        y, z, m = (self._made(buffer) for buffer in (self.y, self.z, self.m))
        for place, buffer in enumerate((self.y, self.z, self.m, self.m)):
            windows = self._transform(tape, slot, place, self.v[0])
            product = self._every_third(buffer[2 * self.f :], self.f, self.f)
            tape.matmul(windows, self.u[place], out=product)
            if place == 1:
                if self.nodes[0].has_bias():  # what is added to this place goes to both rows
                    tape.add(self.bias.across(z), self.bias.row, out=self.bias.across(z))
                tape.add(y, z, out=y)
            elif place == 2:
                tape.add(y, m, out=y)
                tape.subtract(z, m, out=z)
            elif place == 3:
                tape.add(z, m, out=z)
        for row, flat in enumerate((y, z)):
            if self.workload.training and self.positive is not None:
                tape.greater(flat, shared_zeros(flat.size), out=self.positive[slot, row])
            own, rows = self._every_second_row(flat, out, row)
            record_copy(tape, own, rows, relu=self.relu)

    def _every_second_row(self, flat: FloatArray, image: Layout, row: int) -> tuple[Layout, Layout]:
        """Return the rows of ours that an image has too, and the image's: even rows, or odd ones."""
        rows = tuple(part._replace(array=part.array[row::2], block=None) for part in image)
        return (StridedColumns(0, 1, self._output_rows(flat)[: (self.oh + 1 - row) // 2]),), rows

    # --- the way back

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        for row, buffer in enumerate((self.y, self.z)):
            flat = self._made(buffer)
            tape.fill(buffer[: 2 * self.f], 0)
            tape.fill(buffer[2 * self.f + flat.size :], 0)
            self._take(tape, slot, row, dy, flat)
            if self.nodes[0].has_bias():
                self.db.add(tape, flat.reshape(-1, self.f))
        for place in BACK:
            buffer, v = (self.y, self.m, self.m, self.z)[place], self.v[int(place == 1)]
            if place == 1:
                tape.add(self.y, self.z, out=self.m)
            elif place == 2:
                tape.subtract(self.y, self.z, out=self.m)
            windows = self._transform(tape, slot, place, v)
            gradient = self._every_third(buffer[2 * self.f :], self.f, self.f)
            self.du.multiply_blocks(tape, place, windows, gradient)
            if self.ut is not None:  # dV takes the place of V
                behind = self._every_third(buffer, self.f, 3 * self.f)
                tape.matmul(behind, self.ut[place], out=self._every_third(v, self.c, self.c))
                t, one = (flat[: self.pixels * self.c].reshape(self.th, -1) for flat in (v, self.v[1]))
                rows_back(tape, place, t, one, self.dx)
        self.du.add_up(tape)
        return self._image(self.dx) if self.workload.needs_dx else ()

    def _take(self, tape: Tape, slot: int, row: int, dy: Layout, flat: FloatArray) -> None:
        """Take every second row of dy, without what the ReLU stopped; zero where there is no output."""
        if self.ow < self.width:
            tape.fill(flat.reshape(-1, self.width, self.f)[:, self.ow :], 0)
        if row == 1 and self.oh % 2:
            tape.fill(self._output_rows(flat)[-1], 0)
        own, rows = self._every_second_row(flat, dy, row)
        mask = None
        if self.positive is not None:
            tape.copy(self.positive[slot, row], out=self.mask)
            mask, _ = self._every_second_row(self.mask, dy, row)
        record_masked_copy(tape, rows, own, mask)

    def collect(self, gradients: Mapping[str, FloatArray], *, add: bool) -> None:
        name, c, f = self.nodes[0].name, self.c, self.f
        dw = (KERNEL_TRANSFORM.T @ self.du.total.reshape(4, -1)).reshape(3, 3, c, f)  # (KH, KW, C, F)
        write_gradient(gradients[f"{name}.weight"], dw.transpose(3, 2, 0, 1), add=add)
        if f"{name}.bias" in gradients:
            write_gradient(gradients[f"{name}.bias"], self.db.total, add=add)
        self.du.clear()
        self.db.clear()
