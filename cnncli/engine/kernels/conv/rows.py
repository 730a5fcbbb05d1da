"""Any other convolution: the windows' rows laid out, one product of matrices per kernel row.

All KH·KW taps of a window laid out would be KH·KW times the input; the KW taps of a row are KW times, and serve every
kernel row that passes over that image row. So the columns are unfolded once, and y is the sum of KH products
(OH·OW·N x KW·C) @ (KW·C x F).

At stride SH, kernel row i reads the image rows i, i+SH, ..: rows are kept by their remainder modulo SH, so that these
are one block.

The way back is in conv_rows_backward.py.

Axis letters: N micro-batch, C channels in, F filters, H W image, KH KW kernel, SH SW stride, OH OW output.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from cnncli.engine.kernels.conv.bias_relu import BiasReLU
from cnncli.engine.kernels.conv.rows_backward import gradient_of
from cnncli.engine.kernels.kernel import Kernel, LayerGenerators, Workload, write_gradient
from cnncli.engine.kernels.layout import Layout, single_block
from cnncli.engine.kernels.node import Node
from cnncli.engine.kernels.products import product
from cnncli.engine.kernels.tape import Tape
from cnncli.engine.kernels.workspace import empty, zeros
from cnncli.nn.layers import Conv2D, ReLU
from cnncli.types import FloatArray


class ConvRows(Kernel):
    """conv -> [ReLU], any kernel, stride and padding."""

    pattern: ClassVar[str] = "convolution, one product per kernel row"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        if not isinstance(nodes[0].layer, Conv2D):
            return 0
        return 2 if len(nodes) > 1 and isinstance(nodes[1].layer, ReLU) else 1

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        conv = nodes[0].layer
        assert isinstance(conv, Conv2D)
        n, (c, h, w) = workload.images, nodes[0].input_shape
        f, self.oh, self.ow = nodes[0].output_shape
        (self.kh, self.kw), (self.sh, self.sw) = conv.kernel_size, conv.stride
        (top, bottom), (left, right) = conv.pads(nodes[0].input_shape)
        self.c, self.f, self.h, self.w_in = c, f, h, w
        self.tail = BiasReLU(nodes[0], workload, relu=len(nodes) == 2, layout=self._layout)
        self.depth = -(-(h + top + bottom) // self.sh)  # image rows of each remainder
        slots = workload.slots if workload.training else 1
        # rows (depth, SH), so that row r is at [r // SH, r % SH]
        self.x = zeros(slots, self.depth, self.sh, w + left + right, n, c)
        flat = self.x.reshape(slots, self.depth * self.sh, w + left + right, n, c)
        self.inner = flat[:, top : top + h, left : left + w]
        self.unfolds = self.kw > 1 or self.sw > 1 or self.sh > 1 or w + left + right != self.ow
        self.unfolded = -1  # the slot whose windows are in the taps
        if self.unfolds:
            shape = (self.sh, self.depth, self.ow, n, self.kw, c)
            self.taps = empty(*shape) if workload.slots == 1 else workload.workspace(*shape)
        self.partial = workload.workspace(self.oh * self.ow * n, f)
        self.w = empty(self.kh, self.kw * c, f)
        if workload.training:
            self.back = gradient_of(self, (top, left))

    def _layout(self, flat: FloatArray) -> Layout:
        return single_block(flat.reshape(self.oh, self.ow, self.workload.images, self.f))

    def prepare(self, generators: LayerGenerators) -> None:
        weight, bias = self.nodes[0].weight_and_bias()
        self.w.reshape(self.kh, self.kw, self.c, self.f)[...] = weight.transpose(2, 3, 1, 0)
        self.tail.prepare(bias)
        if self.workload.training:
            self.back.prepare(weight)

    def input_layout(self, slot: int) -> Layout:
        return single_block(self.inner[slot if self.workload.training else 0])

    def window_columns(self, j: int) -> slice:
        return slice(j, j + self.sw * (self.ow - 1) + 1, self.sw)

    def unfold(self, tape: Tape, slot: int) -> FloatArray:
        """Return the rows' windows (SH, depth, OW·N, KW·C) of this slot's input; lays them out, unless they are."""
        x: FloatArray = self.x[slot if self.workload.training else 0].swapaxes(0, 1)  # (SH, depth, W, N, C)
        if not self.unfolds:
            return x.reshape(1, self.depth, -1, self.c)
        for j in range(self.kw) if slot != self.unfolded else ():
            tape.copy(x[:, :, self.window_columns(j)], out=self.taps[..., j, :])
        self.unfolded = slot if self.workload.slots == 1 else -1  # or another kernel writes over them
        return self.taps.reshape(self.sh, self.depth, -1, self.kw * self.c)

    def rows_of(self, windows: FloatArray, i: int) -> FloatArray:
        """Return what kernel row i reads: (OH·OW·N, KW·C)."""
        first = i // self.sh
        rows: FloatArray = windows[i % self.sh, first : first + self.oh]
        return rows.reshape(-1, self.kw * self.c)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        self.unfolded = -1  # there is new input
        windows, y = self.unfold(tape, slot), self.tail.destination(out)
        total = y.reshape(-1, self.f)
        for i in range(self.kh):
            product(tape, self.rows_of(windows, i), self.w[i], self.partial if i else total)
            if i:
                tape.add(total, self.partial, out=total)
        self.tail.record_forward(tape, slot, y, out)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        self.tail.record_backward(tape, slot, dy, single_block(self.back.g))
        return self.back.run(tape, slot)

    def collect(self, gradients: Mapping[str, FloatArray], *, add: bool) -> None:
        name = self.nodes[0].name
        weight = gradients[f"{name}.weight"]
        if not add:
            weight.fill(0)
        self.back.collect(weight)
        if f"{name}.bias" in gradients:
            write_gradient(gradients[f"{name}.bias"], self.back.db.total, add=add)
        self.back.db.clear()
