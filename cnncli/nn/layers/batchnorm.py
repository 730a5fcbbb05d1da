"""Batch normalization: keeps the values between layers at a steady mean and variance.

Derivation: docs/backward-passes.md#batch-normalization.

N batch, C channels (or features), H W image; M = N·H·W (or N) values of a channel in one batch.
"""

from collections.abc import Mapping
from functools import cached_property, partial
from math import prod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from cnncli.errors import ModelError
from cnncli.nn.parameters import Parameter
from cnncli.options import integer, real
from cnncli.types import FloatArray, Shape

from .base import INFERENCE, ArrayView, Layer, Mode


class BatchNorm(Layer):
    """Normalize each channel (or feature) to mean 0 and variance 1, then scale and shift it.

        y = gamma · (x − mean) / sqrt(variance + eps) + beta

    In training, mean and variance (biased) are those of the batch. The running statistics move towards them:
    running = (1 − momentum) · running + momentum · batch, with the unbiased variance, as in PyTorch. In
    inference, and in training if the layer is frozen, the running statistics are used. A batch with one value
    per channel has no variance: its output is beta, and the running statistics do not change.

    Args:
        num_features: C.
        momentum: how far the running statistics move per batch, from 0 to 1.
        eps: added to the variance, so that a constant channel causes no division by zero.
        dtype: of parameters and buffers.

    Raises:
        ModelError: an argument is not valid.

    Source: Ioffe and Szegedy, Batch Normalization (2015), algorithms 1 and 2.
    """

    kind = "batchnorm"
    per_sample = False
    option_names: ClassVar[Mapping[str, str]] = {"momentum": "momentum", "eps": "eps"}
    gamma, beta = ArrayView(), ArrayView()
    running_mean, running_var = ArrayView(), ArrayView()

    def __init__(
        self,
        num_features: int,
        momentum: float = 0.1,
        eps: float = 1e-5,
        *,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        self.num_features = integer("num_features", num_features)
        self.momentum = real("momentum", momentum, at_least=0, at_most=1)
        self.eps = real("eps", eps, above=1e-38, below=1)  # a smaller one is 0 in float32
        shape = (self.num_features,)
        ones, zeros = partial(np.ones, shape, dtype), partial(np.zeros, shape, dtype)
        self.parameters["gamma"] = Parameter.drawn(shape, dtype, ones, decay=False)
        self.parameters["beta"] = Parameter.drawn(shape, dtype, zeros, decay=False)

    @cached_property
    def buffers(self) -> dict[str, FloatArray]:
        # allocated on first use, like the parameters: a model that is refused takes no memory
        dtype = self.parameters["gamma"].dtype
        shape = (self.num_features,)
        return {"running_mean": np.zeros(shape, dtype), "running_var": np.ones(shape, dtype)}

    def forward(self, x: FloatArray, mode: Mode = INFERENCE) -> FloatArray:
        axes, wide = self._layout(x)
        training = mode.training and not self.frozen
        if training:
            mean = x.mean(axis=axes)
            normal = x - mean.reshape(wide)
            variance = (normal * normal).mean(axis=axes)
            self._update_running(mean, variance, M=x.size // self.num_features)
        else:
            mean, variance = self.running_mean, self.running_var
            normal = x - mean.reshape(wide)
        inverse_std = 1 / np.sqrt(variance + self.eps)
        normal *= inverse_std.reshape(wide)
        self._saved = (normal, inverse_std, training) if mode.for_backward else None
        y: FloatArray = normal * self.gamma.reshape(wide)
        y += self.beta.reshape(wide)
        return y

    def backward(self, dy: FloatArray) -> FloatArray:
        normal, inverse_std, training = self._take()
        axes, wide = self._layout(dy)
        M = dy.size // self.num_features
        dgamma, dbeta = (dy * normal).sum(axis=axes), dy.sum(axis=axes)
        self.parameters["gamma"].grad, self.parameters["beta"].grad = dgamma, dbeta
        dx = dy
        if training:  # mean and variance depend on x too: these are the two extra terms
            dx = dx - (dbeta / M).reshape(wide) - normal * (dgamma / M).reshape(wide)
        scaled: FloatArray = dx * (self.gamma * inverse_std).reshape(wide)
        return scaled

    def _layout(self, x: FloatArray) -> tuple[tuple[int, ...], Shape]:
        """Return the axes to average over, and the shape that broadcasts one value per channel over x."""
        if x.ndim == 4:
            return (0, 2, 3), (1, -1, 1, 1)
        return (0,), (1, -1)

    def _update_running(self, mean: FloatArray, variance: FloatArray, M: int) -> None:
        if M < 2:
            return
        self.running_mean += self.momentum * (mean - self.running_mean)
        self.running_var += self.momentum * (variance * (M / (M - 1)) - self.running_var)

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) not in (1, 3) or input_shape[0] != self.num_features:
            raise ModelError(f"needs {self.num_features} channels, but its input has shape {input_shape}")
        return input_shape

    def multiply_adds(self, input_shape: Shape) -> int:
        return prod(input_shape)  # one per value, with the four vectors folded into one scale and one shift

    @classmethod
    def context(cls, input_shape: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> dict[str, Any]:
        return {"num_features": input_shape[0], "dtype": dtype}
