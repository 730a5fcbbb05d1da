"""Runs a network layer by layer, as its layers are written: one thread, nothing fused.

The calling process runs all lines of this file.
"""

import numpy as np

from cnncli.engine.executor import BatchResult, BatchSource, Executor, Key, StepSettings
from cnncli.engine.profile import Clock
from cnncli.nn.layers import Mode
from cnncli.nn.losses import cross_entropy
from cnncli.nn.network import Network
from cnncli.optim.optimizers import Optimizer
from cnncli.randomness import stream
from cnncli.types import FloatArray, IntArray


class PlainExecutor(Executor):
    """The reference for every faster executor: it calls the network's own forward and backward."""

    def __init__(self, network: Network, *, clock: Clock | None = None) -> None:
        super().__init__(network, clock)
        self._timed = clock is not None
        self._batches: BatchSource | None = None  # the last one that passed `_check_source`

    def forward(self, x: FloatArray) -> FloatArray:
        """Return the logits (N, K) of x (N, C, H, W) in evaluation mode."""
        return self.network.forward(x)

    def loss_and_gradients(
        self,
        x: FloatArray,
        labels: IntArray,
        *,
        key: Key = (0, 1, 0),
        label_smoothing: float = 0.0,
        targets: FloatArray | None = None,
    ) -> BatchResult:
        """Run forward and backward in training mode; see `Executor.loss_and_gradients`."""
        seed, epoch, step = key
        rng = stream(seed, "dropout", epoch, step)
        run = self._timed_loss_and_gradients if self._timed else self.network.loss_and_gradients
        # The loss reports a diverging batch, so NumPy need not warn about it.
        with np.errstate(over="ignore", invalid="ignore"):
            loss, logits = run(x, labels, rng=rng, label_smoothing=label_smoothing, targets=targets)
        self.network.parameters.clear_frozen(self.network.parameters.grads)
        return BatchResult(float(loss), int((logits.argmax(axis=1) == labels).sum()))

    def train_step(
        self,
        x: FloatArray,
        labels: IntArray,
        optimizer: Optimizer,
        settings: StepSettings,
        *,
        key: Key,
        targets: FloatArray | None = None,
    ) -> BatchResult:
        """Run one batch and update the parameters.

        Raises:
            DivergenceError: the loss or a gradient is not finite; the parameters are unchanged.
        """
        result = self.loss_and_gradients(
            x, labels, key=key, label_smoothing=settings.label_smoothing, targets=targets
        )
        result = self._update_parameters(optimizer, settings, result)
        self._clock.stop("optimizer")
        return result

    def train_batch(
        self, batches: BatchSource, optimizer: Optimizer, settings: StepSettings, *, key: Key
    ) -> BatchResult:
        """Prepare the batch that key names, and train on it with `train_step`.

        Raises:
            DivergenceError: the loss or a gradient is not finite; the parameters are unchanged.
            ModelError: the images or labels do not fit the network.
        """
        if batches is not self._batches:
            self._check_source(batches)
            self._batches = batches
        self._clock.start()
        _, epoch, step = key
        count = self._images_in_step(batches, step)
        x = np.empty((count, *batches.input_shape), self.network.dtype)
        labels = np.empty(count, np.int64)
        targets = np.empty((count, *self.network.output_shape), np.float32) if batches.has_targets else None
        batches.write(epoch, step, slice(0, count), x, labels, targets)
        self._clock.stop("prepare the batch")
        return self.train_step(x, labels, optimizer, settings, key=key, targets=targets)

    def _timed_loss_and_gradients(
        self,
        x: FloatArray,
        labels: IntArray,
        *,
        rng: np.random.Generator,
        label_smoothing: float,
        targets: FloatArray | None,
    ) -> tuple[float, FloatArray]:
        """Do the same as `Network.loss_and_gradients`, and measure the time of every layer."""
        layers = list(zip(self.network.names, self.network.layers, strict=True))
        mode = Mode(training=True, rng=rng)
        x = np.asarray(x, self.network.dtype)
        self._clock.start()
        for name, layer in layers:
            x = layer.forward(x, mode)
            self._clock.stop(name)
        loss, dy = cross_entropy(x, labels, label_smoothing, targets)
        self._clock.stop("loss")
        for name, layer in reversed(layers):
            dy = layer.backward(dy)
            self._clock.stop(name, backward=True)
        return loss, x
