"""Evaluates a network, or several as an ensemble, on labeled images.

Axis letters: N images, K classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from cnncli.batches.views import Views
from cnncli.errors import DataError
from cnncli.nn.losses import log_softmax
from cnncli.training.calibration import (
    NOT_CALIBRATED,
    Calibration,
    calibration_error,
    evidence_of,
    with_temperature,
)
from cnncli.training.metrics import ClassMetrics, confusion_matrix, per_class
from cnncli.types import ByteArray, FloatArray, IntArray, MeanStd

if TYPE_CHECKING:
    from cnncli.nn.network import Network

_TINY = np.finfo(np.float32).tiny


class Forward(Protocol):
    """What an evaluation needs of an executor: the network, and its forward pass."""

    @property
    def network(self) -> "Network":
        """The network whose logits `forward` returns."""

    def forward(self, x: FloatArray) -> FloatArray:
        """Return the logits (N, K) of x (N, C, H, W) in evaluation mode."""


@dataclass(frozen=True)
class Evaluation:
    """How well a network or an ensemble classifies one set of images.

    Attributes:
        count: N, the number of images.
        loss: the mean cross-entropy, without label smoothing.
        accuracy: the share of images whose most probable class is their label.
        confusion: (K, K), a row for each true class, a column for each predicted one.
        per_class: precision, recall, F1 and support of each class.
        probabilities: (N, K) float32, with the temperature of the network if it has one.
        evidence: (N,) float32, from `calibration.evidence_of`; None for an ensemble.
        calibration_error: see `calibration.calibration_error`.
        unknown: the share of images that the network takes for no class; None without a threshold.
    """

    count: int
    loss: float
    accuracy: float
    confusion: npt.NDArray[np.int64]
    per_class: list[ClassMetrics]
    probabilities: FloatArray
    evidence: FloatArray | None = None
    calibration_error: float = 0.0
    unknown: float | None = None

    def __repr__(self) -> str:
        return f"Evaluation({100 * self.accuracy:.2f} % of {self.count:,} images right, loss {self.loss:.4f})"

    @property
    def predictions(self) -> IntArray:
        """The most probable class of each image, (N,); the first one on a tie."""
        classes: IntArray = self.probabilities.argmax(axis=1)
        return classes

    def to_json(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return the figures and the confusion matrix as plain numbers and lists."""
        return {
            "count": self.count,
            "accuracy": self.accuracy,
            "loss": self.loss,
            "calibration_error": self.calibration_error,
            "unknown": self.unknown,
            "per_class": [
                {"class": name, **metrics._asdict()}
                for name, metrics in zip(classes, self.per_class, strict=True)
            ],
            "confusion": self.confusion.tolist(),
        }


def evaluate(
    executors: Forward | Sequence[Forward],
    images: ByteArray,
    labels: IntArray,
    *,
    batch_size: int = 1000,
    normalize: MeanStd | list[MeanStd | None] | None = None,
    calibration: Calibration | list[Calibration] = NOT_CALIBRATED,
    views: "Views | list[Views] | None" = None,
    on_batch: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Classify images and compare with their labels; an ensemble answers with its members' mean probabilities.

    Args:
        executors: one, or one for each member of an ensemble.
        images: (N, H, W) or (N, H, W, C), uint8.
        labels: (N,), classes from 0.
        batch_size: images per forward pass.
        normalize: as in training, None for pixel / 255 alone; a list has one entry for each member.
        calibration: how the outputs of the network become probabilities; a list has one entry for each member. The
            loss is measured without it.
        views: of each image, whose probabilities are averaged like those of members; a list has one entry for each
            member. None for the images alone.
        on_batch: called with (images done, N) before the first batch and after each; it may raise to stop.

    Raises:
        DataError: there are no images, or the network has no output for a label.

    Example:
        >>> from cnncli import compile, load_dataset, load_model
        >>> model, test = load_model("runs/run-3"), load_dataset("synthetic").test
        >>> with compile(model.network) as executor:
        ...     evaluate(executor, test.images, test.labels, normalize=model.normalize).count
        1000
    """
    members = list(executors) if isinstance(executors, Sequence) else [executors]
    normalize_each = normalize if isinstance(normalize, list) else [normalize] * len(members)
    calibrations = calibration if isinstance(calibration, list) else [calibration] * len(members)
    views_each = views if isinstance(views, list) else [views or Views(1)] * len(members)
    alone = len(members) == 1 and views_each[0].count == 1
    k = _number_of_classes(members, labels)
    n = len(images)
    probabilities = np.empty((n, k), np.float32)
    evidence = np.empty(n, np.float32)
    loss_sum = 0.0
    if on_batch is not None:
        on_batch(0, n)
    for start in range(0, n, batch_size):
        batch = slice(start, start + batch_size)
        y = labels[batch]
        outputs = [
            (member.forward(x), each)
            for member, mean_std, shown, each in zip(
                members, normalize_each, views_each, calibrations, strict=True
            )
            for x in shown.of(images[batch], start, mean_std, member.network.dtype)
        ]
        if alone:
            [(logits, each)] = outputs
            log_p = log_softmax(logits)
            evidence[batch] = evidence_of(logits)
            probabilities[batch] = with_temperature(logits, each)
        else:
            probabilities[batch] = np.mean([with_temperature(*output) for output in outputs], axis=0)
            log_p = np.log(
                np.mean([np.exp(log_softmax(logits)) for logits, _ in outputs], axis=0).clip(_TINY)
            )
        loss_sum -= float(log_p[np.arange(len(y)), y].sum(dtype=np.float64))
        if on_batch is not None:
            on_batch(min(batch.stop, n), n)
    threshold = calibrations[0].unknown_threshold if alone else None
    confusion = confusion_matrix(labels, probabilities.argmax(axis=1), k)
    return Evaluation(
        count=n,
        loss=loss_sum / n,
        accuracy=int(np.trace(confusion)) / n,
        confusion=confusion,
        per_class=per_class(confusion),
        probabilities=probabilities,
        evidence=evidence if alone else None,
        calibration_error=calibration_error(probabilities, labels),
        unknown=None if threshold is None else float((evidence < threshold).mean()),
    )


def _number_of_classes(members: list[Forward], labels: IntArray) -> int:
    sizes = {member.network.output_shape[0] for member in members}
    if len(sizes) != 1:
        raise DataError(f"an ensemble needs members with the same classes, found {sorted(sizes)} outputs")
    k = sizes.pop()
    if len(labels) == 0:
        raise DataError("there are no images to evaluate on")
    if labels.min() < 0 or labels.max() >= k:
        raise DataError(
            f"the labels go from {labels.min()} to {labels.max()}, but the network has {k} outputs",
            hint="evaluate on a set with the classes it was trained on",
        )
    return k
