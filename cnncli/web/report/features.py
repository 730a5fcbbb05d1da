"""Runs a network and keeps what its last linear layer reads, so that one pass over the images gives both."""

from copy import deepcopy
from typing import Self

import numpy as np

from cnncli.engine import compile
from cnncli.inside.activations import last_linear
from cnncli.nn.layers import INFERENCE
from cnncli.nn.network import Network
from cnncli.types import FloatArray


class FeatureExecutor:
    """Computes the logits of images in two parts: up to the features with the fast engine, the rest by plain layers.

    Args:
        network: any. Without a linear layer, or if it is the first layer, the features are the logits.
        batch_size: images in the largest batch.

    Example:
        >>> from cnncli.nn.layers import Flatten, Linear
        >>> network = Network([Flatten(), Linear(64, 16), Linear(16, 3)], (1, 8, 8))
        >>> with FeatureExecutor(network, 2) as executor:
        ...     executor.forward(np.zeros((2, 1, 8, 8), np.float32)).shape, executor.features().shape
        ((2, 3), (2, 16))
    """

    def __init__(self, network: Network, batch_size: int) -> None:
        self.network = network
        end = last_linear(network) or len(network.layers)
        self._rest = network.layers[end:]
        # copies: the parameters of a network are views into a vector of its own
        part = Network(deepcopy(network.layers[:end]), network.input_shape, network.dtype)
        self._executor = compile(part, batch_size=batch_size)
        self._features: list[FloatArray] = []

    def forward(self, x: FloatArray) -> FloatArray:
        """Return the logits (N, K) of x (N, C, H, W), and keep the features."""
        features = self._executor.forward(x)
        self._features.append(features.reshape(len(features), -1).copy())
        logits = features
        with np.errstate(over="ignore", invalid="ignore"):
            for layer in self._rest:
                logits = layer.forward(logits, INFERENCE)
        return logits

    def features(self) -> FloatArray:
        """Return the features of all images so far, (N, D)."""
        return np.concatenate(self._features)

    def close(self) -> None:
        """Release workers and memory."""
        self._executor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
