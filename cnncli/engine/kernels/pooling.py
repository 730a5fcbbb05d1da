"""Pooling with any window, stride and padding: whole-image operations, one for each position in the window.

Axis letters: N micro-batch, C channels, H W image, OH OW output.
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from cnncli.engine.kernels.arrays import empty, zeros
from cnncli.engine.kernels.conv.pool_planes import PoolPlanes, is_two_by_two
from cnncli.engine.kernels.kernel import Kernel, Workload
from cnncli.engine.kernels.layout import Layout, columns_apart, record_copy, single_block, split_columns
from cnncli.engine.kernels.node import Node
from cnncli.engine.kernels.tape import Tape
from cnncli.nn.aligned import aligned_empty
from cnncli.nn.layers import AvgPool2D, GlobalAvgPool, MaxPool2D
from cnncli.types import FloatArray


class _Pool(Kernel):
    """The padded input and its taps; a tap is what all windows see at one position, (OH, OW, N, C)."""

    padding_value: ClassVar[float]

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        layer = nodes[0].layer
        assert isinstance(layer, MaxPool2D | AvgPool2D)
        n, (c, h, w) = workload.images, nodes[0].input_shape
        _, self.oh, self.ow = nodes[0].output_shape
        self.size, self.stride = layer.pool_size, layer.stride
        (top, bottom), (left, right) = layer.pads(nodes[0].input_shape)
        rows, columns = slice(top, top + h), slice(left, left + w)
        self.x = empty(h + top + bottom, w + left + right, n, c)
        self.x.fill(self.padding_value)
        self.image = self.x[rows, columns]
        self.y = workload.scratch.empty(self.oh, self.ow, n, c)
        if workload.training:
            self.dx = zeros(*self.x.shape)
            self.dimage = self.dx[rows, columns]
            self.overlap = self.stride[0] < self.size[0] or self.stride[1] < self.size[1]
            self.dy, self.product = (workload.scratch.empty(self.oh, self.ow, n, c) for _ in range(2))

    def input_layout(self, slot: int) -> Layout:
        return single_block(self.image)

    def _taps(self, padded: FloatArray) -> Iterator[FloatArray]:
        (sh, sw), (oh, ow) = self.stride, (self.oh, self.ow)
        for i in range(self.size[0]):
            for j in range(self.size[1]):
                yield padded[i : i + sh * (oh - 1) + 1 : sh, j : j + sw * (ow - 1) + 1 : sw]


class MaxPool(_Pool):
    """The largest of each window. One byte per output keeps its position in the window, the first of equals."""

    description: ClassVar[str] = "max-pool of any window"
    padding_value = -np.inf

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        layer = nodes[0].layer
        return int(isinstance(layer, MaxPool2D) and layer.pool_size[0] * layer.pool_size[1] <= 256)

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        if workload.training:
            self.winner = aligned_empty((workload.slots, *self.y.shape), np.uint8)
            self.mask = workload.scratch.empty_mask(*self.y.shape)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        y = self.y
        for position, tap in enumerate(self._taps(self.x)):
            if position == 0:
                tape.copy(tap, out=y)
                if self.workload.training:
                    tape.fill(self.winner[slot], 0)
                continue
            if self.workload.training:
                # Positions grow, so the last strict improvement is the largest position that improved.
                tape.greater(tap, y, out=self.mask)
                candidate = self.mask.view(np.uint8)
                tape.multiply(candidate, np.uint8(position), out=candidate)
                tape.maximum(self.winner[slot], candidate, out=self.winner[slot])
            tape.maximum(y, tap, out=y)
        record_copy(tape, single_block(y), out)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        record_copy(tape, dy, single_block(self.dy))
        if self.overlap:
            tape.fill(self.dx, 0)
        for position, tap in enumerate(self._taps(self.dx)):
            tape.equal(self.winner[slot], np.uint8(position), out=self.mask)
            tape.copy(self.mask, out=self.product)
            if self.overlap:
                tape.multiply(self.product, self.dy, out=self.product)
                tape.add(tap, self.product, out=tap)
            else:
                tape.multiply(self.product, self.dy, out=tap)
        return single_block(self.dimage)


class MaxPool2x2(Kernel):
    """The largest of each 2x2 window at stride 2, from four planes: even and odd rows of even and odd columns."""

    description: ClassVar[str] = "2x2 max-pool by four planes"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        return int(is_two_by_two(nodes[0]))

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        c, h, w = nodes[0].input_shape
        _, oh, ow = nodes[0].output_shape
        n = workload.images
        self.shape = (oh, ow, n, c)
        self.x = empty(2, h, (w + 1) // 2, n, c)  # even columns, odd columns
        self.odd_columns = w // 2
        self.y = workload.scratch.empty(oh, ow * n * c)
        self.pool = PoolPlanes(workload, self.y.shape, relu=False, layout=self._layout)
        if workload.training:
            self.dx = zeros(*self.x.shape)  # what no window reads stays zero

    def _layout(self, plane: FloatArray) -> Layout:
        return single_block(plane.reshape(self.shape))

    def _planes(self, columns: FloatArray) -> FloatArray:
        """Return (2, 2, OH, OW·N·C), row and column in the window first."""
        oh, ow, n, c = self.shape
        rows = columns[:, : 2 * oh].reshape(2, oh, 2, -1)[..., : ow * n * c]
        return rows.transpose(2, 0, 1, 3)

    def _image(self, columns: FloatArray) -> Layout:
        return columns_apart(columns[0], columns[1, :, : self.odd_columns])

    def input_layout(self, slot: int) -> Layout:
        return self._image(self.x)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        self.pool.record_forward(tape, slot, self._planes(self.x), self.y)
        self.pool.record_output(tape, slot, self.y, out)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        self.pool.record_output_backward(tape, slot, dy)
        self.pool.record_backward(tape, slot, self._planes(self.dx))
        return self._image(self.dx)


class AvgPool(_Pool):
    """The mean of each window; pixels of the padding count as zeros."""

    description: ClassVar[str] = "average pool of any window"
    padding_value = 0.0
    layer = AvgPool2D

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        layer = nodes[0].layer
        assert isinstance(layer, AvgPool2D)
        counts = layer.counts(nodes[0].input_shape)  # (OH, OW), where they differ
        self.share: FloatArray | np.float32 = np.float32(1 / (self.size[0] * self.size[1]))
        if counts is not None:
            self.share = (1 / counts[..., np.newaxis, np.newaxis]).astype(np.float32)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        y = self.y
        for position, tap in enumerate(self._taps(self.x)):
            if position == 0:
                tape.copy(tap, out=y)
            else:
                tape.add(y, tap, out=y)
        self._record_mean(tape, y)
        record_copy(tape, single_block(y), out)

    def _record_mean(self, tape: Tape, values: FloatArray) -> None:
        """Record values / (how many pixels a window counts)."""
        tape.multiply(values, self.share, out=values)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        record_copy(tape, dy, single_block(self.dy))
        self._record_mean(tape, self.dy)
        if self.overlap:
            tape.fill(self.dx, 0)
        for tap in self._taps(self.dx):
            if self.overlap:
                tape.add(tap, self.dy, out=tap)
            else:
                tape.copy(self.dy, out=tap)
        return single_block(self.dimage)


class GlobalAvg(Kernel):
    """The mean of each channel, (H, W, N, C) -> (N, C)."""

    description: ClassVar[str] = "global average pool"
    layer = GlobalAvgPool

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        c, h, w = nodes[0].input_shape
        self.shape = (h, w, workload.images, c)
        self.x = empty(h * w, workload.images * c)
        self.share = np.full(h * w, 1 / (h * w), np.float32)
        if workload.training:
            self.dx = empty(*self.x.shape)

    def input_layout(self, slot: int) -> Layout:
        return split_columns(self.x.reshape(-1), self.shape)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        tape.matmul(self.share, self.x, out=out[0].array.reshape(-1))

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        tape.multiply(dy[0].array.reshape(-1), self.share[0], out=self.dx[0])
        tape.copy(self.dx[0], out=self.dx[1:])
        return split_columns(self.dx.reshape(-1), self.shape)
