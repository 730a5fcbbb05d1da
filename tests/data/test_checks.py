"""Unusual labels and pixels are named with the value that was found, and usual ones are not."""

import numpy as np
import pytest

from cnncli.data.checks import describe_normalize, describe_values
from cnncli.data.dataset import Dataset, Split, pixel_statistics


def digits(count=40):
    """Bright squares on black, in ten classes."""
    images = np.zeros((count, 12, 12), np.uint8)
    images[:, 4:8, 4:8] = 255
    return images


def dataset_of(images, labels=None):
    labels = np.arange(len(images)) % 10 if labels is None else np.asarray(labels)
    split = Split(images, labels.astype(np.int64))
    classes = tuple(map(str, range(labels.max() + 1)))
    return Dataset("folder:x", split, split, classes, *pixel_statistics(images))


def test_usual_values_need_no_word():
    assert describe_values(dataset_of(digits())) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x // 255, "the pixels are 0 and 1, usually they go from 0 to 255"),
        (lambda x: x // 16, "the pixels go from 0 to 15, usually from 0 to 255"),
        (lambda x: x // 4 + 128, "the pixels go from 128 to 191, usually from 0 to 255"),
        (lambda x: x * 0 + 7, "all pixels are 7"),
        (
            lambda x: 255 - x,
            "the images are dark on bright, mean 0.89; MNIST's are bright on dark, mean 0.13",
        ),
        (
            lambda x: np.where(np.arange(len(x))[:, None, None] % 4 == 0, 255 - x, x),
            "25 % of the images are dark on bright and the others bright on dark",
        ),
    ],
)
def test_a_wrong_scale_or_polarity_is_a_warning_with_the_value(change, words):
    found = describe_values(dataset_of(change(digits()).astype(np.uint8)))
    assert found and found[0].startswith("warning: ")
    assert any(words in text for text in found), found


def test_pictures_that_are_dark_on_bright_are_said_without_alarm():
    (text,) = describe_values(dataset_of(255 - digits()), of_pictures=True)
    assert text.startswith("the images are dark on bright")


def test_colours_have_no_polarity():
    assert describe_values(dataset_of(np.repeat((255 - digits())[..., None], 3, axis=3))) == []


def test_labels_that_start_at_1_are_said():
    (text,) = describe_values(dataset_of(digits(), np.arange(40) % 10 + 1))
    assert text == "the labels go from 1 to 10: there is no class 0, and the network needs 11 outputs"


def test_a_class_without_images_is_said():
    labels = np.arange(40) % 10
    labels[labels == 6] = 5
    assert describe_values(dataset_of(digits(), labels)) == ["no training image is of class 6"]


def test_a_set_of_test_images_alone_is_described_by_them():
    whole = dataset_of(255 - digits())
    empty = Split(whole.train.images[:0], whole.train.labels[:0])
    only_test = Dataset("x", empty, whole.test, whole.classes, whole.mean, whole.std)
    assert "dark on bright" in describe_values(only_test)[0]


MNIST_LIKE = Dataset(
    "mnist", Split(digits(), np.arange(40) % 10), Split(digits(), np.arange(40) % 10), ("0",), 0.1307, 0.3081
)


@pytest.mark.parametrize("normalize", [None, (0.1307, 0.3081), (0.5, 0.5), (0.0, 1.0), (0.2860, 0.3530)])
def test_usual_normalizations_need_no_word(normalize):
    assert describe_normalize(normalize, MNIST_LIKE) == []


@pytest.mark.parametrize("normalize", [(33.3, 78.6), (0.13, 78.6), (33.3, 0.3), (0.1307, 0.003), (-4.0, 0.3)])
def test_a_mean_or_deviation_of_another_scale_is_a_warning_with_the_usual_one(normalize):
    (text,) = describe_normalize(normalize, MNIST_LIKE)
    assert text.startswith(f"warning: data.normalize has mean {normalize[0]:g} and std {normalize[1]:g}")
    assert "mean 0.1307 and std 0.3081" in text
