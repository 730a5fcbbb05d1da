"""The confusion matrix, and the figures of each class."""

import numpy as np

from cnncli.training.metrics import ClassMetrics, confusion_matrix, per_class


def test_the_confusion_matrix_has_true_rows_and_predicted_columns() -> None:
    labels, predictions = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 0, 2])
    assert confusion_matrix(labels, predictions, 3).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 2]]


def test_every_pair_of_classes_is_counted_in_its_own_cell() -> None:
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, 7, 500), rng.integers(0, 7, 500)
    expected = np.zeros((7, 7), int)
    for label, prediction in zip(labels, predictions, strict=True):
        expected[label, prediction] += 1
    assert np.array_equal(confusion_matrix(labels.astype(np.uint8), predictions, 7), expected)


def test_precision_recall_and_f1_of_each_class() -> None:
    first, second, third = per_class(np.array([[1, 1, 0], [0, 1, 0], [1, 0, 2]]))
    assert first == ClassMetrics(precision=1 / 2, recall=1 / 2, f1=1 / 2, support=2)
    assert second == ClassMetrics(precision=1 / 2, recall=1.0, f1=2 / 3, support=1)
    assert third == ClassMetrics(precision=1.0, recall=2 / 3, f1=4 / 5, support=3)


def test_a_class_that_is_neither_there_nor_answered_counts_as_zero() -> None:
    assert per_class(np.array([[4, 0], [0, 0]]))[1] == ClassMetrics(0.0, 0.0, 0.0, 0)
