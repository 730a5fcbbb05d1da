"""Runs a network layer by layer and shows what each layer computes; one output at a time is in memory.

Axis letters: N images, D features.
"""

from collections.abc import Iterable, Iterator
from math import prod
from typing import NamedTuple

import numpy as np

from cnncli.errors import ModelError
from cnncli.nn.layers import INFERENCE, Conv2D, Linear
from cnncli.nn.network import Network
from cnncli.types import FloatArray

MEMORY = 64 << 20
"""The bytes that a batch takes at most, unless a single image takes more."""

MOST_AT_ONCE = 256


class LayerOutput(NamedTuple):
    """What one layer computes.

    Attributes:
        name: of the layer, such as "conv1".
        kind: of the layer, such as "conv".
        values: (N, *shape of its output), in the network's dtype. They may share memory with the output before.
    """

    name: str
    kind: str
    values: FloatArray


def layer_outputs(network: Network, x: FloatArray) -> Iterator[LayerOutput]:
    """Yield the output of every layer in order, as in inference.

    Args:
        network: any.
        x: (N, *input_shape), normalized.

    Raises:
        ModelError: the network takes inputs of another shape.

    Example:
        >>> from cnncli.nn.layers import Flatten, Linear
        >>> network = Network([Flatten(), Linear(64, 3)], (1, 8, 8))
        >>> [(each.name, each.values.shape) for each in layer_outputs(network, np.zeros((2, 1, 8, 8)))]
        [('flatten1', (2, 64)), ('linear1', (2, 3))]
    """
    x = as_batch(network, x)
    for name, layer in zip(network.names, network.layers, strict=True):
        with np.errstate(over="ignore", invalid="ignore"):
            x = layer.forward(x, INFERENCE)
        yield LayerOutput(name, layer.kind, x)


def as_batch(network: Network, x: FloatArray) -> FloatArray:
    """Return a batch in the network's dtype.

    Raises:
        ModelError: the network takes inputs of another shape.
    """
    x = np.asarray(x, network.dtype)
    if x.shape[1:] != network.input_shape:
        raise ModelError(f"the network takes samples of shape {network.input_shape}, not {x.shape[1:]}")
    return x


def images_at_once(network: Network, *, keep: bool = False) -> int:
    """Return how many images go through a network together within `MEMORY`, from 1 to `MOST_AT_ONCE`.

    Args:
        network: any.
        keep: whether a backward pass follows, which needs what every layer keeps.
    """
    shape, needs = network.input_shape, []
    for layer, output in zip(network.layers, network.shapes, strict=True):
        # a convolution copies each of its windows
        windows = layer.multiply_adds(shape) // output[0] if isinstance(layer, Conv2D) else 0
        needs.append(prod(shape) + prod(output) + windows)
        shape = output
    values = sum(needs) if keep else max(needs, default=1)
    return min(max(MEMORY // (values * network.dtype.itemsize), 1), MOST_AT_ONCE)


def last_linear(network: Network) -> int:
    """Return the index of the last linear layer, which reads the features; the number of layers if there is none.

    Example:
        >>> from cnncli.nn.layers import Flatten, Linear, ReLU
        >>> last_linear(Network([Flatten(), Linear(64, 16), ReLU(), Linear(16, 3)], (1, 8, 8)))
        3
    """
    linear = [index for index, layer in enumerate(network.layers) if isinstance(layer, Linear)]
    return linear[-1] if linear else len(network.layers)


def penultimate_features(network: Network, batches: Iterable[FloatArray]) -> FloatArray:
    """Return what the last linear layer reads: the description of each image from which the classes are told apart.

    Args:
        network: any. Without a linear layer the features are its outputs.
        batches: each (B, *input_shape), normalized.

    Returns:
        (N, D), the images of all batches in order.

    Example:
        >>> from cnncli.nn.layers import Flatten, Linear
        >>> network = Network([Flatten(), Linear(64, 16), Linear(16, 3)], (1, 8, 8))
        >>> penultimate_features(network, [np.zeros((2, 1, 8, 8)), np.zeros((1, 1, 8, 8))]).shape
        (3, 16)
    """
    last = last_linear(network)
    found = []
    for batch in batches:
        x = as_batch(network, batch)
        with np.errstate(over="ignore", invalid="ignore"):
            for layer in network.layers[:last]:
                x = layer.forward(x, INFERENCE)
        found.append(x.reshape(len(x), -1).copy())
    is_linear = last < len(network.layers)
    width = prod(network.layers[last].parameters["weight"].shape[1:] if is_linear else network.output_shape)
    return np.concatenate(found) if found else np.empty((0, width), network.dtype)
