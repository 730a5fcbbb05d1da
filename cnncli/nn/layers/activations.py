"""The nonlinear steps between the linear ones; each works on every number by itself."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from cnncli.nn import checks
from cnncli.types import FloatArray

from .base import Layer


class ReLU(Layer):
    """y = max(x, 0); the slope at 0 is taken as 0."""

    kind = "relu"

    def forward(
        self,
        x: FloatArray,
        *,
        training: bool = False,
        rng: np.random.Generator | None = None,
        keep: bool = False,
    ) -> FloatArray:
        y = np.maximum(x, 0)
        self._saved = y if training or keep else None  # y, not x: the next layer mostly keeps it too
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
        self.slope = checks.number("slope", slope, 0, 1, "a number from 0 up to but not including 1")

    def forward(
        self,
        x: FloatArray,
        *,
        training: bool = False,
        rng: np.random.Generator | None = None,
        keep: bool = False,
    ) -> FloatArray:
        self._saved = x > 0 if training or keep else None
        y: FloatArray = np.maximum(x, self.slope * x)  # slope < 1, so this is the larger of the two lines
        return y

    def backward(self, dy: FloatArray) -> FloatArray:
        positive = self._take()
        return np.where(positive, dy, self.slope * dy)

    def options(self) -> dict[str, object]:
        return {"slope": self.slope}


class Tanh(Layer):
    """y = tanh(x), and dx = dy · (1 − y²)."""

    kind = "tanh"

    def forward(
        self,
        x: FloatArray,
        *,
        training: bool = False,
        rng: np.random.Generator | None = None,
        keep: bool = False,
    ) -> FloatArray:
        y: FloatArray = np.tanh(x)
        self._saved = y if training or keep else None
        return y

    def backward(self, dy: FloatArray) -> FloatArray:
        y = self._take()
        dx: FloatArray = dy * (1 - y * y)
        return dx


class Sigmoid(Layer):
    """y = 1 / (1 + exp(−x)), and dx = dy · y · (1 − y)."""

    kind = "sigmoid"

    def forward(
        self,
        x: FloatArray,
        *,
        training: bool = False,
        rng: np.random.Generator | None = None,
        keep: bool = False,
    ) -> FloatArray:
        small = np.exp(-np.abs(x))  # never above 1, so nothing overflows
        y: FloatArray = np.where(x >= 0, 1 / (1 + small), small / (1 + small))
        self._saved = y if training or keep else None
        return y

    def backward(self, dy: FloatArray) -> FloatArray:
        y = self._take()
        dx: FloatArray = dy * y * (1 - y)
        return dx
