"""Weight averaging: the mean of recent weights is often more accurate than the last weights."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from cnncli.nn.network import Network
from cnncli.nn.parameters import check_arrays
from cnncli.optim.optimizers import CHUNK
from cnncli.options import build_entry, real
from cnncli.types import FloatArray


class Average(ABC):
    """A running average of all parameters and buffers: average += (1 - d) · (value - average) after every step.

    Args:
        network: the network whose parameters and buffers are averaged.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.update_count = 0
        self.values: FloatArray = network.parameters.values.copy()
        self.buffers = {name: buffer.copy() for name, buffer in network.buffers.items()}

    @abstractmethod
    def kept_share(self, update: int) -> float:
        """Return d, the share of the average that the n-th update keeps, n counted from 1."""

    def update(self) -> None:
        """Add the network's current weights and buffers to the average."""
        self.update_count += 1
        keep = self.kept_share(self.update_count)
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


class ExponentialAverage(Average):
    """An exponential moving average: d = min(decay, (1 + n) / (10 + n)) at the n-th update.

    d is smaller in the first updates, so that the initial weights soon have no influence.

    Args:
        network: the network whose parameters and buffers are averaged.
        total_steps: not used; all averages are built alike.
        decay: the share of the average that each update keeps. 0.999 averages over about 1,000 steps.

    Source: Polyak and Juditsky, 1992. The growing decay is that of the moving average in TensorFlow 1.
    """

    def __init__(self, network: Network, total_steps: int = 0, *, decay: float = 0.999) -> None:
        super().__init__(network)
        self.decay = real("decay", decay, at_least=0, below=1)

    def kept_share(self, update: int) -> float:
        """Return d, the share of the average that the n-th update keeps."""
        return min(self.decay, (1 + update) / (10 + update))


class StochasticAverage(Average):
    """The plain mean of the weights after each of the last steps (SWA); before those it is the current weights.

    The running statistics of BatchNorm are averaged like the weights. They change little over these steps, so that
    another pass over the training images gives about the same.

    Args:
        network: the network whose parameters and buffers are averaged.
        total_steps: of the whole training run.
        start: the share of the steps after which the mean begins.

    Source: Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization (2018).
    """

    def __init__(self, network: Network, total_steps: int, *, start: float = 0.75) -> None:
        super().__init__(network)
        self.start = real("start", start, at_least=0, below=1)
        self._steps_before = int(self.start * total_steps)

    def kept_share(self, update: int) -> float:
        """Return d, the share of the average that the n-th update keeps."""
        number = max(update - self._steps_before, 1)
        return 1 - 1 / number


AVERAGES: dict[str, Callable[..., Average]] = {"ema": ExponentialAverage, "swa": StochasticAverage}


def make_average(name: str, options: Mapping[str, Any], network: Network, total_steps: int) -> Average:
    """Build an average by its name in a config.

    Args:
        name: of `AVERAGES`.
        options: of the average.
        network: the network whose weights are averaged.
        total_steps: of the whole training run.

    Raises:
        ModelError: the name, an option or a value is not valid. The key path is (option,).
    """
    return build_entry(AVERAGES, "average", name, options, network, total_steps)


def averaged_weights(arrays: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of a saved average that belong to the network: all but the update count."""
    return {name: array for name, array in arrays.items() if name != "update_count"}
