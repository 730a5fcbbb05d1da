"""The interface that every executor of a network implements, and the checks that all of them share."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

from cnncli.engine.profile import Clock
from cnncli.errors import DivergenceError, ModelError
from cnncli.nn.network import Network
from cnncli.nn.parameters import FlatParameters
from cnncli.optim.clipping import clip_gradients
from cnncli.optim.optimizers import Optimizer
from cnncli.types import OF_NO_CLASS, FloatArray, IntArray, Shape

Key = tuple[int, int, int]
"""(seed, epoch, step): every random draw for a batch is a pure function of these three."""


@dataclass(frozen=True)
class StepSettings:
    """The settings of one training step.

    Attributes:
        learning_rate: of this step.
        label_smoothing: the share of every target that is spread evenly over the classes.
        max_gradient_norm: the largest L2 norm of the whole gradient, which is scaled down to it; None for no limit.
    """

    learning_rate: float
    label_smoothing: float = 0.0
    max_gradient_norm: float | None = None


class BatchResult(NamedTuple):
    """The result of one batch.

    Attributes:
        loss: the mean loss over the batch.
        correct: the number of samples whose highest logit is that of their label.
        gradient_norm: the L2 norm of the whole gradient before clipping; None without clipping.
    """

    loss: float
    correct: int
    gradient_norm: float | None = None


class BatchSource(Protocol):
    """Batches that the workers prepare themselves, each its own part: `cnncli.batches.batches.Batches`.

    Forked workers have copies of it, so it must not change once it is in use.
    """

    labels: IntArray
    batch_size: int

    @property
    def input_shape(self) -> Shape:
        """The shape (C, H, W) of one image."""

    def size(self, step: int) -> int:
        """Return the number of images in a step of an epoch, 0 if there is no such step."""

    @property
    def has_targets(self) -> bool:
        """Whether the targets of a batch are more than its labels."""

    def write(
        self,
        epoch: int,
        step: int,
        part: slice,
        x: FloatArray,
        y: npt.NDArray[np.int64],
        targets: FloatArray | None = None,
    ) -> None:
        """Write a part of a batch to x (part, C, H, W), y (part,) and, if it has targets, targets (part, K).

        Every image is the same, up to rounding, as if the whole batch were written at once.
        """


class Executor(ABC):
    """Runs one network, by its plain layers or by a compiled plan over the same parameters.

    Args:
        network: whose parameters and buffers are read and written.
        clock: measures the parts of every training step.
    """

    def __init__(self, network: Network, clock: Clock | None = None) -> None:
        self.network = network
        self._clock = clock or Clock()

    @abstractmethod
    def forward(self, x: FloatArray) -> FloatArray:
        """Return the logits (N, K) of x (N, C, H, W) in evaluation mode."""

    @abstractmethod
    def loss_and_gradients(
        self,
        x: FloatArray,
        labels: IntArray,
        *,
        key: Key = (0, 1, 0),
        label_smoothing: float = 0.0,
        targets: FloatArray | None = None,
    ) -> BatchResult:
        """Run forward and backward in training mode; the gradients are left in `network.parameters.grads`.

        Args:
            x: (N, C, H, W), normalized.
            labels: (N,), class numbers.
            key: (seed, epoch, step), which names the random streams of dropout.
            label_smoothing: the share of every target that is spread evenly over the classes.
            targets: (N, K), which replace the labels in the loss; see `cross_entropy`.
        """

    @abstractmethod
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

    @abstractmethod
    def train_batch(
        self, batches: BatchSource, optimizer: Optimizer, settings: StepSettings, *, key: Key
    ) -> BatchResult:
        """Do the same as `train_step` for the batch that key names; every worker prepares its part of it.

        Raises:
            DivergenceError: the loss or a gradient is not finite; the parameters are unchanged.
            ModelError: the images or labels do not fit the network.
        """

    def close(self) -> None:  # noqa: B027 - the plain executor has nothing to release
        """Release workers and memory; the network stays usable."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _update_parameters(
        self, optimizer: Optimizer, settings: StepSettings, result: BatchResult
    ) -> BatchResult:
        """Clip the gradients, update all parameters, and return the result with the gradient norm.

        Raises:
            DivergenceError: the loss or a gradient is not finite; the parameters are unchanged.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            check_finite(result.loss, self.network.parameters)
        limit = settings.max_gradient_norm
        norm = None if limit is None else clip_gradients(self.network.parameters.grads, limit)
        optimizer.step(settings.learning_rate)
        return result._replace(gradient_norm=norm)

    def _images_in_step(self, batches: BatchSource, step: int) -> int:
        """Return how many images a step has; raise ModelError when it has none."""
        count = batches.size(step)
        if count < 1:
            raise ModelError(f"there is no step {step} in an epoch of these batches")
        return count

    def _check_source(self, batches: BatchSource) -> None:
        """Raise ModelError when the network cannot be trained on these batches."""
        taken = self.network.input_shape
        if batches.input_shape != taken:
            raise ModelError(f"the network takes {taken}, found images of {batches.input_shape}")
        self._check_labels(batches.labels)

    def _check_labels(self, labels: IntArray) -> None:
        """Raise ModelError when there is a label that the network has no output for."""
        classes = self.network.output_shape[0]
        if labels.min() < OF_NO_CLASS or labels.max() >= classes:
            raise ModelError(f"labels from {labels.min()} to {labels.max()} do not fit {classes} classes")


DIVERGENCE_HINT = (
    "a lower learning rate, warm-up epochs (train.warmup_epochs) or clipping (train.clip_norm) may help"
)


def check_finite(loss: float, parameters: FlatParameters) -> None:
    """Raise DivergenceError when the loss or a gradient is not a finite number, naming the tensor.

    One dot product covers all gradients. Only when it is not finite are the tensors searched one by one, from the
    last layer to the first, as a bad value travels in the backward pass.
    """
    if not np.isfinite(loss):
        raise DivergenceError(f"the loss is {loss}", hint=DIVERGENCE_HINT, tensor="loss")
    if np.isfinite(np.dot(parameters.grads, parameters.grads)):
        return
    for name, parameter in reversed(parameters.named.items()):
        if not np.isfinite(parameter.grad).all():
            raise DivergenceError(f"the gradient of {name} is not finite", hint=DIVERGENCE_HINT, tensor=name)
