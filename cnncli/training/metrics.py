"""Evaluates a classifier's predictions: the confusion matrix, and precision, recall and F1 from it."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cnncli.types import IntArray


class ClassMetrics(NamedTuple):
    """How well one class is recognized.

    Attributes:
        precision: of the images predicted as this class, the share that belongs to it.
        recall: of the images of this class, the share predicted as it.
        f1: the harmonic mean of the two.
        support: how many images have this class.
    """

    precision: float
    recall: float
    f1: float
    support: int


def confusion_matrix(labels: IntArray, predictions: IntArray, k: int) -> npt.NDArray[np.int64]:
    """Count how often each true class was predicted as each class.

    Args:
        labels: (N,), the true classes, 0 to k - 1.
        predictions: (N,), the predicted classes, 0 to k - 1.
        k: the number of classes.

    Returns:
        (k, k), a row for each true class, a column for each predicted one.

    Example:
        >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 1, 0]), 2).tolist()
        [[1, 0], [1, 1]]
    """
    pairs = labels.astype(np.int64) * k + predictions
    return np.bincount(pairs, minlength=k * k).reshape(k, k).astype(np.int64)


def per_class(confusion: IntArray) -> list[ClassMetrics]:
    """Return precision, recall, F1 and support of every class; 0/0 counts as 0.

    Args:
        confusion: (K, K), a row for each true class, a column for each predicted one.
    """
    correct = np.diagonal(confusion)
    predicted, support = confusion.sum(axis=0), confusion.sum(axis=1)
    return [
        ClassMetrics(_ratio(c, p), _ratio(c, s), _ratio(2 * c, p + s), int(s))
        for c, p, s in zip(correct.tolist(), predicted.tolist(), support.tolist(), strict=True)
    ]


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else 0.0
