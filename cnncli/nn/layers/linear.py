"""The linear (dense, fully connected) layer: every output depends on every input.

Derivation: docs/backward-passes.md#linear.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from cnncli.errors import ModelError
from cnncli.nn.initializers import weight_and_bias
from cnncli.options import integer
from cnncli.types import FloatArray, Shape

from .base import INFERENCE, ArrayView, Layer, Mode


class Linear(Layer):
    """y = x · weightᵀ + bias.

    Args:
        in_features: length of the input vector.
        out_features: length of the output vector.
        bias: whether each output has a bias.
        init: how the weights are initialized: "he" or "glorot".
        rng: the generator for the initial weights; None for a fresh one.
        dtype: of the parameters.

    Raises:
        ModelError: an argument is not valid.

    Example:
        >>> sum(p.size for p in Linear(784, 100).parameters.values())
        78500
    """

    kind = "linear"
    option_names: ClassVar[Mapping[str, str]] = {"units": "out_features", "bias": "bias", "init": "init"}
    main_option = "units"
    weight, bias = ArrayView(), ArrayView()

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        init: str = "he",
        *,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        self.in_features = integer("in_features", in_features)
        self.out_features = integer("units", out_features)
        self.init = init
        self.parameters = weight_and_bias((self.out_features, self.in_features), init, bias, rng, dtype)

    def forward(self, x: FloatArray, mode: Mode = INFERENCE) -> FloatArray:
        y: FloatArray = x @ self.weight.T  # (N, in) · (in, out) -> (N, out)
        if "bias" in self.parameters:
            y += self.bias
        self._saved = x if mode.for_backward else None
        return y

    def backward(self, dy: FloatArray) -> FloatArray:
        x = self._take()
        np.matmul(dy.T, x, out=self.parameters["weight"].grad)  # (out, N) · (N, in) -> (out, in)
        if "bias" in self.parameters:
            dy.sum(axis=0, out=self.parameters["bias"].grad)
        dx: FloatArray = dy @ self.weight  # (N, out) · (out, in) -> (N, in)
        return dx

    def output_shape(self, input_shape: Shape) -> Shape:
        check_vector(input_shape)
        if input_shape[0] != self.in_features:
            raise ModelError(f"needs {self.in_features} numbers, but its input has shape {input_shape}")
        return (self.out_features,)

    def multiply_adds(self, input_shape: Shape) -> int:
        return self.in_features * self.out_features

    def window(self) -> None:
        return None

    def options(self) -> dict[str, object]:
        return {"units": self.out_features, "bias": "bias" in self.parameters, "init": self.init}

    @classmethod
    def context(cls, input_shape: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> dict[str, Any]:
        check_vector(input_shape)
        return {"in_features": input_shape[0], "rng": rng, "dtype": dtype}


def check_vector(input_shape: Shape) -> None:
    """Raise a ModelError when a shape is not that of a vector, (features,)."""
    if len(input_shape) != 1:
        found = f"needs a vector, but its input has shape {input_shape}"
        raise ModelError(found, "put flatten or globalavgpool before it")
