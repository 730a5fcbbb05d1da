"""Evaluates a network, or several as an ensemble, on labeled images.

Axis letters: N images, K classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnncli.batches.batches import to_input
from cnncli.errors import DataError
from cnncli.nn.losses import log_softmax
from cnncli.training.metrics import ClassMetrics, confusion_matrix, per_class
from cnncli.types import ByteArray, FloatArray, IntArray, MeanStd

if TYPE_CHECKING:
    from cnncli.engine import Executor


@dataclass(frozen=True)
class Evaluation:
    """How well a network or an ensemble classifies one set of images.

    Attributes:
        count: N, the number of images.
        loss: the mean cross-entropy, without label smoothing.
        accuracy: the share of images whose most probable class is their label.
        confusion: (K, K), a row for each true class, a column for each predicted one.
        per_class: precision, recall, F1 and support of each class.
        probabilities: (N, K) float32.
    """

    count: int
    loss: float
    accuracy: float
    confusion: npt.NDArray[np.int64]
    per_class: list[ClassMetrics]
    probabilities: FloatArray

    def __repr__(self) -> str:
        return f"Evaluation({self.accuracy:.2%} of {self.count:,} images right, loss {self.loss:.4f})"

    @property
    def predictions(self) -> IntArray:
        """The most probable class of each image, (N,); the first one on a tie."""
        classes: IntArray = self.probabilities.argmax(axis=1)
        return classes

    def to_json(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return count, accuracy, loss, per_class and confusion as plain numbers and lists."""
        return {
            "count": self.count,
            "accuracy": self.accuracy,
            "loss": self.loss,
            "per_class": [
                {"class": name, **metrics._asdict()}
                for name, metrics in zip(classes, self.per_class, strict=True)
            ],
            "confusion": self.confusion.tolist(),
        }


def evaluate(
    executors: "Executor | Sequence[Executor]",
    images: ByteArray,
    labels: IntArray,
    *,
    batch_size: int = 1000,
    normalize: MeanStd | list[MeanStd | None] | None = None,
    on_batch: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Classify images and compare with their labels; an ensemble answers with its members' mean probabilities.

    Args:
        executors: one, or one for each member of an ensemble.
        images: (N, H, W) or (N, H, W, C), uint8.
        labels: (N,), classes from 0.
        batch_size: images per forward pass.
        normalize: as in training, None for pixel / 255 alone; a list has one entry for each member.
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
    k = _number_of_classes(members, labels)
    n = len(images)
    probabilities = np.empty((n, k), np.float32)
    loss_sum = 0.0
    if on_batch is not None:
        on_batch(0, n)
    for start in range(0, n, batch_size):
        batch = slice(start, start + batch_size)
        y = labels[batch]
        member_log_p = [
            log_softmax(member.forward(to_input(images[batch], mean_std, member.network.dtype)))
            for member, mean_std in zip(members, normalize_each, strict=True)
        ]
        if len(members) == 1:
            log_p, p = member_log_p[0], np.exp(member_log_p[0])
        else:
            p = np.mean([np.exp(each) for each in member_log_p], axis=0)
            log_p = np.log(np.maximum(p, np.finfo(p.dtype).tiny))
        probabilities[batch] = p
        loss_sum -= float(log_p[np.arange(len(y)), y].sum(dtype=np.float64))
        if on_batch is not None:
            on_batch(min(batch.stop, n), n)
    confusion = confusion_matrix(labels, probabilities.argmax(axis=1), k)
    return Evaluation(
        count=n,
        loss=loss_sum / n,
        accuracy=int(np.trace(confusion)) / n,
        confusion=confusion,
        per_class=per_class(confusion),
        probabilities=probabilities,
    )


def _number_of_classes(members: "list[Executor]", labels: IntArray) -> int:
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
