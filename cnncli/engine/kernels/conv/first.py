"""The network's first convolution: few channels, no gradient for its input, so all windows are laid out at once.

With one to four channels there is too little to sum over for a product per kernel tap, and the input is small enough
to copy. The windows are laid out with the tap first and the pixels last, (C·KH·KW, OH·OW·N): every tap is then one
copy with long runs.

Axis letters: N micro-batch, C channels in, F filters, KH KW kernel, OH OW output, PH PW pooled output.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import as_strided

from cnncli.engine.kernels.conv.bias_relu import BiasReLU
from cnncli.engine.kernels.conv.pool_planes import PoolPlanes, covers_pool
from cnncli.engine.kernels.kernel import Kernel, LayerGenerators, Workload, write_gradient
from cnncli.engine.kernels.layout import Layout, columns_apart
from cnncli.engine.kernels.node import Node
from cnncli.engine.kernels.products import ColumnSum, SummedProduct, product
from cnncli.engine.kernels.tape import Tape
from cnncli.engine.kernels.workspace import empty, zeros
from cnncli.nn.layers import Conv2D, ReLU
from cnncli.types import FloatArray, Shape

_MOST_TAPS = 110  # KH·KW·C; above, the windows would be many times the input


def _is_first(nodes: Sequence[Node], workload: Workload) -> Conv2D | None:
    layer = nodes[0].layer
    return layer if isinstance(layer, Conv2D) and nodes[0].index == 0 and not workload.needs_dx else None


class _Columns:
    """The padded input with every P-th column together, so that what a tap sees of every P-th window is one long run.

    Args:
        conv: the convolution.
        shape: (C, H, W) of the input.
        images: N.
        every: P.
        phases: how many first columns there are, P or more: those from column P on begin with their second one again.
        rows: the padded rows that windows read, at least.
        columns: the padded columns.
    """

    def __init__(
        self,
        conv: Conv2D,
        shape: Shape,
        images: int,
        *,
        every: int,
        phases: int,
        rows: int,
        columns: int,
    ) -> None:
        c, self.h, w = shape
        (self.top, _), (self.left, _) = conv.pads(shape)
        rows, columns = max(rows, self.top + self.h), max(columns, self.left + w)
        self.every = every
        self.x = zeros(c, rows, phases, -(-columns // every), images)

    def record_input(self, tape: Tape, x: FloatArray) -> None:
        """Take x (N, C, H, W)."""
        image = x.transpose(1, 2, 3, 0)
        for phase in range(self.x.shape[2]):
            q = max(0, -(-(self.left - phase) // self.every))  # the first of its columns that is a real one
            columns = image[:, :, phase + self.every * q - self.left :: self.every]
            tape.copy(columns, out=self.x[:, self.top : self.top + self.h, phase, q : q + columns.shape[2]])

    def seen(self, i: int, stride: int, count: int, start: int, width: int) -> FloatArray:
        """Return padded columns start, start + P, .. of every `stride`-th row from row i: (C, count, width, N)."""
        q, r = divmod(start, self.every)
        return self.x[:, i : i + stride * count : stride, r, q : q + width]


class _Windows(ABC):
    """Lays out all windows of a micro-batch, in the order in which the products are wanted.

    Args:
        conv: the convolution.
        shape: (C, H, W) of the input.
        images: N.
        output: (OH, OW).
    """

    def __init__(self, conv: Conv2D, shape: Shape, images: int, output: tuple[int, int]) -> None:
        self.kernel, self.stride, self.output = conv.kernel_size, conv.stride, output

    @abstractmethod
    def lay_out(self, tape: Tape, x: FloatArray, windows: FloatArray) -> None:
        """Write the windows of x (N, C, H, W) to (C·KH·KW, OH·OW·N)."""


class _ByColumns(_Windows):
    """Windows whose pixels are (OH, OW, N), those of even output columns in front of those of odd ones."""

    def __init__(self, conv: Conv2D, shape: Shape, images: int, output: tuple[int, int]) -> None:
        super().__init__(conv, shape, images, output)
        (top, bottom), (left, right) = conv.pads(shape)
        self.input = _Columns(
            conv,
            shape,
            images,
            every=2 * conv.stride[1],
            phases=2 * conv.stride[1],
            rows=top + shape[1] + bottom,
            columns=left + shape[2] + right + 2 * conv.stride[1],
        )

    def lay_out(self, tape: Tape, x: FloatArray, windows: FloatArray) -> None:
        """Write the windows of x (N, C, H, W) to (C·KH·KW, OH·OW·N)."""
        self.input.record_input(tape, x)
        (kh, kw), (sh, sw), (oh, ow) = self.kernel, self.stride, self.output
        n, c = x.shape[:2]
        start = 0
        for parity, width in enumerate(((ow + 1) // 2, ow // 2)):
            block = windows[:, start : start + oh * width * n]
            start += block.shape[1]
            for i in range(kh):
                for j in range(kw) if width else ():
                    taps = block[i * kw + j :: kh * kw]  # of every channel
                    seen = self.input.seen(i, sh, oh, parity * sw + j, width)
                    tape.copy(seen, out=taps.reshape(c, oh, width, n))


class _ByImage(_Windows):
    """Windows whose pixels are (OH, N, OW)."""

    def __init__(self, conv: Conv2D, shape: Shape, images: int, output: tuple[int, int]) -> None:
        super().__init__(conv, shape, images, output)
        c, h, w = shape
        (top, bottom), (left, right) = conv.pads(shape)
        self.padded = zeros(c, top + h + bottom, images, left + w + right)
        self.inner = self.padded[:, top : top + h, :, left : left + w]

    def lay_out(self, tape: Tape, x: FloatArray, windows: FloatArray) -> None:
        """Write the windows of x (N, C, H, W) to (C·KH·KW, OH·N·OW)."""
        tape.copy(x.transpose(1, 2, 0, 3), out=self.inner)
        (kh, kw), (sh, sw), (oh, ow) = self.kernel, self.stride, self.output
        n, c = x.shape[:2]
        taps = windows.reshape(c, kh, kw, oh, n, ow)
        for i in range(kh):
            for j in range(kw):
                seen = self.padded[:, i : i + sh * (oh - 1) + 1 : sh, :, j : j + sw * (ow - 1) + 1 : sw]
                tape.copy(seen, out=taps[:, i, j])


class FirstConv(Kernel):
    """conv -> [ReLU] on the network's input, any kernel, stride and padding."""

    pattern: ClassVar[str] = "first convolution, all windows at once"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        conv = _is_first(nodes, workload)
        if conv is None or conv.in_channels * conv.kernel_size[0] * conv.kernel_size[1] > _MOST_TAPS:
            return 0
        return 2 if len(nodes) > 1 and isinstance(nodes[1].layer, ReLU) else 1

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        conv = nodes[0].layer
        assert isinstance(conv, Conv2D)
        n, c = workload.images, nodes[0].input_shape[0]
        f, oh, ow = nodes[0].output_shape
        self.shape = (oh, ow, n, f)
        k = c * conv.kernel_size[0] * conv.kernel_size[1]
        slots = workload.slots if workload.training else 1
        way = _ByImage if workload.image_major else _ByColumns
        self.input: _Windows = way(conv, nodes[0].input_shape, n, (oh, ow))
        self.windows = empty(slots, k, oh * ow * n)
        self.w = empty(k, f)
        self.tail = BiasReLU(nodes[0], workload, relu=len(nodes) == 2, layout=self._layout)
        if workload.training:
            self.dw, self.db = SummedProduct((), k, f), ColumnSum(oh * ow * n, f)

    def _layout(self, flat: FloatArray) -> Layout:
        return self.workload.layout(flat, self.shape)

    def input_layout(self, slot: int) -> Layout:
        raise AssertionError("the first kernel is fed")

    def record_input(self, tape: Tape, slot: int, x: FloatArray) -> None:
        self.input.lay_out(tape, x, self.windows[slot % len(self.windows)])

    def prepare(self, generators: LayerGenerators) -> None:
        weight, bias = self.nodes[0].weight_and_bias()
        self.w[...] = weight.reshape(weight.shape[0], -1).T
        self.tail.prepare(bias)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        y = self.tail.destination(out)
        product(tape, self.windows[slot % len(self.windows)].T, self.w, y.reshape(-1, self.shape[-1]))
        self.tail.record_forward(tape, slot, y, out)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        rows = self.tail.gradient(tape, slot, dy).reshape(-1, self.shape[-1])
        if self.nodes[0].has_bias():
            self.db.add(tape, rows)
        self.dw.add(tape, self.windows[slot].T, rows)
        return ()

    def collect(self, gradients: Mapping[str, FloatArray], *, add: bool) -> None:
        name = self.nodes[0].name
        weight = gradients[f"{name}.weight"]
        write_gradient(weight, self.dw.total.T.reshape(weight.shape), add=add)
        if f"{name}.bias" in gradients:
            write_gradient(gradients[f"{name}.bias"], self.db.total, add=add)
        self.dw.clear()
        self.db.clear()


class FirstConvPool(Kernel):
    """conv KxK at stride 1 -> [ReLU] -> max-pool 2x2 on the network's input: one window per pooled pixel.

    The four outputs of a pool window read a (K+1)x(K+1) window of the input together. So windows of that size at
    stride 2 are laid out once, a quarter as many, and multiplied by four kernels: the KxK kernel embedded at its four
    positions in zeros. The four products are the four planes that pooling takes the maximum of. A few products with
    zero are spent for longer sums and fewer copies.

    Even and odd columns are kept apart throughout, as the Winograd kernel behind likes to have them.
    """

    pattern: ClassVar[str] = "first convolution and its pool, one window a pooled pixel"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        conv = _is_first(nodes, workload)
        if conv is None or conv.stride != (1, 1):
            return 0
        kh, kw = conv.kernel_size
        if conv.in_channels * (kh + 1) * (kw + 1) > _MOST_TAPS:
            return 0
        count = covers_pool(nodes)
        return count if count and nodes[count - 1].output_shape[2] % 2 == 0 else 0

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        conv = nodes[0].layer
        assert isinstance(conv, Conv2D)
        n, c = workload.images, nodes[0].input_shape[0]
        f, ph, pw = nodes[-1].output_shape
        kh, kw = conv.kernel_size
        self.c, self.kh, self.kw, self.f = c, kh, kw, f
        half = pw // 2
        self.k = c * (kh + 1) * (kw + 1)
        # Every second pooled column starts four input columns further on.
        self.input = _Columns(
            conv,
            nodes[0].input_shape,
            n,
            every=4,
            phases=kw + 3,
            rows=2 * ph + kh - 1,
            columns=4 * half + kw + 2,
        )
        slots = workload.slots if workload.training else 1
        self.windows = empty(slots, self.k, ph, 2, half, n)
        self.pixels = ph * pw * n
        self.z = workload.workspace(4, self.pixels, f)
        self.w = empty(4, self.k, f)
        self.pool = PoolPlanes(workload, (self.pixels * f,), relu=len(nodes) == 3, layout=self._layout)
        self.bias_row = empty(half, n, f)
        self.shape = (ph, 2, half, n, f)
        self.embed = _embedding(c, kh, kw)
        self.y = workload.workspace(*self.shape)
        if workload.training:
            self.dw, self.db = SummedProduct((4,), self.k, f), ColumnSum(self.pixels, f)

    def _layout(self, flat: FloatArray) -> Layout:
        image = flat.reshape(self.shape)
        return columns_apart(image[:, 0], image[:, 1])

    def input_layout(self, slot: int) -> Layout:
        raise AssertionError("the first kernel is fed")

    def record_input(self, tape: Tape, slot: int, x: FloatArray) -> None:
        self.input.record_input(tape, x)
        windows = self.windows[slot if self.workload.training else 0]
        _, ph, _, half, n = windows.shape
        taps = windows.reshape(self.c, self.kh + 1, self.kw + 1, ph, 2, half, n)
        x = self.input.x
        channel, row, phase, column, image = x.strides
        for i in range(self.kh + 1):
            # pooled column 2q + parity begins at padded column 4q + 2·parity; tap j sees phase 2·parity + j
            seen = as_strided(x[:, i:], taps[:, i].shape, (channel, phase, 2 * row, 2 * phase, column, image))
            tape.copy(seen, out=taps[:, i])

    def prepare(self, generators: LayerGenerators) -> None:
        weight, bias = self.nodes[0].weight_and_bias()
        flat = weight.reshape(self.f, self.c * self.kh * self.kw)
        np.matmul(self.embed, flat.T, out=self.w.reshape(-1, self.f))
        self.bias_row[...] = bias

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        windows = self.windows[slot if self.workload.training else 0].reshape(self.k, -1)
        product(tape, windows.T, self.w, self.z)
        y = self.y
        self.pool.record_forward(tape, slot, self.z.reshape(2, 2, -1), y.reshape(-1))
        tape.add(y, self.bias_row, out=y)
        self.pool.activate(tape, slot, y.reshape(-1), out)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        g = self.pool.activate_backward(tape, slot, dy)
        self.db.add(tape, g.reshape(-1, self.f))
        self.pool.record_backward(tape, slot, self.z.reshape(2, 2, -1))
        self.dw.add(tape, self.windows[slot].reshape(self.k, -1).T, self.z)
        return ()

    def collect(self, gradients: Mapping[str, FloatArray], *, add: bool) -> None:
        name = self.nodes[0].name
        weight = gradients[f"{name}.weight"]
        write_gradient(
            weight, (self.embed.T @ self.dw.total.reshape(-1, self.f)).T.reshape(weight.shape), add=add
        )
        if f"{name}.bias" in gradients:
            write_gradient(gradients[f"{name}.bias"], self.db.total, add=add)
        self.dw.clear()
        self.db.clear()


def _embedding(c: int, kh: int, kw: int) -> FloatArray:
    """Return the 0/1 matrix (4·K, C·KH·KW) that puts a kernel at its four places in a (KH+1)x(KW+1) window."""
    embed = zeros(2, 2, c, kh + 1, kw + 1, c, kh, kw)
    for a in (0, 1):
        for b in (0, 1):
            for channel in range(c):
                for i in range(kh):
                    for j in range(kw):
                        embed[a, b, channel, a + i, b + j, channel, i, j] = 1
    return embed.reshape(4 * c * (kh + 1) * (kw + 1), c * kh * kw)
