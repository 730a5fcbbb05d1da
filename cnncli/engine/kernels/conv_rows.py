"""Any other convolution: the windows' rows laid out, one product of matrices per kernel row.

All KH·KW taps of a window laid out would be KH·KW times the input; the KW taps of a row are KW times, and serve every
kernel row that passes over that image row. So the columns are unfolded once, and y is the sum of KH products
(OH·OW·N x KW·C) @ (KW·C x F).

At stride SH, kernel row i reads the image rows i, i+SH, ..: rows are kept by their remainder modulo SH, so that these
are one block.

Axis letters: N micro-batch, C channels in, F filters, H W image, KH KW kernel, SH SW stride, OH OW output.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from cnncli.engine.images import Parts, whole
from cnncli.engine.kernels.base import Draws, Kernel, Load, empty, give, tiled, zeros
from cnncli.engine.kernels.products import SummedProduct, product
from cnncli.engine.nodes import Node
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
        self.c, self.f, self.relu = c, f, len(nodes) == 2
        self.depth = -(-(h + top + bottom) // self.sh)  # image rows of each remainder
        slots = load.slots if load.training else 1
        # rows (depth, SH), so that row r is at [r // SH, r % SH]
        self.x = zeros(slots, self.depth, self.sh, w + left + right, n, c)
        flat = self.x.reshape(slots, self.depth * self.sh, w + left + right, n, c)
        self.inner = flat[:, top : top + h, left : left + w]
        self.unfolds = self.kw > 1 or self.sw > 1 or self.sh > 1 or w + left + right != self.ow
        if self.unfolds:
            self.taps = empty(self.sh, self.depth, self.ow, n, self.kw, c)
        self.y = empty(self.oh, self.ow, n, f)
        self.partial = empty(self.oh * self.ow * n, f)
        self.bias_row = tiled(self.ow, n, f)
        self.zero = zeros(self.oh, self.ow, n, f)
        if load.training:
            self.positive = np.empty((slots, self.oh, self.ow, n, f), np.bool_)
            self.mask = empty(self.oh, self.ow, n, f)
            self.g = empty(self.oh, self.ow, n, f)
            self.ones = np.ones(self.oh * self.ow * n, np.float32)
            self.dw = [SummedProduct((), self.oh * self.ow * n, self.kw * c, f) for _ in range(self.kh)]
            self.db_sum = zeros(f)
            if load.needs_dx:
                self.dtaps = empty(self.sh, self.depth, self.ow, n, self.kw, c)
                self.dtap = empty(self.oh * self.ow * n, self.kw * c)
                self.dx = empty(self.depth, self.sh, w + left + right, n, c)
                self.dx_inner = self.dx.reshape(self.depth * self.sh, w + left + right, n, c)[
                    top : top + h, left : left + w
                ]

    def prepare(self, draws: Draws) -> None:
        weight, self.b = self.nodes[0].weight_and_bias()
        # (F, C, KH, KW) -> (KH, KW·C, F)
        self.w = np.ascontiguousarray(weight.transpose(2, 3, 1, 0)).reshape(self.kh, self.kw * self.c, self.f)
        self.w_back = np.ascontiguousarray(self.w.swapaxes(1, 2)) if self.load.needs_dx else self.w

    def target(self, slot: int) -> Parts:
        return whole(self.inner[slot if self.load.training else 0])

    def _window_columns(self, j: int) -> slice:
        return slice(j, j + self.sw * (self.ow - 1) + 1, self.sw)

    def _unfold(self, slot: int) -> FloatArray:
        """Return the rows' windows (SH, depth, OW·N, KW·C) of this slot's input."""
        x: FloatArray = self.x[slot if self.load.training else 0].swapaxes(0, 1)  # (SH, depth, W, N, C)
        if not self.unfolds:
            return x.reshape(1, self.depth, -1, self.c)
        for j in range(self.kw):
            self.taps[..., j, :] = x[:, :, self._window_columns(j)]
        return self.taps.reshape(self.sh, self.depth, -1, self.kw * self.c)

    def _rows(self, windows: FloatArray, i: int) -> FloatArray:
        """Return what kernel row i reads: (OH·OW·N, KW·C)."""
        first = i // self.sh
        rows: FloatArray = windows[i % self.sh, first : first + self.oh]
        return rows.reshape(-1, self.kw * self.c)

    def forward(self, slot: int, out: Parts) -> None:
        windows, y = self._unfold(slot), self.y
        total = y.reshape(-1, self.f)
        for i in range(self.kh):
            product(self._rows(windows, i), self.w[i], self.partial if i else total)
            if i:
                np.add(total, self.partial, out=total)
        self.bias_row[...] = self.b
        np.add(y, self.bias_row, out=y)
        if self.relu and self.load.training:
            np.greater(y, self.zero, out=self.positive[slot])
        for part in out:
            if self.relu:
                np.maximum(part.of(y), part.of(self.zero), out=part.array)
            else:
                part.array[...] = part.of(y)

    def backward(self, slot: int, dy: Parts) -> Parts:
        if self.relu:
            np.copyto(self.mask, self.positive[slot])
        for part in dy:
            if self.relu:
                np.multiply(part.array, part.of(self.mask), out=part.of(self.g))
            else:
                part.of(self.g)[...] = part.array
        g = self.g.reshape(-1, self.f)
        self.db_sum += self.ones @ g
        windows = self._unfold(slot)
        for i in range(self.kh):
            self.dw[i].add(self._rows(windows, i), g)
        if not self.load.needs_dx:
            return ()
        self._input_gradient(g)
        return whole(self.dx_inner)

    def _input_gradient(self, g: FloatArray) -> None:
        """Write dx: every product goes back to the rows, and every tap to the columns, that it came from."""
        self.dtaps.fill(0)
        rows = self.dtaps.reshape(self.sh, self.depth, -1)
        for i in range(self.kh):
            product(g, self.w_back[i], self.dtap)
            into = rows[i % self.sh, i // self.sh : i // self.sh + self.oh]
            np.add(into, self.dtap.reshape(self.oh, -1), out=into)
        self.dx.fill(0)
        dx = self.dx.swapaxes(0, 1)
        for j in range(self.kw):
            into = dx[:, :, self._window_columns(j)]
            np.add(into, self.dtaps[..., j, :], out=into)

    def collect(self, gradients: Mapping[str, FloatArray], *, add: bool) -> None:
        name = self.nodes[0].name
        dw = np.stack([row.total for row in self.dw])  # (KH, KW·C, F)
        dw = dw.reshape(self.kh, self.kw, self.c, self.f).transpose(3, 2, 0, 1)
        give(gradients[f"{name}.weight"], dw, add=add)
        if f"{name}.bias" in gradients:
            give(gradients[f"{name}.bias"], self.db_sum, add=add)
        for row in self.dw:
            row.clear()
        self.db_sum.fill(0)
