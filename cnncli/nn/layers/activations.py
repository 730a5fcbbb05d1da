"""Activation functions: the nonlinear layers, which work on each number by itself.

Derivations: docs/backward-passes.md#activations.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from cnncli.options import real
from cnncli.types import FloatArray

from .base import INFERENCE, Layer, Mode


class ReLU(Layer):
    """y = max(x, 0). The derivative at 0 is taken as 0."""

    kind = "relu"

    def forward(self, x: FloatArray, mode: Mode = INFERENCE) -> FloatArray:
        y = np.maximum(x, 0)
        # y, not x: the next layer usually keeps the same array
        self._saved = y if mode.for_backward else None
        return y

    def backward(self, dy: FloatArray) -> FloatArray:
        y = self._take()
        dx: FloatArray = dy * (y > 0)
        return dx


class LeakyReLU(Layer):
    """y = x where x > 0, else slope · x.

    Args:
        slope: for negative numbers, from 0 up to but not including 1.
    """

    kind = "leaky_relu"
    option_names: ClassVar[Mapping[str, str]] = {"slope": "slope"}
    main_option = "slope"

    def __init__(self, slope: float = 0.01) -> None:
        super().__init__()
        self.slope = real("slope", slope, at_least=0, below=1)

    def forward(self, x: FloatArray, mode: Mode = INFERENCE) -> FloatArray:
        self._saved = x > 0 if mode.for_backward else None
        y: FloatArray = np.maximum(x, self.slope * x)  # slope < 1, so the larger of the two is the right one
        return y

    def backward(self, dy: FloatArray) -> FloatArray:
        positive = self._take()
        return np.where(positive, dy, self.slope * dy)


class Tanh(Layer):
    """y = tanh(x), and dx = dy · (1 − y²)."""

    kind = "tanh"

    def forward(self, x: FloatArray, mode: Mode = INFERENCE) -> FloatArray:
        y: FloatArray = np.tanh(x)
        self._saved = y if mode.for_backward else None
        return y

    def backward(self, dy: FloatArray) -> FloatArray:
        y = self._take()
        dx: FloatArray = dy * (1 - y * y)
        return dx


class Sigmoid(Layer):
    """y = 1 / (1 + exp(−x)), and dx = dy · y · (1 − y)."""

    kind = "sigmoid"

    def forward(self, x: FloatArray, mode: Mode = INFERENCE) -> FloatArray:
        small = np.exp(-np.abs(x))  # never above 1, so nothing overflows
        y: FloatArray = np.where(x >= 0, 1 / (1 + small), small / (1 + small))
        self._saved = y if mode.for_backward else None
        return y

    def backward(self, dy: FloatArray) -> FloatArray:
        y = self._take()
        dx: FloatArray = dy * y * (1 - y)
        return dx
