"""Activation functions: the nonlinear layers, which work on each number by itself.

Derivations: docs/backward-passes.md#activations.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from cnncli.errors import ModelError
from cnncli.nn.normal import normal_cdf
from cnncli.nn.parameters import Parameter
from cnncli.options import choice, flag, integer, real
from cnncli.types import FloatArray, Shape

from .base import INFERENCE, ArrayView, Layer, Mode


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


class PReLU(Layer):
    """y = x where x > 0, else weight[c] · x, where the weight of each channel or feature c is learned.

    Args:
        channels: C, the length of the second axis of x.
        slope: the initial value of the weights.
        shared: whether all channels have one weight together.
        dtype: of the weight.

    Raises:
        ModelError: an argument is not valid.

    Source: He et al., Delving Deep into Rectifiers (2015), section 2.1.

    Example:
        >>> PReLU(2).forward(np.array([[1.0, -1.0]])).tolist()
        [[1.0, -0.25]]
    """

    kind = "prelu"
    option_names: ClassVar[Mapping[str, str]] = {"slope": "slope", "shared": "shared"}
    main_option = "slope"
    weight = ArrayView()

    def __init__(
        self,
        channels: int,
        slope: float = 0.25,
        shared: bool = False,
        *,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        self.channels = integer("channels", channels)
        self.slope = real("slope", slope, at_least=-10, at_most=10)
        self.shared = flag("shared", shared)
        shape = (1,) if self.shared else (self.channels,)
        # decay would pull the weights to 0, which is a ReLU
        start = partial(np.full, shape, self.slope, dtype)
        self.parameters["weight"] = Parameter.drawn(shape, dtype, start, decay=False)

    def forward(self, x: FloatArray, mode: Mode = INFERENCE) -> FloatArray:
        self._saved = x if mode.for_backward else None
        return np.where(x > 0, x, self._wide(x) * x)

    def backward(self, dy: FloatArray) -> FloatArray:
        x = self._take()
        dweight = (dy * np.minimum(x, 0)).sum(axis=(0, *range(2, x.ndim)))  # (C,)
        self.parameters["weight"].grad = dweight.sum(keepdims=True) if self.shared else dweight
        return np.where(x > 0, dy, self._wide(x) * dy)

    def _wide(self, x: FloatArray) -> FloatArray:
        """Return the weight with as many axes as x has behind that of the channels."""
        return self.weight.reshape(-1, *[1] * (x.ndim - 2))

    def output_shape(self, input_shape: Shape) -> Shape:
        if input_shape[0] != self.channels:
            raise ModelError(f"needs {self.channels} channels, but its input has shape {input_shape}")
        return input_shape

    @classmethod
    def context(cls, input_shape: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> dict[str, Any]:
        return {"channels": input_shape[0], "dtype": dtype}


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
        y = _sigmoid(x)
        self._saved = y if mode.for_backward else None
        return y

    def backward(self, dy: FloatArray) -> FloatArray:
        y = self._take()
        dx: FloatArray = dy * y * (1 - y)
        return dx


class SiLU(Layer):
    """y = x · σ(x) with the sigmoid σ, and dx = dy · σ(x) · (1 + x · (1 − σ(x))). It is also called Swish.

    Source: Elfwing et al., Sigmoid-Weighted Linear Units (2017), section 2.
    """

    kind = "silu"

    def forward(self, x: FloatArray, mode: Mode = INFERENCE) -> FloatArray:
        share = _sigmoid(x)
        self._saved = (x, share) if mode.for_backward else None
        return x * share

    def backward(self, dy: FloatArray) -> FloatArray:
        x, share = self._take()
        dx: FloatArray = dy * share * (1 + x * (1 - share))
        return dx


class GELU(Layer):
    """y = x · Φ(x), where Φ(x) is the share of a standard normal distribution below x, and dx = dy · (Φ(x) + x · φ(x)).

    Args:
        approximate: "none", or "tanh" for Φ(x) ≈ (1 + tanh(sqrt(2 / π) · (x + 0.044715 · x³))) / 2.

    Raises:
        ModelError: `approximate` is not valid.

    Source: Hendrycks and Gimpel, Gaussian Error Linear Units (2016), section 2.
    """

    kind = "gelu"
    option_names: ClassVar[Mapping[str, str]] = {"approximate": "approximate"}
    main_option = "approximate"

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = choice("approximate", approximate, ("none", "tanh"))

    def forward(self, x: FloatArray, mode: Mode = INFERENCE) -> FloatArray:
        if self.approximate == "none":
            share = normal_cdf(x)
            slope = np.exp(-x * x / 2) / math.sqrt(2 * math.pi) if mode.for_backward else None
        else:
            height = np.tanh(TANH_SCALE * (x + TANH_CUBE * x * x * x))
            share = (1 + height) / 2
            slope = (1 - height * height) / 2 * TANH_SCALE * (1 + 3 * TANH_CUBE * x * x)
        self._saved = (x, share, slope) if mode.for_backward else None
        y: FloatArray = x * share
        return y

    def backward(self, dy: FloatArray) -> FloatArray:
        x, share, slope = self._take()
        dx: FloatArray = dy * (share + x * slope)
        return dx


TANH_SCALE = math.sqrt(2 / math.pi)
TANH_CUBE = 0.044715


def _sigmoid(x: FloatArray) -> FloatArray:
    """Return 1 / (1 + exp(−x))."""
    small = np.exp(-np.abs(x))  # never above 1, so nothing overflows
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))
