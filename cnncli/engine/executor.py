"""What every executor of a network promises, whatever runs it."""

from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

from cnncli.errors import DivergenceError, ModelError
from cnncli.types import FloatArray, IntArray, Shape

if TYPE_CHECKING:
    from cnncli.nn.network import Network
    from cnncli.nn.parameters import FlatParameters
    from cnncli.optim.optimizers import Optimizer

Key = tuple[int, int, int]
"""(seed, epoch, step): the place in a training that every random draw of a batch is a pure function of."""


class BatchResult(NamedTuple):
    """What one batch gave.

    Attributes:
        loss: the mean loss over the batch.
        correct: how many samples had their label as the highest logit.
        gradient_norm: the L2 norm of the whole gradient before clipping; None when nothing asked for it.
    """

    loss: float
    correct: int
    gradient_norm: float | None = None


class BatchSource(Protocol):
    """Batches that workers read by themselves, each its own part of one: `cnncli.batches.batches.Batches`.

    Workers may have copies of it, so once it is in use, nothing of it may change.
    """

    labels: IntArray
    batch_size: int

    @property
    def input_shape(self) -> Shape:
        """The shape (C, H, W) of one image."""

    def size(self, step: int) -> int:
        """Return how many images a step of an epoch has, 0 where there is no such step."""

    def write(self, epoch: int, step: int, part: slice, x: FloatArray, y: npt.NDArray[np.int64]) -> None:
        """Write a part of a batch to x (part, C, H, W) and y (part,), the same as in the whole, but for rounding."""


class Executor(Protocol):
    """Runs one network: the plain layers, or a compiled plan with the same parameters."""

    @property
    def network(self) -> "Network":
        """The network whose parameters and buffers are read and written."""

    def forward(self, x: FloatArray) -> FloatArray:
        """Return the logits (N, K) of x (N, C, H, W) in evaluation mode."""

    def loss_and_gradients(
        self, x: FloatArray, labels: IntArray, *, key: Key = (0, 1, 0), label_smoothing: float = 0.0
    ) -> BatchResult:
        """Run forward and backward in training mode; the gradients are left in `network.parameters.grads`."""

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
        """Do what `train_step` does, on the batch that key names; every worker prepares its part of it.

        Raises:
            DivergenceError: the loss or a gradient is not finite; the parameters are as they were.
            ModelError: the images or labels do not fit the network.
        """

    def close(self) -> None:
        """Give back workers and memory; the network stays usable."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


DIVERGENCE_HINT = (
    "a lower learning rate, warm-up epochs (train.warmup_epochs) or clipping (train.clip_norm) may help"
)


def check_finite(loss: float, parameters: "FlatParameters") -> None:
    """Raise DivergenceError when the loss or a gradient is not a finite number, naming the tensor.

    One dot product looks at every gradient; only when it is not finite are the tensors searched one by one,
    from the last layer to the first, the way a bad value travels in the backward pass.
    """
    if not np.isfinite(loss):
        raise DivergenceError(f"the loss is {loss}", hint=DIVERGENCE_HINT, tensor="loss")
    if np.isfinite(np.dot(parameters.grads, parameters.grads)):
        return
    for name, parameter in reversed(parameters.named.items()):
        if not np.isfinite(parameter.grad).all():
            raise DivergenceError(f"the gradient of {name} is not finite", hint=DIVERGENCE_HINT, tensor=name)


def images_of(batches: BatchSource, step: int) -> int:
    """Return how many images a step has; raise ModelError when it has none."""
    count = batches.size(step)
    if count < 1:
        raise ModelError(f"there is no step {step} in an epoch of these batches")
    return count


def check_source(batches: BatchSource, network: "Network") -> None:
    """Raise ModelError when a network cannot be trained on these batches."""
    if batches.input_shape != network.input_shape:
        raise ModelError(f"the network takes {network.input_shape}, found images of {batches.input_shape}")
    check_labels(batches.labels, network)


def check_labels(labels: IntArray, network: "Network") -> None:
    """Raise ModelError when there is a label that the network has no output for."""
    classes = network.output_shape[0]
    if labels.min() < 0 or labels.max() >= classes:
        raise ModelError(f"labels from {labels.min()} to {labels.max()} do not fit {classes} classes")
