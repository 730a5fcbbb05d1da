"""The training loop, as a generator: between two records its caller can draw, save or stop."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from cnncli.batches.batches import Batches
from cnncli.engine.executor import StepSettings
from cnncli.errors import DivergenceError
from cnncli.optim.averaging import ExponentialAverage
from cnncli.optim.optimizers import Optimizer
from cnncli.optim.schedules import Schedule

if TYPE_CHECKING:
    from cnncli.engine import Executor
    from cnncli.training.evaluate import Evaluation

HISTORY_ROWS = 1_000
"""How many rows of its history a saved state keeps at most."""


class StepRecord(NamedTuple):
    """The figures after one training step.

    Attributes:
        epoch: from 1.
        step: steps done in this epoch, from 1 to `steps`.
        steps: steps per epoch.
        loss: the mean training loss of the epoch so far.
        accuracy: the training accuracy of the epoch so far.
        learning_rate: the learning rate of this step.
        images_per_second: the training speed in this epoch, without evaluation and saving.
        gradient_norm: the norm of the gradient before clipping; None without clipping.
    """

    epoch: int
    step: int
    steps: int
    loss: float
    accuracy: float
    learning_rate: float
    images_per_second: float
    gradient_norm: float | None = None


@dataclass(frozen=True)
class EpochRecord:
    """The figures after one epoch and its evaluation: a row of metrics.csv.

    Attributes:
        epoch: from 1.
        step: steps done since the start of the training run.
        time_s: seconds since the start, without the time between an interruption and a resume.
        lr: the learning rate of the last step.
        train_loss: the mean over the training images as the network saw them, augmented and with dropout.
        train_accuracy: the accuracy on the same images.
        val_loss: the loss on the validation images; None when there are none.
        val_accuracy: the accuracy on the validation images; None when there are none.
        best: whether this epoch is better than all before it.
    """

    epoch: int
    step: int
    time_s: float
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    best: bool

    def row(self) -> dict[str, Any]:
        """Return the columns of metrics.csv."""
        columns = asdict(self)
        del columns["best"]
        return columns


@dataclass
class TrainingState:
    """How far a training run has come.

    With the arrays of network, optimizer and average, this is all that a resume needs.

    Attributes:
        epoch: the current epoch, from 1; one more than the last epoch when all are done.
        step: steps done in this epoch.
        global_step: steps done in all.
        loss_sum, correct, seen: sums over the images of this epoch so far.
        best_epoch, best_accuracy, best_loss: the best epoch so far by validation.
        waited: epochs since the best one.
        history: a row of metrics.csv for each finished epoch.
        elapsed: seconds in all.
        train_seconds, train_images: the time in training steps alone, and the images trained on in that time.
    """

    epoch: int = 1
    step: int = 0
    global_step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seen: int = 0
    best_epoch: int | None = None
    best_accuracy: float | None = None
    best_loss: float | None = None
    waited: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    elapsed: float = 0.0
    train_seconds: float = 0.0
    train_images: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain numbers, lists and dicts; floats keep every bit through JSON.

        Only the last HISTORY_ROWS rows of the history are kept; metrics.csv has the others.
        """
        return {**vars(self), "history": [dict(row) for row in self.history[-HISTORY_ROWS:]]}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "TrainingState":
        """Rebuild a state from `to_json`."""
        return cls(**fields)

    def best(self) -> dict[str, Any] | None:
        """Return epoch, accuracy and loss of the best epoch so far, None before the first one."""
        if self.best_epoch is None:
            return None
        return {"epoch": self.best_epoch, "val_accuracy": self.best_accuracy, "val_loss": self.best_loss}

    @property
    def images_per_second(self) -> float:
        """The training speed over the whole training run."""
        return self.train_images / self.train_seconds if self.train_seconds else 0.0

    @property
    def train_loss(self) -> float:
        """The mean training loss of this epoch so far."""
        return self.loss_sum / self.seen

    @property
    def train_accuracy(self) -> float:
        """The training accuracy of this epoch so far."""
        return self.correct / self.seen

    def finished(self, epochs: int, patience: int | None = None) -> bool:
        """Tell whether there is nothing left to train."""
        return self.epoch > epochs or self.stopped_early(patience)

    def stopped_early(self, patience: int | None) -> bool:
        """Tell whether validation has not improved for `patience` epochs."""
        return patience is not None and self.waited >= patience

    def is_better(self, accuracy: float | None, loss: float | None) -> bool:
        """Tell whether an epoch beats the best so far: by validation accuracy, then by the lower loss.

        Without validation every epoch is better, so that the last one counts.
        """
        if self.best_accuracy is None or accuracy is None:
            return True
        if accuracy != self.best_accuracy:
            return accuracy > self.best_accuracy
        return loss is not None and self.best_loss is not None and loss < self.best_loss

    def add_step(self, loss: float, correct: int, count: int, seconds: float) -> None:
        """Count one training step.

        Args:
            loss: the mean loss of its batch.
            correct: how many images of the batch were classified correctly.
            count: images in the batch.
            seconds: how long the step took.
        """
        self.loss_sum += loss * count
        self.correct += correct
        self.seen += count
        self.train_images += count
        self.train_seconds += seconds
        self.step += 1
        self.global_step += 1

    def finish_epoch(self, learning_rate: float, evaluation: "Evaluation | None") -> EpochRecord:
        """Go on to the next epoch, and return the record of this one.

        Args:
            learning_rate: of the epoch's last step.
            evaluation: on the validation images; None when there are none.
        """
        accuracy = evaluation.accuracy if evaluation else None
        loss = evaluation.loss if evaluation else None
        best = self.is_better(accuracy, loss)
        record = EpochRecord(
            epoch=self.epoch,
            step=self.global_step,
            time_s=self.elapsed,
            lr=learning_rate,
            train_loss=self.train_loss,
            train_accuracy=self.train_accuracy,
            val_loss=loss,
            val_accuracy=accuracy,
            best=best,
        )
        if best:
            self.best_epoch, self.best_accuracy, self.best_loss = self.epoch, accuracy, loss
            self.waited = 0
        else:
            self.waited += 1
        self.history.append(record.row())
        self.epoch += 1
        self.step = 0
        self.loss_sum, self.correct, self.seen = 0.0, 0, 0
        return record


def fit(
    executor: "Executor",
    batches: Batches,
    optimizer: Optimizer,
    schedule: Schedule,
    *,
    epochs: int,
    seed: int = 0,
    state: TrainingState | None = None,
    validate: "Callable[[], Evaluation] | None" = None,
    label_smoothing: float = 0.0,
    clip_norm: float | None = None,
    average: ExponentialAverage | None = None,
    patience: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[StepRecord | EpochRecord]:
    """Train, and yield a record after each step and after each epoch.

    At every yield `state` and the arrays of network, optimizer and average belong together. A later call with both of
    them reaches the same bits as an uninterrupted one: every random draw depends on (seed, epoch, step) alone, and
    the state holds the rest.

    Args:
        executor: runs the network that is trained.
        batches: the training images.
        optimizer: changes the network's parameters.
        schedule: returns the learning rate of a global step.
        epochs: the total, including the epochs that the state has done already.
        seed: of the random streams of dropout.
        state: where to continue; None to start. It is updated in place.
        validate: called after each epoch, with the averaged weights in the network when there is an average.
        label_smoothing: the share of every target that is spread evenly over the classes.
        clip_norm: the largest allowed norm of the gradient; None for no limit.
        average: updated after every step.
        patience: stop after this many epochs without a better validation result; None to never stop early.
        clock: returns seconds; only differences count.

    Raises:
        DivergenceError: the loss or a gradient is not finite; the message names epoch, step and
            tensor. The parameters are those of the step before.

    Example:
        >>> import numpy as np
        >>> from cnncli import compile, load_model
        >>> from cnncli.optim import Adam
        >>> executor = compile(load_model("runs/run-3").network)
        >>> batches = Batches(np.zeros((20, 28, 28), np.uint8), np.zeros(20, np.int64), batch_size=10, seed=1)
        >>> adam = Adam(executor.network.parameters)
        >>> for record in fit(executor, batches, adam, lambda step: 1e-3, epochs=1):
        ...     print(type(record).__name__)
        StepRecord
        StepRecord
        EpochRecord
        >>> executor.close()
    """
    state = TrainingState() if state is None else state
    steps = len(batches)
    begin = clock() - state.elapsed
    while not state.finished(epochs, patience):
        # After a resume there may be no step left in this epoch; its last learning rate is still reported.
        learning_rate = schedule(max(state.global_step - 1, 0))
        images_before, seconds_before = state.train_images, state.train_seconds
        while state.step < steps:
            started = clock()
            count = batches.size(state.step)
            learning_rate = schedule(state.global_step)
            try:
                # Batch, forward pass, loss, backward pass and optimizer step. Only the key (seed, epoch, step) goes to
                # the workers: each one prepares the images of its own shards from it.
                loss, correct, norm = executor.train_batch(
                    batches,
                    optimizer,
                    StepSettings(learning_rate, label_smoothing, clip_norm),
                    key=(seed, state.epoch, state.step),
                )
            except DivergenceError as error:
                where = f"epoch {state.epoch}, step {state.step + 1} of {steps}"
                raise DivergenceError(f"{where}: {error.message}", error.hint, error.tensor) from error
            if average is not None:
                average.update()
            now = clock()
            state.add_step(loss, correct, count, now - started)
            state.elapsed = now - begin
            seconds = state.train_seconds - seconds_before
            yield StepRecord(
                epoch=state.epoch,
                step=state.step,
                steps=steps,
                loss=state.train_loss,
                accuracy=state.train_accuracy,
                learning_rate=learning_rate,
                images_per_second=(state.train_images - images_before) / seconds if seconds > 0 else 0.0,
                gradient_norm=norm,
            )
        evaluation = _evaluate(executor, average, validate)
        state.elapsed = clock() - begin
        yield state.finish_epoch(learning_rate, evaluation)


def _evaluate(
    executor: "Executor",
    average: ExponentialAverage | None,
    validate: "Callable[[], Evaluation] | None",
) -> "Evaluation | None":
    if validate is None:
        return None
    if average is None:
        return validate()
    with average.applied(executor.network):
        return validate()
