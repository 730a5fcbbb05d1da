"""The first convolution of a network by im2col: few channels, and no gradient of the input is needed.

With one to four channels, a product for each kernel row would have too little to sum over, and the input is small
enough to copy. im2col lays out the window of every output pixel. Here the taps come first and the pixels last,
(C·KH·KW, OH·OW·N), so that each tap is one copy with long runs.

Axis letters: N micro-batch, C channels in, F filters, H W image, KH KW kernel, SH SW stride, OH OW output.
"""

from collections.abc import Sequence
from typing import ClassVar

from cnncli.engine.kernels.arrays import empty, zeros
from cnncli.engine.kernels.conv.bias_relu import BiasReLU
from cnncli.engine.kernels.conv.conv_kernel import ConvKernel, ConvSizes
from cnncli.engine.kernels.kernel import LayerGenerators, Workload, of_slot
from cnncli.engine.kernels.layout import Layout
from cnncli.engine.kernels.node import Node, count_with_relu, dense_conv
from cnncli.engine.kernels.products import ColumnSum, SummedProduct, record_product
from cnncli.engine.kernels.tape import Tape
from cnncli.nn.layers import Conv2D
from cnncli.types import FloatArray

MOST_TAPS = 110  # of a window: KH·KW·C; with more, the windows would be many times as large as the input


def first_conv(nodes: Sequence[Node], workload: Workload) -> Conv2D | None:
    """Return the convolution that the network starts with, or None."""
    return dense_conv(nodes[0].layer) if nodes[0].index == 0 and not workload.needs_dx else None


class PhasedInput:
    """The padded input with every P-th column next to each other.

    One tap of every P-th window is then one long run. Phase r holds the padded columns r, r + P, r + 2P, ..

    Args:
        sizes: of the convolution.
        period: P.
        phases: how many, at least P; phase P + r repeats phase r from its second column on.
        rows: how many padded rows the windows read, at least.
        columns: how many padded columns.
    """

    def __init__(self, sizes: ConvSizes, *, period: int, phases: int, rows: int, columns: int) -> None:
        s = self.sizes = sizes
        self.period = period
        rows, columns = max(rows, s.top + s.h), max(columns, s.left + s.w)
        self.x = zeros(s.c, rows, phases, -(-columns // period), s.n)

    def record_input(self, tape: Tape, x: FloatArray) -> None:
        """Record copying x (N, C, H, W) in."""
        image = x.transpose(1, 2, 3, 0)  # (C, H, W, N)
        s = self.sizes
        for phase in range(self.x.shape[2]):
            first = max(0, -(-(s.left - phase) // self.period))  # its first column that is not padding
            columns = image[:, :, phase + self.period * first - s.left :: self.period]
            tape.copy(columns, out=self.x[:, s.top : s.top + s.h, phase, first : first + columns.shape[2]])

    def read(self, row: int, stride: int, count: int, column: int, width: int) -> FloatArray:
        """Return columns column, column + P, .. of rows row, row + stride, ..: a view (C, count, width, N)."""
        first, phase = divmod(column, self.period)
        return self.x[:, row : row + stride * count : stride, phase, first : first + width]


class _SplitColumnWindows:
    """Lays out the windows of the even output columns, pixels (OH, ceil(OW/2), N), then those of the odd ones."""

    def __init__(self, sizes: ConvSizes) -> None:
        self.sizes = sizes
        period = 2 * sizes.sw
        rows, columns = sizes.padded_h, sizes.padded_w + period
        self.input = PhasedInput(sizes, period=period, phases=period, rows=rows, columns=columns)

    def record(self, tape: Tape, x: FloatArray, windows: FloatArray) -> None:
        """Record windows (C·KH·KW, OH·OW·N) = those of x (N, C, H, W)."""
        s = self.sizes
        self.input.record_input(tape, x)
        start = 0
        for parity, width in enumerate(((s.ow + 1) // 2, s.ow // 2)):
            block = windows[:, start : start + s.oh * width * s.n]
            start += block.shape[1]
            for i in range(s.kh):
                for j in range(s.kw) if width else ():
                    tap = block[i * s.kw + j :: s.kh * s.kw]  # of every channel
                    pixels = self.input.read(i, s.sh, s.oh, parity * s.sw + j, width)
                    tape.copy(pixels, out=tap.reshape(s.c, s.oh, width, s.n))


class _ImageMajorWindows:
    """Lays out the windows with pixels (OH, N, OW)."""

    def __init__(self, sizes: ConvSizes) -> None:
        s = self.sizes = sizes
        self.padded = zeros(s.c, s.padded_h, s.n, s.padded_w)
        self.image = self.padded[:, s.top : s.top + s.h, :, s.left : s.left + s.w]

    def record(self, tape: Tape, x: FloatArray, windows: FloatArray) -> None:
        """Record windows (C·KH·KW, OH·N·OW) = those of x (N, C, H, W)."""
        s = self.sizes
        tape.copy(x.transpose(1, 2, 0, 3), out=self.image)
        taps = windows.reshape(s.c, s.kh, s.kw, s.oh, s.n, s.ow)
        for i in range(s.kh):
            for j in range(s.kw):
                rows, columns = slice(i, i + s.sh * s.oh, s.sh), slice(j, j + s.sw * s.ow, s.sw)
                tape.copy(self.padded[:, rows, :, columns], out=taps[:, i, j])


class FirstConv(ConvKernel):
    """conv -> [ReLU] on the network's input, any kernel, stride and padding."""

    description: ClassVar[str] = "first convolution, all windows at once"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        conv = first_conv(nodes, workload)
        if conv is None or conv.in_channels * conv.kernel_size[0] * conv.kernel_size[1] > MOST_TAPS:
            return 0
        return count_with_relu(nodes)

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        s = self.sizes
        taps, pixels = s.c * s.kh * s.kw, s.oh * s.ow * s.n
        self.input = _ImageMajorWindows(s) if workload.image_major else _SplitColumnWindows(s)
        self.windows = empty(workload.input_slots, taps, pixels)
        self.weight = empty(taps, s.f)
        self.tail = BiasReLU(nodes[0], workload, relu=len(nodes) == 2, layout=self._layout)
        if workload.training:
            self.dw, self.db = SummedProduct((), taps, s.f), ColumnSum(pixels, s.f)
            self.sums = self.dw, self.db

    def _layout(self, flat: FloatArray) -> Layout:
        s = self.sizes
        return self.workload.layout(flat, (s.oh, s.ow, s.n, s.f))

    def record_input(self, tape: Tape, slot: int, x: FloatArray) -> None:
        self.input.record(tape, x, of_slot(self.windows, slot))

    def prepare(self, generators: LayerGenerators) -> None:
        weight, bias = self.nodes[0].weight_and_bias()
        self.weight[...] = weight.reshape(len(weight), -1).T
        self.tail.bias.set(bias)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        y = self.tail.products_out(out)
        record_product(tape, of_slot(self.windows, slot).T, self.weight, y.reshape(-1, self.sizes.f))
        self.tail.record_forward(tape, slot, y, out)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        rows = self.tail.record_gradient(tape, slot, dy).reshape(-1, self.sizes.f)
        if self.nodes[0].has_bias():
            self.db.record_add(tape, rows)
        self.dw.record_add(tape, of_slot(self.windows, slot).T, rows)
        return ()

    def dweight(self) -> FloatArray:
        s = self.sizes
        return self.dw.total.T.reshape(s.f, s.c, s.kh, s.kw)
