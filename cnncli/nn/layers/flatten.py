"""Flatten: from images to vectors.

Derivation: docs/backward-passes.md#flatten.
"""

from math import prod

from cnncli.types import FloatArray, Shape

from .base import INFERENCE, Layer, Mode


class Flatten(Layer):
    """Reshape each sample to one vector, in row-major order: (C, H, W) -> (C·H·W,)."""

    kind = "flatten"

    def forward(self, x: FloatArray, mode: Mode = INFERENCE) -> FloatArray:
        self._saved = x.shape if mode.for_backward else None
        return x.reshape(len(x), prod(x.shape[1:]))

    def backward(self, dy: FloatArray) -> FloatArray:
        return dy.reshape(self._take())

    def output_shape(self, input_shape: Shape) -> Shape:
        return (prod(input_shape),)

    def window(self) -> None:
        return None
