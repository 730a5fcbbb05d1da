"""Weight averaging: the mean of recent weights is often more accurate than the last weights."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from cnncli.nn.network import Network
from cnncli.nn.parameters import check_arrays
from cnncli.optim.optimizers import CHUNK
from cnncli.options import build_entry, real
from cnncli.types import FloatArray


class ExponentialAverage:
    """An exponential moving average of all parameters and buffers.

    average += (1 - d) · (value - average),   d = min(decay, (1 + n) / (10 + n)) at the n-th update

    d is smaller in the first updates, so that the initial weights soon have no influence.

    Args:
        network: the network whose parameters and buffers are averaged.
        decay: the share of the average that each update keeps. 0.999 averages over about 1,000 steps.

    Source: Polyak and Juditsky, 1992. The growing decay is that of the moving average in TensorFlow 1.
    """

    def __init__(self, network: Network, *, decay: float = 0.999) -> None:
        self.network = network
        self.decay = real("decay", decay, at_least=0, below=1)
        self.update_count = 0
        self.values: FloatArray = network.parameters.values.copy()
        self.buffers = {name: buffer.copy() for name, buffer in network.buffers.items()}

    def update(self) -> None:
        """Add the network's current weights and buffers to the average."""
        self.update_count += 1
        keep = min(self.decay, (1 + self.update_count) / (10 + self.update_count))
        current = self.network.parameters.values
        for start in range(0, current.size, CHUNK):
            part = slice(start, start + CHUNK)
            difference = current[part] - self.values[part]
            difference *= 1 - keep
            self.values[part] += difference
        for name, buffer in self.buffers.items():
            buffer += (1 - keep) * (self.network.buffers[name] - buffer)

    @contextmanager
    def applied(self, network: Network) -> Iterator[None]:
        """Let the network have the averaged weights inside a `with` block, and its own weights afterwards."""
        own_values = network.parameters.values.copy()
        own_buffers = {name: buffer.copy() for name, buffer in network.buffers.items()}
        self._write(network, self.values, self.buffers)
        try:
            yield
        finally:
            self._write(network, own_values, own_buffers)

    @staticmethod
    def _write(network: Network, values: FloatArray, buffers: Mapping[str, FloatArray]) -> None:
        network.parameters.values[...] = values
        for name, buffer in buffers.items():
            network.buffers[name][...] = buffer

    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return copies under the names of the network, and the update count as a 0-d array."""
        flat = self.network.parameters
        arrays = {
            name: self.values[flat.slices[name]].reshape(parameter.shape).copy()
            for name, parameter in flat.named.items()
        }
        arrays |= {name: buffer.copy() for name, buffer in self.buffers.items()}
        return {**arrays, "update_count": np.array(self.update_count, dtype=np.int64)}

    def load_state_dict(self, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Load a saved average in place.

        Raises:
            CheckpointError: arrays are missing, not expected or of another shape. Nothing is changed then.
        """
        check_arrays("the average", self.state_dict(), arrays)
        flat = self.network.parameters
        for name in flat.named:
            self.values[flat.slices[name]] = arrays[name].ravel()
        for name, buffer in self.buffers.items():
            buffer[...] = arrays[name]
        self.update_count = int(arrays["update_count"])


AVERAGES: dict[str, Callable[..., ExponentialAverage]] = {"ema": ExponentialAverage}


def make_average(name: str, options: Mapping[str, Any], network: Network) -> ExponentialAverage:
    """Build an average by its name in a config.

    Raises:
        ModelError: the name, an option or a value is not valid. The key path is (option,).
    """
    return build_entry(AVERAGES, "average", name, options, network)


def averaged_weights(arrays: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of a saved average that belong to the network: all but the update count."""
    return {name: array for name, array in arrays.items() if name != "update_count"}
