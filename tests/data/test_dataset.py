"""Labels follow the names of classes from one data set to another network."""

import numpy as np
import pytest

from cnncli.data.dataset import Dataset, Split
from cnncli.errors import DataError


def dataset_of(classes, labels, validation=None):
    def split(values):
        return Split(np.zeros((len(values), 4, 4), np.uint8), np.array(values, np.int64))

    held_out = None if validation is None else split(validation)
    return Dataset("folder:x", split(labels), split(labels[:1]), classes, 0.0, 1.0, validation=held_out)


def test_labels_are_changed_to_the_classes_with_the_same_names():
    found = dataset_of(("cat", "owl"), [0, 1, 1], validation=[1]).with_classes(("ant", "cat", "dog", "owl"))
    assert found.classes == ("ant", "cat", "dog", "owl")
    assert found.train.labels.tolist() == [1, 3, 3]
    assert found.test.labels.tolist() == [1]
    assert found.validation.labels.tolist() == [3]


def test_the_same_names_in_another_order_are_matched():
    assert dataset_of(("b", "a"), [0, 1]).with_classes(("a", "b")).train.labels.tolist() == [1, 0]


def test_the_same_classes_change_nothing():
    dataset = dataset_of(("a", "b"), [0, 1])
    assert dataset.with_classes(("a", "b")) is dataset


def test_as_many_classes_with_other_names_keep_their_labels():
    dataset = dataset_of(("0", "1"), [0, 1])
    assert dataset.with_classes(("zero", "one")) is dataset


@pytest.mark.parametrize("classes", [("a", "b"), ("a", "b", "d"), ("x", "y", "z", "w")])
def test_a_class_that_the_network_does_not_know_is_named(classes):
    with pytest.raises(DataError, match="and the network knows"):
        dataset_of(("a", "b", "c"), [0, 1, 2]).with_classes(classes)
