"""Dropout: switch off random numbers in training, so that no output relies on a single one."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from cnncli.nn import checks
from cnncli.types import FloatArray

from .base import Layer


class Dropout(Layer):
    """Set each number to zero with probability `rate` in training, and scale the others by 1 / (1 − rate).

    So the expectation stays what it was, and evaluation has nothing to do.

    Args:
        rate: from 0 (nothing is dropped) up to but not including 1.

    Raises:
        ModelError: when the rate is outside that range.

    Source: Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting (2014).
    """

    kind = "dropout"
    option_names: ClassVar[Mapping[str, str]] = {"rate": "rate"}
    main_option = "rate"

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = checks.number("rate", rate, 0, 1, "a number from 0 up to but not including 1")

    def forward(
        self,
        x: FloatArray,
        *,
        training: bool = False,
        rng: np.random.Generator | None = None,
        keep: bool = False,
    ) -> FloatArray:
        if not training or self.rate == 0:
            self._saved = 1.0 if training or keep else None
            return x
        if rng is None:
            raise ValueError("dropout draws random numbers in training: pass rng=, a numpy.random.Generator")
        kept = (
            rng.random(x.shape, dtype=np.float32) >= self.rate
        )  # float32 for any x: the same mask for all dtypes
        mask = kept.astype(x.dtype)
        mask *= 1 / (1 - self.rate)
        self._saved = mask
        return x * mask

    def backward(self, dy: FloatArray) -> FloatArray:
        mask = self._take()
        dx: FloatArray = dy * mask
        return dx

    def options(self) -> dict[str, object]:
        return {"rate": self.rate}
