"""Dense layers, and the flatten before them, which turns images into vectors.

Axis letters: N images of the shard, I features in, O features out, C channels, H W image.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import as_strided

from cnncli.engine.kernels.arrays import empty, empty_mask, ones, zeros
from cnncli.engine.kernels.kernel import Kernel, LayerGenerators, Workload, write_gradient
from cnncli.engine.kernels.layout import Layout, single_block
from cnncli.engine.kernels.node import Node, count_with_relu
from cnncli.engine.kernels.products import product_by_columns
from cnncli.engine.kernels.tape import Tape
from cnncli.nn.layers import Flatten, Linear
from cnncli.types import FloatArray


class LinearKernel(Kernel):
    """linear -> [ReLU]: y = x · weightᵀ + bias for all images of the shard, with the weight as the layer stores it."""

    description: ClassVar[str] = "dense layer on the whole shard"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        return count_with_relu(nodes) if isinstance(nodes[0].layer, Linear) else 0

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        n, (i,), (o,) = workload.images, nodes[0].input_shape, nodes[0].output_shape
        self.relu = len(nodes) == 2
        self.x, self.y = empty(n, i), empty(n, o)
        self.zeros = zeros(n, o)
        if workload.training:
            self.positive = empty_mask(n, o)
            self.g, self.ones = empty(n, o), ones(n)
            self.dx = empty(n, i) if workload.needs_dx else None

    def prepare(self, generators: LayerGenerators) -> None:
        self.weight, self.bias = self.nodes[0].weight_and_bias()  # (O, I), (O,)

    def input_layout(self, slot: int) -> Layout:
        return single_block(self.x)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        tape.record(self._forward, out[0].array)

    def _forward(self, y: FloatArray) -> None:
        np.matmul(self.x, self.weight.T, out=self.y)
        np.add(self.y, self.bias, out=y)
        if self.relu:
            np.maximum(y, self.zeros, out=y)
            if self.workload.training:
                np.greater(y, self.zeros, out=self.positive)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        tape.record(self._backward, dy[0].array)
        return () if self.dx is None else single_block(self.dx)

    def _backward(self, dy: FloatArray) -> None:
        if self.relu:
            np.copyto(self.g, self.positive)
            np.multiply(self.g, dy, out=self.g)
        else:
            self.g[...] = dy
        if self.dx is not None:
            product_by_columns(self.g, self.weight, out=self.dx)

    def collect(self, gradients: Mapping[str, FloatArray], *, add: bool) -> None:
        name = self.nodes[0].name
        dweight = gradients[f"{name}.weight"]
        if add:
            dweight += self.g.T @ self.x
        else:
            product_by_columns(self.g.T, self.x, out=dweight)
        if f"{name}.bias" in gradients:
            write_gradient(gradients[f"{name}.bias"], self.ones @ self.g, add=add)


_GAP = 16  # numbers between the images of two pixels, one cache line: see FlattenKernel


class FlattenKernel(Kernel):
    """(H, W, N, C) -> (N, C·H·W): the only kernel that returns activations to NCHW.

    Reading one channel of one image jumps over N·C numbers per pixel. If that is a power of two, all jumps land in the
    same few sets of the cache. So there is a gap of one cache line after every pixel.
    """

    description: ClassVar[str] = "flatten, back to NCHW"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        return int(isinstance(nodes[0].layer, Flatten) and len(nodes[0].input_shape) == 3)

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        self.image_shape = c, h, w = nodes[0].input_shape
        n = workload.images
        pixels = empty(h, w, n * c + _GAP)
        self.x = as_strided(pixels, (h, w, n, c), (*pixels.strides[:2], 4 * c, 4))
        if workload.training:
            self.dx = empty(h, w, n, c)

    def input_layout(self, slot: int) -> Layout:
        return single_block(self.x)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        tape.copy(self.x.transpose(2, 3, 0, 1), out=out[0].array.reshape(-1, *self.image_shape))

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        tape.copy(dy[0].array.reshape(-1, *self.image_shape), out=self.dx.transpose(2, 3, 0, 1))
        return single_block(self.dx)


class FlatInput(Kernel):
    """flatten as the first layer of the network, whose input is NCHW already."""

    description: ClassVar[str] = "flatten of the input, a view"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        return int(isinstance(nodes[0].layer, Flatten) and nodes[0].index == 0)

    def record_input(self, tape: Tape, slot: int, x: FloatArray) -> None:
        self.x = x.reshape(len(x), -1)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        tape.copy(self.x, out=out[0].array)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        return ()
