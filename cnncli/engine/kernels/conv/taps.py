"""Grouped, depthwise and dilated convolutions: one product of matrices for each group and tap.

    y[.., g] = sum over i, j of  x(i, j)[.., g] @ w[i, j, g]     (OH·OW·N x C/G) @ (C/G x F/G)

where x(i, j) are the pixels that all windows read at tap (i, j), a view of the padded input. The groups lie side by
side in every pixel, so a product takes them as strided matrices without a copy. With one channel and one filter a group
(depthwise) the product is a multiplication, number by number.

Axis letters: N micro-batch, C channels in, F filters, G groups, H W image, KH KW kernel, T = KH·KW taps, OH OW output,
P = OH·OW·N pixels, B blocks of R pixels.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from cnncli.engine.kernels.arrays import empty, zeros
from cnncli.engine.kernels.conv.bias_relu import BiasReLU
from cnncli.engine.kernels.conv.conv_kernel import ConvKernel
from cnncli.engine.kernels.kernel import LayerGenerators, Workload, of_slot
from cnncli.engine.kernels.layout import Layout, single_block
from cnncli.engine.kernels.node import Node, count_with_relu
from cnncli.engine.kernels.products import ColumnSum, RunningSum
from cnncli.engine.kernels.tape import Tape
from cnncli.nn.layers import Conv2D
from cnncli.nn.layers.windows import taps
from cnncli.types import FloatArray

_LONG_RUN = 2_048  # numbers; with shorter runs NumPy spends its time on the loop around them


class ConvTaps(ConvKernel):
    """conv -> [ReLU], any groups and dilation."""

    description: ClassVar[str] = "convolution, one product per group and tap"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        return count_with_relu(nodes) if isinstance(nodes[0].layer, Conv2D) else 0

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        s, conv, scratch = self.sizes, nodes[0].layer, workload.scratch
        assert isinstance(conv, Conv2D)
        self.groups = conv.groups
        self.depthwise = s.c == s.f == conv.groups
        self.pixels = s.oh * s.ow * s.n
        self.taps = [index[2:] for index in taps((s.kh, s.kw), (s.sh, s.sw), (s.oh, s.ow), conv.dilation)]
        self.x = zeros(workload.input_slots, s.padded_h, s.padded_w, s.n, s.c)
        self.tail = BiasReLU(nodes[0], workload, relu=len(nodes) == 2, layout=self._layout)
        self.partial = scratch.empty(self.pixels * s.f)
        self.gathered = scratch.empty(self.pixels, s.c)
        self.weight = empty(len(self.taps), conv.groups, s.c // conv.groups, s.f // conv.groups)
        if self.depthwise:
            columns = next(k for k in range(1, s.ow + 1) if s.ow % k == 0 and self._is_long(k))
            self.repeats = columns * s.n if s.sw == 1 else s.n
            self.rows = empty(len(self.taps), self.repeats, s.c)  # the weight of each tap, as long runs
        if workload.training:
            self.dw, self.db = RunningSum(*self.weight.shape), ColumnSum(self.pixels, s.f)
            self.column_sum = ColumnSum(self.pixels, s.c)
            self.sums = self.dw, self.db
            self.dy = scratch.empty(self.pixels * s.f)
            self.dpartial = scratch.empty(self.pixels * s.c)
            blocks = s.oh if s.sw == 1 else 1
            self.products = scratch.empty(blocks, *self.weight.shape[1:])
            self.product = scratch.empty(*self.weight.shape[1:])
            if workload.needs_dx:
                self.dx = empty(*self.x.shape[1:])

    def _is_long(self, columns: int) -> bool:
        s = self.sizes
        return columns == s.ow or columns * s.n * s.c >= _LONG_RUN

    # --- views

    def _layout(self, flat: FloatArray) -> Layout:
        s = self.sizes
        return single_block(flat.reshape(s.oh, s.ow, s.n, s.f))

    def _image(self, padded: FloatArray) -> FloatArray:
        s = self.sizes
        return padded[..., s.top : s.top + s.h, s.left : s.left + s.w, :, :]

    def _by_group(self, pixels: FloatArray) -> FloatArray:
        """Return pixels (OH, OW, N, C), or (P, C) or (P·C,), as matrices of their groups (B, G, R, C/G), a view."""
        s = self.sizes
        blocks = s.oh if s.sw == 1 else 1
        view = pixels.reshape(blocks, self.pixels // blocks, self.groups, -1)
        assert np.may_share_memory(view, pixels)
        return view.swapaxes(1, 2)

    def _in_runs(self, pixels: FloatArray) -> FloatArray:
        """Return pixels (OH, OW, N, C) of a depthwise convolution as (OH, .., `repeats` · C), a view."""
        view = pixels.reshape(self.sizes.oh, -1, self.repeats * self.sizes.c)
        assert np.may_share_memory(view, pixels)
        return view

    def _record_tap(self, tape: Tape, slot: int, tap: tuple[slice, ...]) -> FloatArray:
        """Return what all windows read at a tap, (OH, OW, N, C); at a stride of the columns, record copying it."""
        pixels: FloatArray = of_slot(self.x, slot)[tap]
        if self.sizes.sw == 1 or self.depthwise:
            return pixels
        gathered = self.gathered.reshape(pixels.shape)
        tape.copy(pixels, out=gathered)
        return gathered

    # --- forward pass

    def prepare(self, generators: LayerGenerators) -> None:
        s, g, (weight, bias) = self.sizes, self.groups, self.nodes[0].weight_and_bias()
        by_group = weight.reshape(g, s.f // g, s.c // g, s.kh * s.kw)
        self.weight[...] = by_group.transpose(3, 0, 2, 1)
        if self.depthwise:
            self.rows[...] = weight.reshape(s.c, -1).T[:, np.newaxis]
        self.tail.bias.set(bias)

    def input_layout(self, slot: int) -> Layout:
        return single_block(self._image(of_slot(self.x, slot)))

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        y = self.tail.products_out(out)
        for number, tap in enumerate(self.taps):
            part = self.partial if number else y
            self._record_product(tape, slot, number, tap, part)
            if number:
                tape.add(y, part, out=y)
        self.tail.record_forward(tape, slot, y, out)

    def _record_product(
        self, tape: Tape, slot: int, number: int, tap: tuple[slice, ...], out: FloatArray
    ) -> None:
        """Record out (P·F,) = what the windows read at a tap, times its weight."""
        pixels = self._record_tap(tape, slot, tap)
        if self.depthwise:
            row = self.rows[number].reshape(-1)
            tape.multiply(self._in_runs(pixels), row, out=out.reshape(self.sizes.oh, -1, row.size))
        else:
            tape.matmul(self._by_group(pixels), self.weight[number], out=self._by_group(out))

    # --- backward pass

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        self.tail.record_backward(tape, slot, dy, self._layout(self.dy))
        if self.nodes[0].has_bias():
            self.db.record_add(tape, self.dy.reshape(-1, self.sizes.f))
        if self.workload.needs_dx:
            tape.fill(self.dx, 0)
        for number, tap in enumerate(self.taps):
            self._record_dw(tape, slot, number, tap)
            if self.workload.needs_dx:
                self._record_dx(tape, number, tap)
        return single_block(self._image(self.dx)) if self.workload.needs_dx else ()

    def _record_dw(self, tape: Tape, slot: int, number: int, tap: tuple[slice, ...]) -> None:
        """Record adding to the gradient of a tap's weight."""
        pixels, total = self._record_tap(tape, slot, tap), self.dw.total[number]
        if self.depthwise:
            runs = self._in_runs(pixels)
            tape.multiply(runs, self.dy.reshape(runs.shape), out=self.dpartial.reshape(runs.shape))
            ones, partial = self.column_sum.ones, self.column_sum.partial
            tape.matmul(ones, self.dpartial.reshape(-1, self.sizes.c), out=partial)
            tape.add(total.reshape(-1), partial, out=total.reshape(-1))
            return
        tape.matmul(self._by_group(pixels).swapaxes(-1, -2), self._by_group(self.dy), out=self.products)
        tape.record(np.add.reduce, self.products, 0, None, self.product)
        tape.add(total, self.product, out=total)

    def _record_dx(self, tape: Tape, number: int, tap: tuple[slice, ...]) -> None:
        """Record adding to dx what a tap contributes."""
        partial, dpixels = self.dpartial, self.dx[tap]
        if self.depthwise:
            row = self.rows[number].reshape(-1)
            shape = (self.sizes.oh, -1, row.size)
            tape.multiply(self.dy.reshape(shape), row, out=partial.reshape(shape))
        else:
            weight = self.weight[number].swapaxes(-1, -2)
            tape.matmul(self._by_group(self.dy), weight, out=self._by_group(partial))
        tape.add(dpixels, partial.reshape(dpixels.shape), out=dpixels)

    def dweight(self) -> FloatArray:
        s = self.sizes
        by_filter = self.dw.total.transpose(1, 3, 2, 0)  # (G, F/G, C/G, T)
        return by_filter.reshape(s.f, s.c // self.groups, s.kh, s.kw)
