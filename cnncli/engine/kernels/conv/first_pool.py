"""The first convolution of a network together with the 2x2 max-pool that follows it, by im2col.

The four outputs of a pool window read one (KH+1)x(KW+1) window of the input together. So windows of that size are laid
out at stride 2, a quarter as many as outputs, and multiplied by four kernels: the KHxKW kernel at its four positions in
the larger window, with zeros around it. The four products are the four planes that the pool takes the maximum of. That
multiplies by a few zeros, for longer sums and fewer copies.

Even and odd columns are apart throughout, as a Winograd kernel with a pool reads them.

Axis letters: N micro-batch, C channels in, F filters, KH KW kernel, PH PW pooled output, K = C·(KH+1)·(KW+1) taps.
"""

from collections.abc import Sequence
from itertools import product
from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import as_strided

from cnncli.engine.kernels.arrays import empty, zeros
from cnncli.engine.kernels.conv.conv_kernel import ConvKernel
from cnncli.engine.kernels.conv.first import MOST_TAPS, PhasedInput, first_conv
from cnncli.engine.kernels.conv.pool_planes import PoolPlanes, covers_pool
from cnncli.engine.kernels.kernel import LayerGenerators, Workload, of_slot
from cnncli.engine.kernels.layout import Layout, columns_apart
from cnncli.engine.kernels.node import Node
from cnncli.engine.kernels.products import ColumnSum, SummedProduct, record_product
from cnncli.engine.kernels.tape import Tape
from cnncli.types import FloatArray


class FirstConvPool(ConvKernel):
    """conv at stride 1 -> [ReLU] -> max-pool 2x2 on the network's input: one window per pooled pixel."""

    description: ClassVar[str] = "first convolution and its pool, one window per pooled pixel"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        conv = first_conv(nodes, workload)
        if conv is None or conv.stride != (1, 1):
            return 0
        kh, kw = conv.kernel_size
        if conv.in_channels * (kh + 1) * (kw + 1) > MOST_TAPS:
            return 0
        count = covers_pool(nodes)
        return count if count and nodes[count - 1].output_shape[2] % 2 == 0 else 0

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        s, scratch = self.sizes, workload.scratch
        n, (f, ph, pw) = s.n, nodes[-1].output_shape
        half = pw // 2
        self.shape = (ph, 2, half, n, f)
        pixels = ph * pw * n
        self.taps = s.c * (s.kh + 1) * (s.kw + 1)
        # Two pooled columns further on, of the same parity, a window starts four input columns further on.
        rows, columns = 2 * ph + s.kh - 1, 4 * half + s.kw + 2
        self.input = PhasedInput(s, period=4, phases=s.kw + 3, rows=rows, columns=columns)
        self.windows = empty(workload.input_slots, self.taps, pixels)  # pixels (PH, 2, PW/2, N)
        self.products = scratch.empty(4, pixels, f)
        self.weight = empty(4, self.taps, f)
        self.pool = PoolPlanes(workload, (pixels * f,), relu=len(nodes) == 3, layout=self._layout)
        self.bias_row = empty(half, n, f)
        self.embedding = _embedding(s.c, s.kh, s.kw)
        self.y = scratch.empty(*self.shape)
        if workload.training:
            self.dw, self.db = SummedProduct((4,), self.taps, f), ColumnSum(pixels, f)
            self.sums = self.dw, self.db

    def _layout(self, flat: FloatArray) -> Layout:
        image = flat.reshape(self.shape)
        return columns_apart(image[:, 0], image[:, 1])

    def record_input(self, tape: Tape, slot: int, x: FloatArray) -> None:
        self.input.record_input(tape, x)
        s, padded = self.sizes, self.input.x
        taps = of_slot(self.windows, slot).reshape(s.c, s.kh + 1, s.kw + 1, *self.shape[:-1])
        channel, row, phase, column, image = padded.strides
        for i in range(s.kh + 1):
            # Pooled column 2q + parity starts at padded column 4q + 2·parity; its tap j is in phase 2·parity + j.
            strides = (channel, phase, 2 * row, 2 * phase, column, image)
            tape.copy(as_strided(padded[:, i:], taps[:, i].shape, strides), out=taps[:, i])

    def prepare(self, generators: LayerGenerators) -> None:
        weight, bias = self.nodes[0].weight_and_bias()
        np.matmul(self.embedding, weight.reshape(len(weight), -1).T, out=self.weight.reshape(-1, len(weight)))
        self.bias_row[...] = bias

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        record_product(tape, of_slot(self.windows, slot).T, self.weight, self.products)
        y = self.y.reshape(-1)
        self.pool.record_forward(tape, slot, self.products.reshape(2, 2, -1), y)
        tape.add(self.y, self.bias_row, out=self.y)
        self.pool.record_output(tape, slot, y, out)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        pooled = self.pool.record_output_backward(tape, slot, dy)
        self.db.record_add(tape, pooled.reshape(-1, self.sizes.f))
        self.pool.record_backward(tape, slot, self.products.reshape(2, 2, -1))
        self.dw.record_add(tape, of_slot(self.windows, slot).T, self.products)
        return ()

    def dweight(self) -> FloatArray:
        s = self.sizes
        return (self.embedding.T @ self.dw.total.reshape(-1, s.f)).T.reshape(s.f, s.c, s.kh, s.kw)


def _embedding(c: int, kh: int, kw: int) -> FloatArray:
    """Return the 0/1 matrix (4·K, C·KH·KW) that puts a kernel at its four positions in a (KH+1)x(KW+1) window."""
    embedding = zeros(2, 2, c, kh + 1, kw + 1, c, kh, kw)
    for a, b, channel, i, j in product(range(2), range(2), range(c), range(kh), range(kw)):
        embedding[a, b, channel, a + i, b + j, channel, i, j] = 1
    return embedding.reshape(4 * c * (kh + 1) * (kw + 1), c * kh * kw)
