"""Runs a network as its layers are written: one thread, one batch at a time, nothing fused."""

from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from cnncli.engine.executor import BatchResult, BatchSource, Key, check_finite, check_source, images_of
from cnncli.nn.losses import cross_entropy
from cnncli.optim.clipping import clip_gradients
from cnncli.randomness import stream
from cnncli.types import FloatArray, IntArray

if TYPE_CHECKING:
    from cnncli.engine.profile import Clock
    from cnncli.nn.network import Network
    from cnncli.optim.optimizers import Optimizer


class PlainExecutor:
    """The oracle of every faster executor: it calls the network's own forward and backward."""

    def __init__(self, network: "Network", *, clock: "Clock | None" = None) -> None:
        self._network = network
        self._clock = clock
        self._batches: BatchSource | None = None  # the last one that was found to fit

    @property
    def network(self) -> "Network":
        """The network whose parameters and buffers are read and written."""
        return self._network

    def forward(self, x: FloatArray) -> FloatArray:
        """Return the logits (N, K) of x (N, C, H, W) in evaluation mode."""
        return self._network.forward(self._cast(x), training=False)

    def loss_and_gradients(
        self, x: FloatArray, labels: IntArray, *, key: Key = (0, 1, 0), label_smoothing: float = 0.0
    ) -> BatchResult:
        """Run forward and backward in training mode; the gradients are left in `network.parameters.grads`.

        Args:
            x: (N, C, H, W), normalised.
            labels: (N,), class numbers.
            key: (seed, epoch, step), which names the random stream of dropout.
            label_smoothing: the share of every target spread evenly over the classes.
        """
        seed, epoch, step = key
        rng = stream(seed, "dropout", epoch, step)
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # a diverging batch is told by its loss, not by warnings
            if self._clock is None:
                loss, logits = self._network.loss_and_gradients(
                    self._cast(x), labels, rng=rng, label_smoothing=label_smoothing
                )
            else:
                loss, logits = self._timed(self._clock, self._cast(x), labels, rng, label_smoothing)
        return BatchResult(float(loss), int((logits.argmax(axis=1) == labels).sum()))

    def train_step(
        self,
        x: FloatArray,
        labels: IntArray,
        optimizer: "Optimizer",
        learning_rate: float,
        *,
        key: Key,
        label_smoothing: float = 0.0,
        max_gradient_norm: float | None = None,
    ) -> BatchResult:
        """Run one batch and update the parameters.

        Raises:
            DivergenceError: the loss or a gradient is not finite; the parameters are as they were.
        """
        result = self.loss_and_gradients(x, labels, key=key, label_smoothing=label_smoothing)
        parameters = self._network.parameters
        with np.errstate(over="ignore", invalid="ignore"):
            check_finite(result.loss, parameters)
        norm = None if max_gradient_norm is None else clip_gradients(parameters.grads, max_gradient_norm)
        optimizer.step(learning_rate)
        if self._clock is not None:
            self._clock.stop("optimizer")
        return BatchResult(result.loss, result.correct, norm)

    def train_batch(
        self,
        batches: BatchSource,
        optimizer: "Optimizer",
        learning_rate: float,
        *,
        key: Key,
        label_smoothing: float = 0.0,
        max_gradient_norm: float | None = None,
    ) -> BatchResult:
        """Prepare the batch that key names, and do what `train_step` does.

        Raises:
            DivergenceError: the loss or a gradient is not finite; the parameters are as they were.
            ModelError: the images or labels do not fit the network.
        """
        if batches is not self._batches:
            check_source(batches, self._network)
            self._batches = batches
        if self._clock is not None:
            self._clock.start()
        _, epoch, step = key
        count = images_of(batches, step)
        x = np.empty((count, *batches.input_shape), self._network.dtype)
        labels = np.empty(count, np.int64)
        batches.write(epoch, step, slice(0, count), x, labels)
        if self._clock is not None:
            self._clock.stop("prepare the batch")
        return self.train_step(
            x,
            labels,
            optimizer,
            learning_rate,
            key=key,
            label_smoothing=label_smoothing,
            max_gradient_norm=max_gradient_norm,
        )

    def _timed(
        self,
        clock: "Clock",
        x: FloatArray,
        labels: IntArray,
        rng: np.random.Generator,
        label_smoothing: float,
    ) -> tuple[float, FloatArray]:
        """Do what `Network.loss_and_gradients` does, taking the time of every layer."""
        layers = list(zip(self._network.names, self._network.layers, strict=True))
        clock.start()
        for name, layer in layers:
            x = layer.forward(x, training=True, rng=rng)
            clock.stop(name)
        loss, dy = cross_entropy(x, labels, label_smoothing)
        clock.stop("loss")
        for name, layer in reversed(layers):
            dy = layer.backward(dy)
            clock.stop(name, backward=True)
        return loss, x

    def close(self) -> None:
        """Nothing to give back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _cast(self, x: FloatArray) -> FloatArray:
        return np.asarray(x, dtype=self._network.dtype)
