"""Activations and dropout, which treat every number by itself: images and vectors alike."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from cnncli.engine.kernels.kernel import Kernel, LayerGenerators, Workload
from cnncli.engine.kernels.layout import Layout, matching_columns, record_copy
from cnncli.engine.kernels.node import Node
from cnncli.engine.kernels.tape import Tape
from cnncli.engine.kernels.workspace import empty, empty_mask, shared_zeros
from cnncli.nn.layers import Dropout, LeakyReLU, ReLU, Sigmoid, Tanh
from cnncli.types import FloatArray, Shape


def buffer_shape(shape: Shape, images: int) -> Shape:
    """Return how a kernel holds one micro-batch: (H, W, N, C) for (C, H, W), and (N, features) for (features,)."""
    if len(shape) == 3:
        return shape[1], shape[2], images, shape[0]
    return images, *shape


class _Elementwise(Kernel):
    """y = f(x) and dx = dy · slope; the slope of each slot is kept as `f` left it.

    Subclasses write y over x, in `apply`, and the slope over their scratch, in `slope`.
    """

    layer: ClassVar[type]

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        return int(isinstance(nodes[0].layer, cls.layer))

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        self.shape = buffer_shape(nodes[0].input_shape, workload.images)
        size = math.prod(self.shape)
        self.x = empty(workload.slots if workload.training else 1, size)
        if workload.training:
            self.dx = empty(size)

    def input_layout(self, slot: int) -> Layout:
        return self.workload.layout(self._own(slot), self.shape)

    def _own(self, slot: int) -> FloatArray:
        x: FloatArray = self.x[slot if self.workload.training else 0]
        return x

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        y = self._own(slot)
        self.apply(tape, slot, y)
        record_copy(tape, self.workload.layout(y, self.shape), out)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        self.slope(tape, slot, self._own(slot), self.dx)
        dx = self.workload.layout(self.dx, self.shape)
        for own, view in matching_columns(dx, dy):
            tape.multiply(own, view, out=own)
        return dx

    @abstractmethod
    def apply(self, tape: Tape, slot: int, x: FloatArray) -> None:
        """Write y over x."""

    @abstractmethod
    def slope(self, tape: Tape, slot: int, y: FloatArray, out: FloatArray) -> None:
        """Write dy/dx, as a function of y, to `out`."""


class ReLUKernel(_Elementwise):
    """y = max(x, 0); its slope is 1 where y > 0."""

    pattern: ClassVar[str] = "ReLU"
    layer = ReLU

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        self.zero = shared_zeros(*self.x.shape[1:])
        self.positive = workload.workspace.mask(*self.x.shape[1:])

    def apply(self, tape: Tape, slot: int, x: FloatArray) -> None:
        tape.maximum(x, self.zero, out=x)

    def slope(self, tape: Tape, slot: int, y: FloatArray, out: FloatArray) -> None:
        tape.greater(y, self.zero, out=self.positive)
        tape.copy(self.positive, out=out)


class LeakyReLUKernel(_Elementwise):
    """y = max(x, slope · x); as slope >= 0, y > 0 wherever x > 0 and nowhere else."""

    pattern: ClassVar[str] = "leaky ReLU"
    layer = LeakyReLU

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        layer = nodes[0].layer
        assert isinstance(layer, LeakyReLU)
        self.leak = np.float32(layer.slope)
        self.zero, self.scratch = shared_zeros(*self.x.shape[1:]), workload.workspace(*self.x.shape[1:])
        self.positive = workload.workspace.mask(*self.x.shape[1:])

    def apply(self, tape: Tape, slot: int, x: FloatArray) -> None:
        tape.multiply(x, self.leak, out=self.scratch)
        tape.maximum(x, self.scratch, out=x)

    def slope(self, tape: Tape, slot: int, y: FloatArray, out: FloatArray) -> None:
        tape.greater(y, self.zero, out=self.positive)
        tape.copy(self.positive, out=out)
        tape.maximum(out, self.leak, out=out)


class TanhKernel(_Elementwise):
    """y = tanh(x); its slope is 1 - y²."""

    pattern: ClassVar[str] = "tanh"
    layer = Tanh

    def apply(self, tape: Tape, slot: int, x: FloatArray) -> None:
        tape.record(np.tanh, x, x)

    def slope(self, tape: Tape, slot: int, y: FloatArray, out: FloatArray) -> None:
        tape.multiply(y, y, out=out)
        tape.record(np.subtract, np.float32(1), out, out)


class SigmoidKernel(_Elementwise):
    """y = 1 / (1 + exp(-x)) = (1 + tanh(x / 2)) / 2, which cannot overflow; its slope is y · (1 - y)."""

    pattern: ClassVar[str] = "sigmoid"
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


class DropoutKernel(_Elementwise):
    """y = x · mask, with a new mask for every slot of every step; dx = dy · mask.

    The masks come from the shard's own stream for this layer and step, slot after slot, so they depend on the batch
    and on how it is cut, never on who runs the shard.
    """

    pattern: ClassVar[str] = "dropout"
    layer = Dropout

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        layer = nodes[0].layer
        assert isinstance(layer, Dropout)
        self.rate, self.scale = np.float32(layer.rate), np.float32(1 / (1 - layer.rate))
        self.kept = empty_mask(*self.x.shape)
        self.uniform = workload.workspace(*self.x.shape[1:])

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
