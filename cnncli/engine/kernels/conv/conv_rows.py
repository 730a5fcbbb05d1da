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

from cnncli.engine.kernels.base import Draws, Kernel, Load, empty, give, zeros
from cnncli.engine.kernels.conv.bias_relu import BiasReLU
from cnncli.engine.kernels.conv.conv_rows_backward import gradient_of
from cnncli.engine.kernels.layout import Parts, whole
from cnncli.engine.kernels.node import Node
from cnncli.engine.kernels.products import product
from cnncli.engine.kernels.tape import Calls
from cnncli.nn.layers import Conv2D, ReLU
from cnncli.types import FloatArray


class ConvRows(Kernel):
    """conv -> [ReLU], any kernel, stride and padding."""

    pattern: ClassVar[str] = "convolution, one product per kernel row"

    @classmethod
    def match(cls, nodes: Sequence[Node], load: Load) -> int:
        if not isinstance(nodes[0].layer, Conv2D):
            return 0
        return 2 if len(nodes) > 1 and isinstance(nodes[1].layer, ReLU) else 1

    def __init__(self, nodes: Sequence[Node], load: Load) -> None:
        super().__init__(nodes, load)
        conv = nodes[0].layer
        assert isinstance(conv, Conv2D)
        n, (c, h, w) = load.images, nodes[0].input_shape
        f, self.oh, self.ow = nodes[0].output_shape
        (self.kh, self.kw), (self.sh, self.sw) = conv.kernel_size, conv.stride
        (top, bottom), (left, right) = conv.pads(nodes[0].input_shape)
        self.c, self.f, self.h, self.w_in = c, f, h, w
        self.tail = BiasReLU(nodes[0], load, relu=len(nodes) == 2, layout=self._layout)
        self.depth = -(-(h + top + bottom) // self.sh)  # image rows of each remainder
        slots = load.slots if load.training else 1
        # rows (depth, SH), so that row r is at [r // SH, r % SH]
        self.x = zeros(slots, self.depth, self.sh, w + left + right, n, c)
        flat = self.x.reshape(slots, self.depth * self.sh, w + left + right, n, c)
        self.inner = flat[:, top : top + h, left : left + w]
        self.unfolds = self.kw > 1 or self.sw > 1 or self.sh > 1 or w + left + right != self.ow
        self.unfolded = -1  # the slot whose windows are in the taps
        if self.unfolds:
            shape = (self.sh, self.depth, self.ow, n, self.kw, c)
            self.taps = empty(*shape) if load.slots == 1 else load.scratch(*shape)
        self.partial = load.scratch(self.oh * self.ow * n, f)
        self.w = empty(self.kh, self.kw * c, f)
        if load.training:
            self.back = gradient_of(self, (top, left))

    def _layout(self, flat: FloatArray) -> Parts:
        return whole(flat.reshape(self.oh, self.ow, self.load.images, self.f))

    def prepare(self, draws: Draws) -> None:
        weight, bias = self.nodes[0].weight_and_bias()
        self.w.reshape(self.kh, self.kw, self.c, self.f)[...] = weight.transpose(2, 3, 1, 0)
        self.tail.prepare(bias)
        if self.load.training:
            self.back.prepare(weight)

    def target(self, slot: int) -> Parts:
        return whole(self.inner[slot if self.load.training else 0])

    def window_columns(self, j: int) -> slice:
        return slice(j, j + self.sw * (self.ow - 1) + 1, self.sw)

    def unfold(self, do: Calls, slot: int) -> FloatArray:
        """Return the rows' windows (SH, depth, OW·N, KW·C) of this slot's input; lays them out, unless they are."""
        x: FloatArray = self.x[slot if self.load.training else 0].swapaxes(0, 1)  # (SH, depth, W, N, C)
        if not self.unfolds:
            return x.reshape(1, self.depth, -1, self.c)
        for j in range(self.kw) if slot != self.unfolded else ():
            do.copy(x[:, :, self.window_columns(j)], out=self.taps[..., j, :])
        self.unfolded = slot if self.load.slots == 1 else -1  # or another kernel writes over them
        return self.taps.reshape(self.sh, self.depth, -1, self.kw * self.c)

    def rows_of(self, windows: FloatArray, i: int) -> FloatArray:
        """Return what kernel row i reads: (OH·OW·N, KW·C)."""
        first = i // self.sh
        rows: FloatArray = windows[i % self.sh, first : first + self.oh]
        return rows.reshape(-1, self.kw * self.c)

    def forward(self, do: Calls, slot: int, out: Parts) -> None:
        self.unfolded = -1  # there is new input
        windows, y = self.unfold(do, slot), self.tail.destination(out)
        total = y.reshape(-1, self.f)
        for i in range(self.kh):
            product(do, self.rows_of(windows, i), self.w[i], self.partial if i else total)
            if i:
                do.add(total, self.partial, out=total)
        self.tail.forward(do, slot, y, out)

    def backward(self, do: Calls, slot: int, dy: Parts) -> Parts:
        self.tail.backward(do, slot, dy, whole(self.back.g))
        return self.back.run(do, slot)

    def collect(self, gradients: Mapping[str, FloatArray], *, add: bool) -> None:
        name = self.nodes[0].name
        weight = gradients[f"{name}.weight"]
        if not add:
            weight.fill(0)
        self.back.collect(weight)
        if f"{name}.bias" in gradients:
            give(gradients[f"{name}.bias"], self.back.db.total, add=add)
        self.back.db.clear()
