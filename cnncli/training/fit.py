"""The training loop, as a generator: whoever runs it draws, saves and stops between the records it yields."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from cnncli.batches.batches import Batches
from cnncli.errors import DivergenceError
from cnncli.optim.averaging import ExponentialAverage
from cnncli.optim.optimizers import Optimizer
from cnncli.optim.schedules import Schedule

if TYPE_CHECKING:
    from cnncli.engine import Executor
    from cnncli.training.evaluate import Evaluation

HISTORY_ROWS = 1_000  # of a saved state, so that its size is bounded


class StepRecord(NamedTuple):
    """One batch is done.

    Attributes:
        epoch: from 1.
        step: batches done in this epoch, from 1 to `steps`.
        steps: batches an epoch.
        loss: the mean training loss of the epoch so far.
        accuracy: the training accuracy of the epoch so far.
        learning_rate: of this step.
        images_per_second: training speed in this epoch; evaluation and saving are not counted.
        gradient_norm: before clipping; None without clipping.
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
    """One epoch is done and evaluated: a row of metrics.csv.

    Attributes:
        epoch: from 1.
        step: batches done since the start of the training.
        time_s: seconds since the start, pauses between interrupted parts not counted.
        lr: the learning rate of the last step.
        train_loss: mean over the epoch's batches, as they were seen in training (augmented, with dropout).
        train_accuracy: likewise.
        val_loss: on the validation images; None when there are none.
        val_accuracy: likewise.
        best: no epoch before was better.
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
    """Where a training stands: with the arrays of network, optimizer and average, everything a resume needs.

    Attributes:
        epoch: the one under way, from 1; one more than the last one when all are done.
        step: batches done in it.
        global_step: batches done in all.
        loss_sum, correct, seen: running sums over the epoch's batches.
        best_epoch, best_accuracy, best_loss: the best epoch so far by validation.
        waited: epochs since then.
        history: a row of metrics.csv for each finished epoch.
        elapsed: seconds in all.
        train_seconds, train_images: time spent in training steps alone, and what it was spent on.
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

        Of a very long history only the last rows are kept: the others are in metrics.csv.
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
        """Training speed over the whole training."""
        return self.train_images / self.train_seconds if self.train_seconds else 0.0

    def finished(self, epochs: int, patience: int | None = None) -> bool:
        """Tell whether there is nothing left to train."""
        return self.epoch > epochs or self.stopped_early(patience)

    def stopped_early(self, patience: int | None) -> bool:
        """Tell whether validation has not improved for `patience` epochs."""
        return patience is not None and self.waited >= patience

    def is_better(self, accuracy: float | None, loss: float | None) -> bool:
        """Tell whether an epoch beats the best so far: by validation accuracy, then by the lower loss.

        Without validation every epoch does, so that the last one counts.
        """
        if self.best_accuracy is None or accuracy is None:
            return True
        if accuracy != self.best_accuracy:
            return accuracy > self.best_accuracy
        return loss is not None and self.best_loss is not None and loss < self.best_loss


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
    """Train, yielding a record after each batch and after each epoch.

    At every yield `state` and the arrays agree, so saving both there makes a point from which a later
    call goes on to the same bits: every random draw is a function of (seed, epoch, step), and the rest is
    in the state.

    Args:
        executor: runs the network that is trained.
        batches: the training images.
        optimizer: over the network's parameters.
        schedule: from the global step to the learning rate.
        epochs: the total, including those that the state has behind it.
        seed: names the random streams of dropout.
        state: where to go on; None to start. It is kept up to date in place.
        validate: called after each epoch, with the averaged weights in place when there is an average.
        label_smoothing: the share of every target spread evenly over the classes.
        clip_norm: the longest allowed gradient; None for no limit.
        average: updated after every batch.
        patience: stop after this many epochs without a better validation; None to never stop early.
        clock: gives seconds; only differences count.

    Raises:
        DivergenceError: the loss or a gradient is not finite; names epoch, step and tensor. The parameters
            are those of the step before.

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
        learning_rate = schedule(
            max(state.global_step - 1, 0)
        )  # of the last step, when only evaluation is left
        epoch_images, epoch_seconds = 0, 0.0
        while state.step < steps:
            started = clock()
            count = batches.size(state.step)
            learning_rate = schedule(state.global_step)
            try:
                loss, correct, norm = executor.train_batch(
                    batches,
                    optimizer,
                    learning_rate,
                    key=(seed, state.epoch, state.step),
                    label_smoothing=label_smoothing,
                    max_gradient_norm=clip_norm,
                )
            except DivergenceError as error:
                place = f"epoch {state.epoch}, step {state.step + 1} of {steps}"
                raise DivergenceError(f"{place}: {error.message}", error.hint, error.tensor) from error
            if average is not None:
                average.update()
            now = clock()
            epoch_images += count
            epoch_seconds += now - started
            state.loss_sum += loss * count
            state.correct += correct
            state.seen += count
            state.train_images += count
            state.train_seconds += now - started
            state.step += 1
            state.global_step += 1
            state.elapsed = now - begin
            yield StepRecord(
                epoch=state.epoch,
                step=state.step,
                steps=steps,
                loss=state.loss_sum / state.seen,
                accuracy=state.correct / state.seen,
                learning_rate=learning_rate,
                images_per_second=epoch_images / epoch_seconds if epoch_seconds > 0 else 0.0,
                gradient_norm=norm,
            )
        evaluation = _evaluate(executor, average, validate)
        state.elapsed = clock() - begin
        yield _finish_epoch(state, learning_rate, evaluation)


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


def _finish_epoch(state: TrainingState, learning_rate: float, evaluation: "Evaluation | None") -> EpochRecord:
    """Move the state on to the next epoch and return the record of this one."""
    accuracy = evaluation.accuracy if evaluation else None
    loss = evaluation.loss if evaluation else None
    best = state.is_better(accuracy, loss)
    record = EpochRecord(
        epoch=state.epoch,
        step=state.global_step,
        time_s=state.elapsed,
        lr=learning_rate,
        train_loss=state.loss_sum / state.seen,
        train_accuracy=state.correct / state.seen,
        val_loss=loss,
        val_accuracy=accuracy,
        best=best,
    )
    if best:
        state.best_epoch, state.best_accuracy, state.best_loss = state.epoch, accuracy, loss
        state.waited = 0
    else:
        state.waited += 1
    state.history.append(record.row())
    state.epoch += 1
    state.step = 0
    state.loss_sum, state.correct, state.seen = 0.0, 0, 0
    return record
