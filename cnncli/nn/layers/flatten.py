"""The step from images to vectors."""

from math import prod

import numpy as np

from cnncli.types import FloatArray, Shape

from .base import Layer


class Flatten(Layer):
    """Lay out each sample as one vector, in row-major order: (C, H, W) -> (C·H·W,)."""

    kind = "flatten"

    def forward(
        self,
        x: FloatArray,
        *,
        training: bool = False,
        rng: np.random.Generator | None = None,
        keep: bool = False,
    ) -> FloatArray:
        self._saved = x.shape if training or keep else None
        return x.reshape(len(x), prod(x.shape[1:]))

    def backward(self, dy: FloatArray) -> FloatArray:
        return dy.reshape(self._take())

    def output_shape(self, input_shape: Shape) -> Shape:
        return (prod(input_shape),)

    def window(self) -> None:
        return None
