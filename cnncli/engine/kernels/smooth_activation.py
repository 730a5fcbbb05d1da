"""SiLU and GELU: activations whose slope does not follow from their output, so that it is kept for backward."""

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from cnncli.engine.kernels.activation import Elementwise
from cnncli.engine.kernels.arrays import empty
from cnncli.engine.kernels.kernel import Workload
from cnncli.engine.kernels.node import Node
from cnncli.engine.kernels.tape import Tape
from cnncli.nn.layers import GELU, Layer, SiLU
from cnncli.nn.layers.activations import TANH_CUBE, TANH_SCALE
from cnncli.nn.normal import FARTHEST, erfc_exponent
from cnncli.types import FloatArray


class _KeepsSlope(Elementwise):
    """A function whose slope does not follow from y: it is computed with y, and kept."""

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        size = self.x.shape[1]
        self.share, self.more = (workload.scratch.empty(size) for _ in range(2))
        self.slopes = empty(workload.slots, size) if workload.training else None

    def slope(self, tape: Tape, slot: int, y: FloatArray, out: FloatArray) -> None:
        assert self.slopes is not None
        tape.copy(self.slopes[slot], out=out)


class SiLUKernel(_KeepsSlope):
    """y = x · s with s = (1 + tanh(x / 2)) / 2; the slope is s + y · (1 - s)."""

    description: ClassVar[str] = "SiLU"
    layer: ClassVar[type[Layer]] = SiLU

    def apply(self, tape: Tape, slot: int, x: FloatArray) -> None:
        half, share = np.float32(0.5), self.share
        tape.multiply(x, half, out=share)
        tape.record(np.tanh, share, share)
        tape.multiply(share, half, out=share)
        tape.add(share, half, out=share)
        tape.multiply(x, share, out=x)
        if self.slopes is not None:
            slope = self.slopes[slot]
            tape.multiply(x, share, out=slope)
            tape.subtract(x, slope, out=slope)
            tape.add(slope, share, out=slope)


class GELUKernel(_KeepsSlope):
    """y = x · share; the slope is share + x · dshare. See `cnncli.nn.normal` for the share below x."""

    description: ClassVar[str] = "GELU"
    layer: ClassVar[type[Layer]] = GELU

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        layer = nodes[0].layer
        assert isinstance(layer, GELU)
        self.by_tanh = layer.approximate == "tanh"
        self.square = workload.scratch.empty(self.x.shape[1])
        from numpy.polynomial import Polynomial

        exponent = erfc_exponent(8).convert(kind=Polynomial)
        self.coefficients = [np.float32(c) for c in exponent.coef[::-1]]

    def apply(self, tape: Tape, slot: int, x: FloatArray) -> None:
        (self._record_tanh if self.by_tanh else self._record_normal)(tape, x)
        if self.slopes is not None:  # `more` is dshare
            tape.multiply(x, self.more, out=self.slopes[slot])
            tape.add(self.slopes[slot], self.share, out=self.slopes[slot])
        tape.multiply(x, self.share, out=x)

    def _record_tanh(self, tape: Tape, x: FloatArray) -> None:
        """Record share = (1 + tanh(scale · (x + cube · x³))) / 2, and its slope."""
        share, more, square = self.share, self.more, self.square
        scale, cube, half = np.float32(TANH_SCALE), np.float32(TANH_SCALE * TANH_CUBE), np.float32(0.5)
        tape.multiply(x, x, out=square)
        tape.multiply(square, cube, out=share)
        tape.add(share, scale, out=share)
        tape.multiply(share, x, out=share)
        tape.record(np.tanh, share, share)
        if self.slopes is not None:
            tape.multiply(square, 3 * cube, out=square)
            tape.add(square, scale, out=square)
            tape.multiply(share, share, out=more)
            tape.record(np.subtract, np.float32(1), more, more)
            tape.multiply(more, half, out=more)
            tape.multiply(more, square, out=more)
        tape.multiply(share, half, out=share)
        tape.add(share, half, out=share)

    def _record_normal(self, tape: Tape, x: FloatArray) -> None:
        """Record share = the share of a normal distribution below x, and its slope, exp(-x² / 2) / sqrt(2 pi)."""
        share, t, bell = self.share, self.more, self.square
        one, half = np.float32(1), np.float32(0.5)
        farthest = np.float32(FARTHEST * math.sqrt(2))
        tape.record(np.absolute, x, bell)
        tape.minimum(bell, farthest, out=bell)
        tape.multiply(bell, np.float32(math.sqrt(0.5) / 2), out=t)
        tape.add(t, one, out=t)
        tape.record(np.reciprocal, t, t)
        tape.multiply(bell, bell, out=bell)
        tape.multiply(bell, -half, out=bell)
        tape.record(np.exp, bell, bell)
        first, *others = self.coefficients
        tape.fill(share, float(first))
        for coefficient in others:
            tape.multiply(share, t, out=share)
            tape.add(share, coefficient, out=share)
        tape.record(np.exp, share, share)
        tape.multiply(share, t, out=share)
        tape.multiply(share, bell, out=share)
        # share is twice what lies beyond |x|: below x lies (1 + sign(x) · (1 - share)) / 2
        tape.record(np.subtract, one, share, share)
        tape.record(np.copysign, share, x, share)
        tape.multiply(share, half, out=share)
        tape.add(share, half, out=share)
        tape.multiply(bell, np.float32(1 / math.sqrt(2 * math.pi)), out=self.more)
