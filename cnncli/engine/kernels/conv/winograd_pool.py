"""3x3 convolutions at stride 1 followed by a 2x2 max-pool, by Winograd's F(2x2, 3x3), with bias and ReLU.

The backward pass needs the transformed input again. It is four times as large as the input, so transforming the input
a second time takes less time than writing the transformed input to memory and reading it back.

Axis letters: N micro-batch, C channels in, F filters, H W image, TH TW rows and columns of tiles, Q = TH·TW·N.
"""

from collections.abc import Sequence
from typing import ClassVar

from cnncli.engine.kernels.arrays import empty, zeros
from cnncli.engine.kernels.conv.conv_kernel import ConvKernel
from cnncli.engine.kernels.conv.pool_planes import PoolPlanes, covers_pool
from cnncli.engine.kernels.conv.winograd_transforms import (
    BACKWARD_ORDER,
    suits_winograd,
    transform_input,
    transform_input_backward,
    transform_output,
    transform_output_backward,
    transform_weight,
    transform_weight_backward,
)
from cnncli.engine.kernels.kernel import LayerGenerators, Workload, of_slot
from cnncli.engine.kernels.layout import Layout, columns_apart, single_block
from cnncli.engine.kernels.node import Node
from cnncli.engine.kernels.products import ColumnSum, SummedProduct, record_product
from cnncli.engine.kernels.tape import Tape
from cnncli.types import FloatArray


class WinogradConvPool(ConvKernel):
    """conv 3x3 -> [ReLU] -> max-pool 2x2: one Winograd tile is one pool window.

    A maximum commutes with a bias and with ReLU. So the kernel pools first, and bias and ReLU work on a quarter of the
    pixels.
    """

    description: ClassVar[str] = "3x3 convolution by Winograd tiles, each tile one pool window"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        return covers_pool(nodes) if suits_winograd(nodes[0]) else 0

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        s, scratch = self.sizes, workload.scratch
        n, c, (f, th, tw) = s.n, s.c, nodes[-1].output_shape
        self.q = th * tw * n
        # Tiles may reach past the padded input (an odd size) or stop short of it (a pool that drops a row).
        rows, pairs = max(2 * th + 2, s.top + s.h), max(tw + 1, -(-(s.left + s.w) // 2))
        self.x = zeros(workload.input_slots, 2, rows, pairs, n * c)  # padded, even columns and odd columns
        self.read = self.x[:, :, : 2 * th + 2, : tw + 1]  # what tiles read
        self.rows = scratch.empty(2, 2, th, tw + 1, n * c)
        self.v = scratch.empty(4, th, tw, n * c)  # one row of positions of the transformed input
        self.m, self.y = scratch.empty(4, self.q * f), scratch.empty(2, 2, self.q * f)
        self.u, self.ut = empty(16, c, f), empty(16, f, c)
        self.bias_row = empty(tw, n, f)
        if workload.training:
            self.du, self.db = SummedProduct((16,), c, f), ColumnSum(self.q, f)
            self.sums = self.du, self.db
            if workload.needs_dx:
                self.dx = zeros(2, rows, pairs, n * c)  # what no tile reads stays zero
                self.dread = self.dx[:, : 2 * th + 2, : tw + 1]
        self.shape = (th, tw, n, f)
        self.pooled = scratch.empty(self.q * f)
        self.pool = PoolPlanes(workload, self.pooled.shape, relu=len(nodes) == 3, layout=self._layout)

    def _layout(self, flat: FloatArray) -> Layout:
        return single_block(flat.reshape(self.shape))

    def _image(self, padded: FloatArray) -> Layout:
        """Return the images (H, W, N, C) inside the padded ones (2, rows, column pairs, N·C)."""
        s = self.sizes
        columns = []
        # columns start, start + 2, .. of the image are all even or all odd padded columns
        for start in (0, 1):
            first, parity = divmod(start + s.left, 2)
            count = len(range(start, s.w, 2))
            view = padded[parity, s.top : s.top + s.h, first : first + count]
            columns.append(view.reshape(s.h, count, s.n, s.c))
        return columns_apart(columns[0], columns[1])

    def prepare(self, generators: LayerGenerators) -> None:
        weight, bias = self.nodes[0].weight_and_bias()
        transform_weight(weight, self.u, self.ut)
        self.bias_row[...] = bias

    def input_layout(self, slot: int) -> Layout:
        return self._image(of_slot(self.x, slot))

    def _record_v(self, tape: Tape, slot: int, i: int) -> FloatArray:
        """Record row i of the positions of the transformed input, and return where it will be: (4, Q, C)."""
        transform_input(tape, i, of_slot(self.read, slot), self.rows[0], self.v)
        return self.v.reshape(4, self.q, self.sizes.c)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        shape = (2, self.q, self.sizes.f)
        for i in range(4):
            v, u = self._record_v(tape, slot, i), self.u[4 * i : 4 * i + 4]
            outer, inner = self.y[i] if i < 2 else self.m[2:], self.m[:2]
            record_product(tape, v[::3], u[::3], outer.reshape(shape))
            record_product(tape, v[1:3], u[1:3], inner.reshape(shape))
            transform_output(tape, i, outer, inner, self.y)
        self.pool.record_forward(tape, slot, self.y, self.pooled)
        rows = self.pooled.reshape(len(self.pooled) // self.bias_row.size, -1)
        tape.add(rows, self.bias_row.reshape(-1), out=rows)
        self.pool.record_output(tape, slot, self.pooled, out)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        pooled = self.pool.record_output_backward(tape, slot, dy)
        self.db.record_add(tape, pooled.reshape(-1, self.sizes.f))
        self.pool.record_backward(tape, slot, self.y)
        for i in BACKWARD_ORDER:
            outer = transform_output_backward(tape, i, self.y, self.m[:2], self.m[2:])
            v = self._record_v(tape, slot, i)
            for j, dm in ((slice(0, 4, 3), outer), (slice(1, 3), self.m[2:])):
                dm = dm.reshape(2, self.q, self.sizes.f)
                positions = slice(4 * i + j.start, 4 * i + j.stop, j.step)
                self.du.record_multiply(tape, positions, v[j], dm)
                if self.workload.needs_dx:  # dV overwrites V
                    record_product(tape, dm, self.ut[positions], v[j])
            if self.workload.needs_dx:
                transform_input_backward(tape, i, self.v, self.rows, self.dread)
        self.du.record_add_up(tape)
        return self._image(self.dx) if self.workload.needs_dx else ()

    def dweight(self) -> FloatArray:
        return transform_weight_backward(self.du.total)
