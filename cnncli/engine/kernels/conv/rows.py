"""Any convolution: windows laid out along the rows, and one product of matrices for each kernel row.

    y = sum over i of  windows(i) @ w[i]     (OH·OW·N x KW·C) @ (KW·C x F)

where windows(i) are the pixels that kernel row i reads. Full im2col would make the input KH·KW times as large. Laid out
along the rows it is KW times as large, because the same windows of an image row serve every kernel row that reads it.

Axis letters: N micro-batch, C channels in, F filters, H W image, KH KW kernel, OH OW output.
"""

from collections.abc import Sequence
from typing import ClassVar

from cnncli.engine.kernels.arrays import empty
from cnncli.engine.kernels.conv.bias_relu import BiasReLU
from cnncli.engine.kernels.conv.conv_kernel import ConvKernel
from cnncli.engine.kernels.conv.row_windows import RowWindows
from cnncli.engine.kernels.conv.rows_backward import row_gradient
from cnncli.engine.kernels.kernel import LayerGenerators, Workload
from cnncli.engine.kernels.layout import Layout, single_block
from cnncli.engine.kernels.node import Node, count_with_relu, dense_conv
from cnncli.engine.kernels.products import ColumnSum, record_product
from cnncli.engine.kernels.tape import Tape
from cnncli.types import FloatArray


class ConvRows(ConvKernel):
    """conv -> [ReLU], any kernel, stride and padding."""

    description: ClassVar[str] = "convolution, one product per kernel row"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        return count_with_relu(nodes) if dense_conv(nodes[0].layer) else 0

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        s = self.sizes
        self.tail = BiasReLU(nodes[0], workload, relu=len(nodes) == 2, layout=self._layout)
        self.windows = RowWindows(s, workload)
        self.partial = workload.scratch.empty(s.oh * s.ow * s.n, s.f)
        self.weight = empty(s.kh, s.kw * s.c, s.f)
        if workload.training:
            self.gradient = row_gradient(self.windows, self.weight, workload)
            self.db = ColumnSum(len(self.gradient.dy_rows), s.f)
            self.sums = *self.gradient.sums, self.db

    def _layout(self, flat: FloatArray) -> Layout:
        s = self.sizes
        return single_block(flat.reshape(s.oh, s.ow, s.n, s.f))

    def prepare(self, generators: LayerGenerators) -> None:
        s, (weight, bias) = self.sizes, self.nodes[0].weight_and_bias()
        self.weight.reshape(s.kh, s.kw, s.c, s.f)[...] = weight.transpose(2, 3, 1, 0)
        self.tail.bias.set(bias)
        if self.workload.training:
            self.gradient.prepare(weight)

    def input_layout(self, slot: int) -> Layout:
        return self.windows.input_layout(slot)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        windows, y = self.windows.record(tape, slot, new_input=True), self.tail.products_out(out)
        total = y.reshape(-1, self.sizes.f)
        for i, weight in enumerate(self.weight):
            rows = self.windows.of_kernel_row(windows, i)
            record_product(tape, rows, weight, self.partial if i else total)
            if i:
                tape.add(total, self.partial, out=total)
        self.tail.record_forward(tape, slot, y, out)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        self.tail.record_backward(tape, slot, dy, single_block(self.gradient.dy))
        if self.nodes[0].has_bias():
            self.db.record_add(tape, self.gradient.dy_rows)
        return self.gradient.record(tape, slot)

    def dweight(self) -> FloatArray:
        return self.gradient.dweight()
