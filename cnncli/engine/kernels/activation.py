"""Activations and dropout, which treat every number by itself, in images and vectors alike."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from cnncli.engine.kernels.arrays import empty, empty_mask, shared_zeros
from cnncli.engine.kernels.kernel import Kernel, LayerGenerators, Workload, of_slot
from cnncli.engine.kernels.layout import Layout, matching_columns, record_copy, transposed_shape
from cnncli.engine.kernels.node import Node
from cnncli.engine.kernels.tape import Tape
from cnncli.nn.layers import Dropout, Layer, LeakyReLU, ReLU, Sigmoid, Tanh
from cnncli.types import FloatArray


class Elementwise(Kernel):
    """y = f(x), written over x, and dx = dy · slope, where the slope dy/dx is a function of y."""

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        self.shape = transposed_shape(nodes[0].input_shape, workload.images)
        size = math.prod(self.shape)
        self.x = empty(workload.input_slots, size)  # y overwrites x
        if workload.training:
            self.dx = empty(size)

    def input_layout(self, slot: int) -> Layout:
        return self.workload.layout(of_slot(self.x, slot), self.shape)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        y = of_slot(self.x, slot)
        self.apply(tape, slot, y)
        record_copy(tape, self.workload.layout(y, self.shape), out)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        self.slope(tape, slot, of_slot(self.x, slot), self.dx)
        dx = self.workload.layout(self.dx, self.shape)
        for own, gradient in matching_columns(dx, dy):
            tape.multiply(own, gradient, out=own)
        return dx

    @abstractmethod
    def apply(self, tape: Tape, slot: int, x: FloatArray) -> None:
        """Record x = f(x)."""

    @abstractmethod
    def slope(self, tape: Tape, slot: int, y: FloatArray, out: FloatArray) -> None:
        """Record out = dy/dx."""


class ReLUKernel(Elementwise):
    """y = max(x, 0); the slope is 1 where y > 0, else 0."""

    description: ClassVar[str] = "ReLU"
    layer: ClassVar[type[Layer]] = ReLU

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        self.zeros = shared_zeros(*self.x.shape[1:])
        self.positive = workload.scratch.empty_mask(*self.x.shape[1:])

    def apply(self, tape: Tape, slot: int, x: FloatArray) -> None:
        tape.maximum(x, self.zeros, out=x)

    def slope(self, tape: Tape, slot: int, y: FloatArray, out: FloatArray) -> None:
        tape.greater(y, self.zeros, out=self.positive)
        tape.copy(self.positive, out=out)


class LeakyReLUKernel(ReLUKernel):
    """y = max(x, leak · x); the slope is 1 where y > 0, else the leak. As leak >= 0, y > 0 exactly where x > 0."""

    description: ClassVar[str] = "leaky ReLU"
    layer = LeakyReLU

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        layer = nodes[0].layer
        assert isinstance(layer, LeakyReLU)
        self.leak = np.float32(layer.slope)
        self.scaled = workload.scratch.empty(*self.x.shape[1:])

    def apply(self, tape: Tape, slot: int, x: FloatArray) -> None:
        tape.multiply(x, self.leak, out=self.scaled)
        tape.maximum(x, self.scaled, out=x)

    def slope(self, tape: Tape, slot: int, y: FloatArray, out: FloatArray) -> None:
        super().slope(tape, slot, y, out)
        tape.maximum(out, self.leak, out=out)


class TanhKernel(Elementwise):
    """y = tanh(x); the slope is 1 - y²."""

    description: ClassVar[str] = "tanh"
    layer = Tanh

    def apply(self, tape: Tape, slot: int, x: FloatArray) -> None:
        tape.record(np.tanh, x, x)

    def slope(self, tape: Tape, slot: int, y: FloatArray, out: FloatArray) -> None:
        tape.multiply(y, y, out=out)
        tape.record(np.subtract, np.float32(1), out, out)


class SigmoidKernel(Elementwise):
    """y = 1 / (1 + exp(-x)) = (1 + tanh(x / 2)) / 2, which cannot overflow; the slope is y · (1 - y)."""

    description: ClassVar[str] = "sigmoid"
    layer = Sigmoid

    def apply(self, tape: Tape, slot: int, x: FloatArray) -> None:
        half = np.float32(0.5)
        tape.multiply(x, half, out=x)
        tape.record(np.tanh, x, x)
        tape.multiply(x, half, out=x)
        tape.add(x, half, out=x)

    def slope(self, tape: Tape, slot: int, y: FloatArray, out: FloatArray) -> None:
        tape.record(np.subtract, np.float32(1), y, out)
        tape.multiply(out, y, out=out)


class DropoutKernel(Elementwise):
    """y = x · mask, with a new mask for every slot of every step; dx = dy · mask.

    The random stream belongs to this layer, step and shard, and serves slot after slot. So the masks depend on the
    batch and on the number of shards, but not on which worker runs the shard.
    """

    description: ClassVar[str] = "dropout"
    layer = Dropout

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        layer = nodes[0].layer
        assert isinstance(layer, Dropout)
        self.rate, self.scale = np.float32(layer.rate), np.float32(1 / (1 - layer.rate))
        self.kept = empty_mask(*self.x.shape)
        self.uniform = workload.scratch.empty(*self.x.shape[1:])

    def prepare(self, generators: LayerGenerators) -> None:
        self.rng = generators(self.nodes[0].index)

    def _draw(self) -> None:
        self.rng.random(dtype=np.float32, out=self.uniform)

    def apply(self, tape: Tape, slot: int, x: FloatArray) -> None:
        tape.record(self._draw)
        tape.record(np.greater_equal, self.uniform, self.rate, self.kept[slot])
        self.slope(tape, slot, x, self.uniform)
        tape.multiply(x, self.uniform, out=x)

    def slope(self, tape: Tape, slot: int, y: FloatArray, out: FloatArray) -> None:
        tape.copy(self.kept[slot], out=out)
        tape.multiply(out, self.scale, out=out)
