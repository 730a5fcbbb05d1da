"""Records what a training run has reached: after a step, after an epoch, and for a resume."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from cnncli.training.evaluate import Evaluation

HISTORY_ROWS = 1_000
"""How many rows of its history a saved state keeps at most."""


class StepRecord(NamedTuple):
    """The metrics after one training step.

    Attributes:
        epoch: from 1.
        step: steps done in this epoch, from 1 to `steps`.
        steps: steps per epoch.
        loss: the mean training loss of the epoch so far.
        accuracy: the training accuracy of the epoch so far.
        learning_rate: the learning rate of this step.
        images_per_second: the training speed in this epoch, without evaluation and saving; None if the clock has not
            moved yet.
        gradient_norm: the norm of the gradient before clipping; None without clipping.
    """

    epoch: int
    step: int
    steps: int
    loss: float
    accuracy: float
    learning_rate: float
    images_per_second: float | None
    gradient_norm: float | None = None


@dataclass(frozen=True)
class EpochRecord:
    """The metrics after one epoch and its evaluation: a row of metrics.csv.

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
        outliers: how many of them belong to no class; they do not count for the accuracy.
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
    outliers: int = 0
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
    def images_per_second(self) -> float | None:
        """The training speed over the whole training run; None if no step was timed."""
        return self.train_images / self.train_seconds if self.train_seconds else None

    @property
    def train_loss(self) -> float:
        """The mean training loss of this epoch so far."""
        return self.loss_sum / self.seen

    @property
    def train_accuracy(self) -> float:
        """The training accuracy of this epoch so far."""
        return self.correct / max(self.seen - self.outliers, 1)

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

    def add_step(self, loss: float, correct: int, count: int, seconds: float, outliers: int = 0) -> None:
        """Count one training step.

        Args:
            loss: the mean loss of its batch.
            correct: how many images of the batch were classified correctly.
            count: images in the batch.
            seconds: how long the step took.
            outliers: images of the batch that belong to no class.
        """
        self.loss_sum += loss * count
        self.correct += correct
        self.seen += count
        self.outliers += outliers
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
        self.loss_sum, self.correct, self.seen, self.outliers = 0.0, 0, 0, 0
        return record
