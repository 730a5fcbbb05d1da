"""A layer in its place in the network, as a kernel sees it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnncli.nn.layers import BatchNorm, Layer
from cnncli.types import FloatArray, Shape


@dataclass(frozen=True)
class Node:
    """One layer in its place in the network.

    Attributes:
        index: its position in the network.
        name: its name in the network, such as "conv1".
        layer: the layer itself; its parameters are read where they are.
        input_shape: of one sample: (C, H, W) or (features,).
        output_shape: of one sample.
        folded: a BatchNorm that directly follows and, in inference, is part of this layer's weights.
    """

    index: int
    name: str
    layer: Layer
    input_shape: Shape
    output_shape: Shape
    folded: BatchNorm | None = None

    def has_bias(self) -> bool:
        """Return whether anything is added behind the products: the layer's bias, or a folded normalisation."""
        return "bias" in self.layer.parameters or self.folded is not None

    def weight_and_bias(self) -> tuple[FloatArray, FloatArray]:
        """Return the weights a kernel has to apply: the layer's, times the folded normalisation.

        BatchNorm in inference is y = scale · z + shift with scale = gamma / sqrt(running_var + eps) and
        shift = beta - scale · running_mean, so that
        conv(x, w) + b, normalised, is conv(x, scale · w) + (scale · b + shift).

        Returns:
            the weight in its canonical layout and a bias (F,), zeros where the layer has none.
        """
        weight = self.layer.parameters["weight"].value
        bias = self.layer.parameters.get("bias")
        filters = weight.shape[0]
        b = bias.value if bias is not None else np.zeros(filters, weight.dtype)
        if self.folded is None:
            return weight, b
        scale, shift = inference_affine(self.folded)
        return weight * scale.reshape(-1, *([1] * (weight.ndim - 1))), scale * b + shift


def inference_affine(norm: BatchNorm) -> tuple[FloatArray, FloatArray]:
    """Return (scale, shift), each (C,), of a BatchNorm in evaluation mode."""
    scale = norm.gamma / np.sqrt(norm.buffers["running_var"] + norm.eps)
    return scale, norm.beta - scale * norm.buffers["running_mean"]


def names_of(nodes: Sequence[Node]) -> str:
    """Return the covered layers in one line, such as "conv1 relu1 maxpool1"."""
    return " ".join(node.name + ("+batchnorm" if node.folded is not None else "") for node in nodes)
