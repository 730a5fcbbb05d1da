"""A layer and its place in the network, as a kernel sees it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cnncli.nn.layers import BatchNorm, Conv2D, Layer, ReLU
from cnncli.types import FloatArray, Shape


@dataclass(frozen=True)
class Node:
    """One layer and its place in the network.

    Attributes:
        index: its position in the network.
        name: its name in the network, such as "conv1".
        layer: the layer itself, which owns the parameters.
        input_shape: of one sample: (C, H, W) or (features,).
        output_shape: of one sample.
        folded: for inference, the BatchNorm that follows this layer and is folded into its weights.
        role: "layer", or for a residual block where it begins ("fork"), where its projection begins ("branch"), and
            its sum ("add").
        block: for these three the number of the block.
    """

    index: int
    name: str
    layer: Layer
    input_shape: Shape
    output_shape: Shape
    folded: BatchNorm | None = None
    role: Literal["layer", "fork", "branch", "add"] = "layer"
    block: int | None = None

    def has_bias(self) -> bool:
        """Return whether a bias is added to the products: the layer's own, or that of a folded BatchNorm."""
        return "bias" in self.layer.parameters or self.folded is not None

    def weight_and_bias(self) -> tuple[FloatArray, FloatArray]:
        """Return the weight and bias to apply, with the folded BatchNorm included.

        BatchNorm in inference is y = scale · z + shift with scale = gamma / sqrt(running_var + eps) and
        shift = beta - scale · running_mean. So conv(x, w) + b, normalized, is
        conv(x, scale · w) + (scale · b + shift).

        Returns:
            the weight as the layer stores it, and a bias (F,), zeros where the layer has none.
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


def dense_conv(layer: Layer) -> Conv2D | None:
    """Return a convolution in which every filter reads all channels and pixels next to each other, or None."""
    is_dense = isinstance(layer, Conv2D) and layer.groups == 1 and layer.dilation == (1, 1)
    return layer if is_dense else None  # type: ignore[return-value]


def count_with_relu(nodes: Sequence[Node]) -> int:
    """Return 2 if a ReLU follows the first node, else 1."""
    return 2 if len(nodes) > 1 and isinstance(nodes[1].layer, ReLU) else 1


def names_of(nodes: Sequence[Node]) -> str:
    """Return the covered layers in one line, such as "conv1 relu1 maxpool1"."""
    return " ".join(node.name + ("+batchnorm" if node.folded is not None else "") for node in nodes)
