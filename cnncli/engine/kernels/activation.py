"""Activations and dropout, which treat every number by itself: images and vectors alike."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from cnncli.engine.images import Parts, whole
from cnncli.engine.kernels.base import Draws, Kernel, Load, empty, flags, zeros
from cnncli.engine.nodes import Node
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
    def match(cls, nodes: Sequence[Node], load: Load) -> int:
        return int(isinstance(nodes[0].layer, cls.layer))

    def __init__(self, nodes: Sequence[Node], load: Load) -> None:
        super().__init__(nodes, load)
        shape = buffer_shape(nodes[0].input_shape, load.images)
        self.x = empty(load.slots if load.training else 1, *shape)
        if load.training:
            self.dx = empty(*shape)

    def target(self, slot: int) -> Parts:
        return whole(self._own(slot))

    def _own(self, slot: int) -> FloatArray:
        x: FloatArray = self.x[slot if self.load.training else 0]
        return x

    def apply(self, x: FloatArray) -> None:
        """Write y over x."""
        raise AssertionError  # every entry of the table has its own

    def slope(self, y: FloatArray, out: FloatArray) -> None:
        """Write dy/dx, as a function of y, to `out`."""
        raise AssertionError

    def forward(self, slot: int, out: Parts) -> None:
        y = self._own(slot)
        self.apply(y)
        for part in out:
            part.array[...] = part.of(y)

    def backward(self, slot: int, dy: Parts) -> Parts:
        self.slope(self._own(slot), self.dx)
        for part in dy:
            own = part.of(self.dx)
            np.multiply(own, part.array, out=own)
        return whole(self.dx)


class ReLUKernel(_Elementwise):
    """y = max(x, 0); its slope is 1 where y > 0."""

    pattern: ClassVar[str] = "ReLU"
    layer = ReLU

    def __init__(self, nodes: Sequence[Node], load: Load) -> None:
        super().__init__(nodes, load)
        self.zero = zeros(*self.x.shape[1:])
        self.positive = flags(*self.x.shape[1:])

    def apply(self, x: FloatArray) -> None:
        np.maximum(x, self.zero, out=x)

    def slope(self, y: FloatArray, out: FloatArray) -> None:
        np.greater(y, self.zero, out=self.positive)
        np.copyto(out, self.positive)


class LeakyReLUKernel(_Elementwise):
    """y = max(x, slope · x); as slope >= 0, y > 0 wherever x > 0 and nowhere else."""

    pattern: ClassVar[str] = "leaky ReLU"
    layer = LeakyReLU

    def __init__(self, nodes: Sequence[Node], load: Load) -> None:
        super().__init__(nodes, load)
        layer = nodes[0].layer
        assert isinstance(layer, LeakyReLU)
        self.leak = np.float32(layer.slope)
        self.zero, self.scratch = zeros(*self.x.shape[1:]), empty(*self.x.shape[1:])
        self.positive = flags(*self.x.shape[1:])

    def apply(self, x: FloatArray) -> None:
        np.multiply(x, self.leak, out=self.scratch)
        np.maximum(x, self.scratch, out=x)

    def slope(self, y: FloatArray, out: FloatArray) -> None:
        np.greater(y, self.zero, out=self.positive)
        np.copyto(out, self.positive)
        np.maximum(out, self.leak, out=out)


class TanhKernel(_Elementwise):
    """y = tanh(x); its slope is 1 - y²."""

    pattern: ClassVar[str] = "tanh"
    layer = Tanh

    def apply(self, x: FloatArray) -> None:
        np.tanh(x, out=x)

    def slope(self, y: FloatArray, out: FloatArray) -> None:
        np.multiply(y, y, out=out)
        np.subtract(np.float32(1), out, out=out)


class SigmoidKernel(_Elementwise):
    """y = 1 / (1 + exp(-x)) = (1 + tanh(x / 2)) / 2, which cannot overflow; its slope is y · (1 - y)."""

    pattern: ClassVar[str] = "sigmoid"
    layer = Sigmoid

    def apply(self, x: FloatArray) -> None:
        half = np.float32(0.5)
        np.multiply(x, half, out=x)
        np.tanh(x, out=x)
        np.multiply(x, half, out=x)
        np.add(x, half, out=x)

    def slope(self, y: FloatArray, out: FloatArray) -> None:
        np.subtract(np.float32(1), y, out=out)
        np.multiply(out, y, out=out)


class DropoutKernel(_Elementwise):
    """y = x · mask, with a new mask for every slot of every step; dx = dy · mask.

    The masks come from the shard's own stream for this layer and step, slot after slot, so they depend on the batch
    and on how it is cut, never on who runs the shard.
    """

    pattern: ClassVar[str] = "dropout"
    layer = Dropout

    def __init__(self, nodes: Sequence[Node], load: Load) -> None:
        super().__init__(nodes, load)
        layer = nodes[0].layer
        assert isinstance(layer, Dropout)
        self.rate, self.scale = np.float32(layer.rate), np.float32(1 / (1 - layer.rate))
        self.kept = flags(*self.x.shape)
        self.uniform = empty(*self.x.shape[1:])

    def prepare(self, draws: Draws) -> None:
        self.rng = draws(self.nodes[0].index)

    def forward(self, slot: int, out: Parts) -> None:
        self.rng.random(dtype=np.float32, out=self.uniform)
        np.greater_equal(self.uniform, self.rate, out=self.kept[slot])
        y = self._own(slot)
        self._masked(slot, self.uniform)
        np.multiply(y, self.uniform, out=y)
        for part in out:
            part.array[...] = part.of(y)

    def _masked(self, slot: int, mask: FloatArray) -> None:
        np.copyto(mask, self.kept[slot])
        np.multiply(mask, self.scale, out=mask)

    def backward(self, slot: int, dy: Parts) -> Parts:
        self._masked(slot, self.dx)
        for part in dy:
            own = part.of(self.dx)
            np.multiply(own, part.array, out=own)
        return whole(self.dx)
