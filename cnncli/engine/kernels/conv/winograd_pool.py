"""3x3 convolutions at stride 1 with a 2x2 max-pool behind, by Winograd's F(2x2, 3x3): bias and ReLU in the same step.

The way back multiplies by the transformed input again. It is four times as large as the input, so that to transform the
input once more takes less time than to write its transform out and read it in.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from cnncli.engine.kernels.conv.pool_planes import PoolPlanes, covers_pool
from cnncli.engine.kernels.conv.winograd import (
    BACK,
    suits_winograd,
    transform_input,
    transform_input_backward,
    transform_output,
    transform_output_backward,
    transform_weight,
    transform_weight_backward,
)
from cnncli.engine.kernels.kernel import Kernel, LayerGenerators, Workload, write_gradient
from cnncli.engine.kernels.layout import Layout, columns_apart, single_block
from cnncli.engine.kernels.node import Node
from cnncli.engine.kernels.products import ColumnSum, SummedProduct, product
from cnncli.engine.kernels.tape import Tape
from cnncli.engine.kernels.workspace import empty, zeros
from cnncli.nn.layers import Conv2D
from cnncli.types import FloatArray


class WinogradConvPool(Kernel):
    """conv 3x3 -> [ReLU] -> max-pool 2x2: one Winograd tile is one pool window, pooled before bias and ReLU.

    A maximum commutes with adding the same number to all and with ReLU, so pooling first leaves a quarter of the
    elements to bias and ReLU.
    """

    pattern: ClassVar[str] = "3x3 convolution by Winograd tiles, each tile one pool window"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        if not suits_winograd(nodes[0]):
            return 0
        return covers_pool(nodes)

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        conv = nodes[0].layer
        assert isinstance(conv, Conv2D)
        n, (c, h, w) = workload.images, nodes[0].input_shape
        f, th, tw = nodes[-1].output_shape
        (self.top, _), (self.left, _) = conv.pads(nodes[0].input_shape)
        self.c, self.f, self.th, self.tw, self.h, self.w = c, f, th, tw, h, w
        # Tiles may reach past the padded input (an odd size) or stop short of it (a pool that drops a row).
        rows, pairs = max(2 * th + 2, self.top + h), max(tw + 1, -(-(self.left + w) // 2))
        self.q = th * tw * n
        slots = workload.slots if workload.training else 1
        self.x = zeros(slots, 2, rows, pairs, n * c)  # even columns, odd columns
        self.rows = workload.workspace(2, 2, th, tw + 1, n * c)
        self.v = workload.workspace(4, th, tw, n * c)  # one row of places at a time
        self.m, self.y = workload.workspace(4, self.q * f), workload.workspace(2, 2, self.q * f)
        self.u, self.ut = empty(16, c, f), empty(16, f, c)
        self.bias_row = empty(tw, n, f)
        if workload.training:
            self.du, self.db = SummedProduct((16,), c, f), ColumnSum(self.q, f)
            if workload.needs_dx:
                self.dx = zeros(2, rows, pairs, n * c)  # rows that no tile reads stay zero
        self.shape = (th, tw, n, f)
        self.pooled = workload.workspace(self.q * f)
        self.pool = PoolPlanes(workload, self.pooled.shape, relu=len(nodes) == 3, layout=self._layout)

    def _layout(self, flat: FloatArray) -> Layout:
        return single_block(flat.reshape(self.shape))

    def _parts(self, padded: FloatArray) -> Layout:
        """Return the real image (H, W, N, C) inside a padded one (2, rows, column pairs, N·C)."""
        n, rows = self.workload.images, slice(self.top, self.top + self.h)
        found = []
        for start in (0, 1):  # real column `start`, `start + 2`, .. lies in one parity of the padded columns
            parity, first = (start + self.left) % 2, (start + self.left) // 2
            count = len(range(start, self.w, 2))
            view = padded[parity, rows, first : first + count]
            found.append(view.reshape(self.h, count, n, self.c))
        return columns_apart(found[0], found[1])

    def prepare(self, generators: LayerGenerators) -> None:
        weight, bias = self.nodes[0].weight_and_bias()
        transform_weight(weight, self.u, self.ut)
        self.bias_row[...] = bias

    def input_layout(self, slot: int) -> Layout:
        return self._parts(self.x[slot % len(self.x)])

    def _transformed(self, tape: Tape, slot: int, place: int) -> FloatArray:
        """Write down a row of places of the transformed input and return it: V (4, Q, C)."""
        transform_input(tape, place, self._read_by_tiles(self.x[slot % len(self.x)]), self.rows[0], self.v)
        return self.v.reshape(4, self.q, self.c)

    def _read_by_tiles(self, padded: FloatArray) -> FloatArray:
        view: FloatArray = padded[:, : 2 * self.th + 2, : self.tw + 1]
        return view

    def _products(self, tape: Tape, slot: int) -> FloatArray:
        """Write down the convolution and return where it will be: (2, 2, Q·F), row and column in the tile."""
        for place in range(4):
            v, u = self._transformed(tape, slot, place), self.u[4 * place : 4 * place + 4]
            outer = self.y[place] if place < 2 else self.m[2:]
            inner = self.m[:2]
            product(tape, v[::3], u[::3], outer.reshape(2, self.q, self.f))
            product(tape, v[1:3], u[1:3], inner.reshape(2, self.q, self.f))
            transform_output(tape, place, outer, inner, self.y)
        return self.y

    def _products_backward(self, tape: Tape, slot: int) -> Layout:
        """Take dY from y, add to dU, and return where dx will be."""
        for place in BACK:
            outer = transform_output_backward(tape, place, self.y, self.m[:2], self.m[2:])
            v = self._transformed(tape, slot, place)
            for columns, dm in ((slice(0, 4, 3), outer), (slice(1, 3), self.m[2:])):
                dm = dm.reshape(2, self.q, self.f)
                places = slice(4 * place + columns.start, 4 * place + columns.stop, columns.step)
                self.du.multiply(tape, places, v[columns], dm)
                if self.workload.needs_dx:  # dV takes the place of V
                    product(tape, dm, self.ut[places], v[columns])
            if self.workload.needs_dx:
                transform_input_backward(tape, place, self.v, self.rows, self._read_by_tiles(self.dx))
        self.du.add_up(tape)
        return self._parts(self.dx) if self.workload.needs_dx else ()

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        self.pool.record_forward(tape, slot, self._products(tape, slot), self.pooled)
        rows = self.pooled.reshape(len(self.pooled) // self.bias_row.size, -1)
        tape.add(rows, self.bias_row.reshape(-1), out=rows)
        self.pool.activate(tape, slot, self.pooled, out)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        g = self.pool.activate_backward(tape, slot, dy)
        self.db.add(tape, g.reshape(-1, self.f))
        self.pool.record_backward(tape, slot, self.y)
        return self._products_backward(tape, slot)

    def collect(self, gradients: Mapping[str, FloatArray], *, add: bool) -> None:
        name = self.nodes[0].name
        write_gradient(gradients[f"{name}.weight"], transform_weight_backward(self.du.total), add=add)
        if f"{name}.bias" in gradients:
            write_gradient(gradients[f"{name}.bias"], self.db.total, add=add)
        self.du.clear()
        self.db.clear()
