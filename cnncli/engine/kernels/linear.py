"""Dense layers, and the step from images to vectors in front of them.

Axis letters: N images of the shard, I features in, O features out, C H W image.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from cnncli.engine.kernels.kernel import Kernel, LayerGenerators, Workload, write_gradient
from cnncli.engine.kernels.layout import Layout, single_block
from cnncli.engine.kernels.node import Node
from cnncli.engine.kernels.products import product_by_columns
from cnncli.engine.kernels.tape import Tape
from cnncli.engine.kernels.workspace import empty, empty_mask, ones, zeros
from cnncli.nn.layers import Flatten, Linear, ReLU
from cnncli.types import FloatArray


class LinearKernel(Kernel):
    """linear -> [ReLU] on the whole shard: y = x · weightᵀ + bias, straight from and into the canonical layout."""

    pattern: ClassVar[str] = "dense layer on the whole shard"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        if not isinstance(nodes[0].layer, Linear):
            return 0
        return 2 if len(nodes) > 1 and isinstance(nodes[1].layer, ReLU) else 1

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        n, (i,), (o,) = workload.images, nodes[0].input_shape, nodes[0].output_shape
        self.relu = len(nodes) == 2
        self.x, self.y = empty(n, i), empty(n, o)
        self.zero = zeros(n, o)
        if workload.training:
            self.positive = empty_mask(n, o)
            self.g, self.ones = empty(n, o), ones(n)
            self.dx = empty(n, i) if workload.needs_dx else None

    def prepare(self, generators: LayerGenerators) -> None:
        self.w, self.b = self.nodes[0].weight_and_bias()

    def input_layout(self, slot: int) -> Layout:
        return single_block(self.x)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        y = out[0].array
        tape.record(self._forward, y)

    def _forward(self, y: FloatArray) -> None:
        np.matmul(self.x, self.w.T, out=self.y)
        np.add(self.y, self.b, out=y)
        if self.relu:
            np.maximum(y, self.zero, out=y)
            if self.workload.training:
                np.greater(y, self.zero, out=self.positive)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        g = dy[0].array
        tape.record(self._backward, g)
        return () if self.dx is None else single_block(self.dx)

    def _backward(self, g: FloatArray) -> None:
        if self.relu:
            np.copyto(self.g, self.positive)
            np.multiply(self.g, g, out=self.g)
        else:
            self.g[...] = g
        if self.dx is not None:
            product_by_columns(self.g, self.w, out=self.dx)

    def collect(self, gradients: Mapping[str, FloatArray], *, add: bool) -> None:
        name = self.nodes[0].name
        weight = gradients[f"{name}.weight"]
        if add:
            write_gradient(weight, self.g.T @ self.x, add=True)
        else:
            product_by_columns(self.g.T, self.x, out=weight)
        if f"{name}.bias" in gradients:
            write_gradient(gradients[f"{name}.bias"], self.ones @ self.g, add=add)


_GAP = 16  # numbers between two pixels' images, a cache line: see FlattenKernel


class FlattenKernel(Kernel):
    """(H, W, N, C) -> (N, C·H·W): the one place where an activation returns to the canonical order.

    Reading one image's channel means jumping over N·C numbers a pixel. Were that a power of two, all the jumps would
    land in the same few sets of the cache, so a cache line of nothing is left between two pixels.
    """

    pattern: ClassVar[str] = "flatten, back to the canonical order"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        return int(isinstance(nodes[0].layer, Flatten) and len(nodes[0].input_shape) == 3)

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        self.c, self.h, self.w = nodes[0].input_shape
        n = workload.images
        self.x = empty(self.h, self.w, n * self.c + _GAP)[:, :, : n * self.c]
        self.image = np.lib.stride_tricks.as_strided(
            self.x, (self.h, self.w, n, self.c), (*self.x.strides[:2], 4 * self.c, 4)
        )
        if workload.training:
            self.dx = empty(self.h, self.w, n, self.c)

    def input_layout(self, slot: int) -> Layout:
        return single_block(self.image)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        rows = out[0].array
        tape.copy(self.image.transpose(2, 3, 0, 1), out=rows.reshape(-1, self.c, self.h, self.w))

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        rows = dy[0].array
        tape.copy(rows.reshape(-1, self.c, self.h, self.w), out=self.dx.transpose(2, 3, 0, 1))
        return single_block(self.dx)


class FlatInput(Kernel):
    """flatten as the very first layer: the input already lies in the canonical order."""

    pattern: ClassVar[str] = "flatten of the input, a view"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        return int(isinstance(nodes[0].layer, Flatten) and nodes[0].index == 0)

    def input_layout(self, slot: int) -> Layout:
        raise AssertionError("the first kernel is fed")

    def record_input(self, tape: Tape, slot: int, x: FloatArray) -> None:
        self.x = x.reshape(len(x), -1)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        rows = out[0].array
        tape.copy(self.x, out=rows)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        return ()
