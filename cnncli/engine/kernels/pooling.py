"""Pooling with any window, stride and padding: a few whole-image operations, one for each place in the window.

Axis letters: N micro-batch, C channels, H W image, OH OW output.
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from cnncli.engine.kernels.conv.pool_planes import PoolPlanes, pools_by_two
from cnncli.engine.kernels.kernel import Kernel, Workload
from cnncli.engine.kernels.layout import Layout, columns_apart, record_copy, single_block, split_columns
from cnncli.engine.kernels.node import Node
from cnncli.engine.kernels.tape import Tape
from cnncli.engine.kernels.workspace import empty, zeros
from cnncli.nn.aligned import aligned_empty
from cnncli.nn.layers import AvgPool2D, GlobalAvgPool, MaxPool2D
from cnncli.types import FloatArray


class _Pool(Kernel):
    """The padded input and its taps; a tap is what all windows see at one place, (OH, OW, N, C)."""

    fill: ClassVar[float]

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
        self.x.fill(self.fill)
        self.inner = self.x[rows, columns]
        self.y = workload.workspace(self.oh, self.ow, n, c)
        if workload.training:
            self.dx = zeros(*self.x.shape)
            self.dx_inner = self.dx[rows, columns]
            self.overlap = self.stride[0] < self.size[0] or self.stride[1] < self.size[1]
            self.g, self.share = (workload.workspace(self.oh, self.ow, n, c) for _ in range(2))

    def input_layout(self, slot: int) -> Layout:
        return single_block(self.inner)

    def _taps(self, image: FloatArray) -> Iterator[FloatArray]:
        (sh, sw), (oh, ow) = self.stride, (self.oh, self.ow)
        for i in range(self.size[0]):
            for j in range(self.size[1]):
                yield image[i : i + sh * (oh - 1) + 1 : sh, j : j + sw * (ow - 1) + 1 : sw]

    def _take(self, tape: Tape, dy: Layout) -> FloatArray:
        record_copy(tape, dy, single_block(self.g))
        return self.g


class MaxPool(_Pool):
    """The largest of each window; its place is kept as one byte, the first of equals."""

    pattern: ClassVar[str] = "max-pool of any window"
    fill = -np.inf

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        layer = nodes[0].layer
        return int(isinstance(layer, MaxPool2D) and layer.pool_size[0] * layer.pool_size[1] <= 256)

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        if workload.training:
            self.winner = aligned_empty((workload.slots, *self.y.shape), np.uint8)
            self.better = workload.workspace.mask(*self.y.shape)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        y = self.y
        for place, tap in enumerate(self._taps(self.x)):
            if place == 0:
                tape.copy(tap, out=y)
                if self.workload.training:
                    tape.fill(self.winner[slot], 0)
                continue
            if self.workload.training:
                # A later place is a larger number, so the maximum of places is the last strict improvement.
                tape.greater(tap, y, out=self.better)
                candidate = self.better.view(np.uint8)
                tape.multiply(candidate, np.uint8(place), out=candidate)
                tape.maximum(self.winner[slot], candidate, out=self.winner[slot])
            tape.maximum(y, tap, out=y)
        record_copy(tape, single_block(y), out)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        g = self._take(tape, dy)
        if self.overlap:
            tape.fill(self.dx, 0)
        for place, tap in enumerate(self._taps(self.dx)):
            tape.equal(self.winner[slot], np.uint8(place), out=self.better)
            tape.copy(self.better, out=self.share)
            if self.overlap:
                tape.multiply(self.share, g, out=self.share)
                tape.add(tap, self.share, out=tap)
            else:
                tape.multiply(self.share, g, out=tap)
        return single_block(self.dx_inner)


class MaxPool2x2(Kernel):
    """The largest of each 2x2 window at stride 2, from four planes: even and odd rows of even and odd columns."""

    pattern: ClassVar[str] = "2x2 max-pool by four planes"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        layer = nodes[0].layer
        return int(isinstance(layer, MaxPool2D) and pools_by_two(layer))

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        c, h, w = nodes[0].input_shape
        _, ph, pw = nodes[0].output_shape
        n = workload.images
        self.shape = (ph, pw, n, c)
        self.image = (2, h, (w + 1) // 2, n, c)  # even columns, odd columns
        self.odd = w // 2
        self.x = empty(*self.image)
        self.y = workload.workspace(ph, pw * n * c)
        self.pool = PoolPlanes(workload, self.y.shape, relu=False, layout=self._layout)
        if workload.training:
            self.dx = zeros(*self.image)  # what no window reads stays zero

    def _layout(self, plane: FloatArray) -> Layout:
        return single_block(plane.reshape(self.shape))

    def _planes(self, image: FloatArray) -> FloatArray:
        """Return (2, 2, PH, PW·N·C), row and column in the window first."""
        ph, pw, n, c = self.shape
        rows = image[:, : 2 * ph].reshape(2, ph, 2, -1)[..., : pw * n * c]
        return rows.transpose(2, 0, 1, 3)

    def input_layout(self, slot: int) -> Layout:
        return columns_apart(self.x[0], self.x[1, :, : self.odd])

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        self.pool.record_forward(tape, slot, self._planes(self.x), self.y)
        self.pool.activate(tape, slot, self.y, out)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        self.pool.activate_backward(tape, slot, dy)
        self.pool.record_backward(tape, slot, self._planes(self.dx))
        return columns_apart(self.dx[0], self.dx[1, :, : self.odd])


class AvgPool(_Pool):
    """The mean of each window; pixels of the padding count as zeros."""

    pattern: ClassVar[str] = "average pool of any window"
    fill = 0.0

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        return int(isinstance(nodes[0].layer, AvgPool2D))

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        y = self.y
        for place, tap in enumerate(self._taps(self.x)):
            if place == 0:
                tape.copy(tap, out=y)
            else:
                tape.add(y, tap, out=y)
        tape.multiply(y, np.float32(1 / (self.size[0] * self.size[1])), out=y)
        record_copy(tape, single_block(y), out)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        share = self._take(tape, dy)
        tape.multiply(share, np.float32(1 / (self.size[0] * self.size[1])), out=share)
        if self.overlap:
            tape.fill(self.dx, 0)
        for tap in self._taps(self.dx):
            if self.overlap:
                tape.add(tap, share, out=tap)
            else:
                tape.copy(share, out=tap)
        return single_block(self.dx_inner)


class GlobalAvg(Kernel):
    """The mean of each channel; writes one row (C,) for each image into the dense layers' input."""

    pattern: ClassVar[str] = "global average pool"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        return int(isinstance(nodes[0].layer, GlobalAvgPool))

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        c, h, w = nodes[0].input_shape
        self.shape = (h, w, workload.images, c)
        self.x = empty(h * w * workload.images * c)
        self.share = np.full(h * w, 1 / (h * w), np.float32)
        if workload.training:
            self.dx = empty(self.x.size)

    def input_layout(self, slot: int) -> Layout:
        return split_columns(self.x, self.shape)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        y = out[0].array
        tape.matmul(self.share, self.x.reshape(self.share.size, -1), out=y.reshape(-1))

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        pixels = self.dx.reshape(self.share.size, -1)
        tape.multiply(dy[0].array.reshape(-1), self.share[0], out=pixels[0])
        tape.copy(pixels[0], out=pixels[1:])
        return split_columns(self.dx, self.shape)
