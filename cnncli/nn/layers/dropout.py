"""Dropout: sets random activations to zero in training, so that no output depends on a single one.

Derivation: docs/backward-passes.md#dropout.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from cnncli.options import real
from cnncli.types import FloatArray

from .base import INFERENCE, Layer, Mode


class Dropout(Layer):
    """Set each value to zero with probability `rate` in training, and scale the others by 1 / (1 − rate).

    The scaling keeps the expected value, so inference returns its input.

    Args:
        rate: the probability, from 0 up to but not including 1.

    Raises:
        ModelError: the rate is outside that range.

    Source: Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting (2014).
    """

    kind = "dropout"
    option_names: ClassVar[Mapping[str, str]] = {"rate": "rate"}
    main_option = "rate"

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = real("rate", rate, at_least=0, below=1)

    def forward(self, x: FloatArray, mode: Mode = INFERENCE) -> FloatArray:
        if not mode.training or self.rate == 0:
            self._saved = 1.0 if mode.for_backward else None
            return x
        if mode.rng is None:
            raise ValueError("dropout draws random numbers in training: pass rng=, a numpy.random.Generator")
        # drawn in float32 for any dtype of x, so that all dtypes get the same mask
        kept = mode.rng.random(x.shape, dtype=np.float32) >= self.rate
        mask = kept.astype(x.dtype)
        mask *= 1 / (1 - self.rate)
        self._saved = mask
        return x * mask

    def backward(self, dy: FloatArray) -> FloatArray:
        mask = self._take()
        dx: FloatArray = dy * mask
        return dx
