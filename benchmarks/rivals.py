"""Builds the same networks in PyTorch from the same layer list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from cnncli.nn.layers import (
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dropout,
    Flatten,
    GlobalAvgPool,
    LeakyReLU,
    Linear,
    MaxPool2D,
    ReLU,
    Sigmoid,
    Tanh,
)
from cnncli.nn.network import Network


def torch_network(model: Sequence[tuple[str, Mapping[str, Any]]], shape: tuple[int, ...]) -> nn.Sequential:
    """Return PyTorch's version of a layer list for samples of this shape (C, H, W)."""
    import numpy as np

    from cnncli.nn.build import build_network

    ours = build_network([tuple(layer) for layer in model], shape, rng=np.random.default_rng(0))
    return nn.Sequential(*torch_layers(ours))


def torch_layers(network: Network) -> list[nn.Module]:
    """Return one module for each layer, two where PyTorch needs a separate padding layer."""
    modules: list[nn.Module] = []
    before = [network.input_shape, *network.shapes]
    for layer, given in zip(network.layers, before, strict=False):
        match layer:
            case Conv2D():
                (top, bottom), (left, right) = layer.pads(given)
                symmetric = top == bottom and left == right
                if not symmetric:
                    modules.append(nn.ZeroPad2d((left, right, top, bottom)))
                modules.append(
                    nn.Conv2d(
                        layer.in_channels,
                        layer.out_channels,
                        layer.kernel_size,
                        layer.stride,
                        (top, left) if symmetric else 0,
                        bias="bias" in layer.parameters,
                    )
                )
            case MaxPool2D():
                modules.append(nn.MaxPool2d(layer.pool_size, layer.stride, layer.padding))
            case AvgPool2D():
                modules.append(nn.AvgPool2d(layer.pool_size, layer.stride, layer.padding))
            case GlobalAvgPool():
                modules += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
            case Flatten():
                modules.append(nn.Flatten())
            case Linear():
                modules.append(nn.Linear(layer.in_features, layer.out_features, "bias" in layer.parameters))
            case BatchNorm():
                kind = nn.BatchNorm2d if len(given) == 3 else nn.BatchNorm1d
                modules.append(kind(layer.num_features, eps=layer.eps, momentum=layer.momentum))
            case Dropout():
                modules.append(nn.Dropout(layer.rate))
            case ReLU():
                modules.append(nn.ReLU())
            case LeakyReLU():
                modules.append(nn.LeakyReLU(layer.slope))
            case Tanh():
                modules.append(nn.Tanh())
            case Sigmoid():
                modules.append(nn.Sigmoid())
            case _:
                raise TypeError(f"no PyTorch counterpart is known for {layer.kind}")
    return modules
