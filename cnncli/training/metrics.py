"""What a classifier's answers are worth: the confusion matrix, and what is read off it."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cnncli.types import IntArray


class ClassMetrics(NamedTuple):
    """How one class fared.

    Attributes:
        precision: of the images given this class, the share that has it.
        recall: of the images of this class, the share that was given it.
        f1: the harmonic mean of the two.
        support: how many images have this class.
    """

    precision: float
    recall: float
    f1: float
    support: int


def confusion_matrix(labels: IntArray, predictions: IntArray, k: int) -> npt.NDArray[np.int64]:
    """Count how often each class was taken for each.

    Args:
        labels: (N,), the true classes, 0 to k - 1.
        predictions: (N,), the predicted classes, 0 to k - 1.
        k: the number of classes.

    Returns:
        (k, k): a row for each true class, a column for each predicted one.

    Example:
        >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 1, 0]), 2).tolist()
        [[1, 0], [1, 1]]
    """
    pairs = labels.astype(np.int64) * k + predictions
    return np.bincount(pairs, minlength=k * k).reshape(k, k).astype(np.int64)


def per_class(confusion: IntArray) -> list[ClassMetrics]:
    """Read precision, recall, F1 and support of every class off a confusion matrix; 0/0 counts as 0.

    Args:
        confusion: (K, K), rows true, columns predicted.
    """
    hits = np.diagonal(confusion)
    predicted, support = confusion.sum(axis=0), confusion.sum(axis=1)
    return [
        ClassMetrics(_share(h, p), _share(h, s), _share(2 * h, p + s), int(s))
        for h, p, s in zip(hits.tolist(), predicted.tolist(), support.tolist(), strict=True)
    ]


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
