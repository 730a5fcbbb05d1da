"""Targets are shares of classes; mixed images and their targets belong together, whoever prepares them."""

import numpy as np
import pytest

from cnncli.batches.augment import make_augmentation
from cnncli.batches.batches import Batches
from cnncli.batches.mixing import MIXINGS, make_mixing
from cnncli.batches.targets import TargetRule, balanced_weights
from cnncli.errors import ModelError

CLASSES = 5


def flat_set(count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Return images of one gray each, which tells their class: 50 times the label."""
    labels = np.arange(count) % CLASSES
    return np.broadcast_to((50 * labels)[:, None, None], (count, 8, 10)).astype(np.uint8), labels


def one_batch(rule: TargetRule | None, count: int = 40, part: slice | None = None, **options):
    images, labels = flat_set(count)
    batches = Batches(images, labels, batch_size=count, seed=3, targets=rule, **options)
    part = part or slice(0, count)
    size = part.stop - part.start
    x, y = np.empty((size, 1, 8, 10), np.float32), np.empty(size, np.int64)
    targets = np.empty((size, CLASSES), np.float32)
    batches.write(1, 0, part, x, y, targets if rule else None)
    return x, y, targets


@pytest.mark.parametrize("kind", MIXINGS)
def test_the_gray_of_a_mixed_image_is_that_of_its_target(kind: str) -> None:
    x, y, targets = one_batch(TargetRule(CLASSES, make_mixing(kind, {"alpha": 1.0, "chance": 1.0})))
    grays = 50 / 255 * np.arange(CLASSES)
    np.testing.assert_allclose(x.mean(axis=(1, 2, 3)), targets @ grays, atol=1e-5)
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
    assert (targets.max(axis=1) < 0.999).mean() > 0.4
    # the label is that of the larger share
    np.testing.assert_array_equal(targets[np.arange(len(y)), y], targets.max(axis=1))


def test_cutmix_pastes_whole_pixels_in_one_rectangle() -> None:
    x, _, _ = one_batch(TargetRule(CLASSES, make_mixing("cutmix", {"chance": 1.0})))
    for image in x[:, 0]:
        grays = np.unique(image)
        assert len(grays) <= 2
        inside = image == grays[-1]
        if len(grays) == 2 and not any(
            mask[np.ix_(mask.any(axis=1), mask.any(axis=0))].all() for mask in (inside, ~inside)
        ):
            pytest.fail("what was pasted is no rectangle")


@pytest.mark.parametrize("kind", MIXINGS)
def test_chance_says_how_many_are_mixed(kind: str) -> None:
    for chance, expected in ((0.0, 0), (0.3, 0.3)):
        rule = TargetRule(CLASSES, make_mixing(kind, {"alpha": 1.0, "chance": chance}))
        _, _, targets = one_batch(rule, count=2000)
        # a fifth of the partners is of the same class
        assert (targets.max(axis=1) < 0.9999).mean() == pytest.approx(0.8 * expected, abs=0.06)


@pytest.mark.parametrize("kind", MIXINGS)
def test_parts_of_a_batch_are_those_of_the_whole(kind: str) -> None:
    rule = TargetRule(CLASSES, make_mixing(kind, {"alpha": 0.7, "chance": 0.8}))
    options = {"augment": make_augmentation([("affine", {})]), "normalize": (0.1, 0.3)}
    whole = one_batch(rule, **options)
    for part in (slice(0, 13), slice(13, 40)):
        for found, expected in zip(one_batch(rule, part=part, **options), whole, strict=True):
            np.testing.assert_allclose(found, expected[part], atol=1e-5)


def test_weights_and_teachers_change_the_targets_and_not_the_images() -> None:
    teacher = np.full((40, CLASSES), 0.2, np.float32)
    weights = np.array([1, 2, 3, 4, 5.0])
    x, y, targets = one_batch(TargetRule(CLASSES, weights=weights, teacher=teacher, teacher_share=0.5))
    np.testing.assert_allclose(targets, weights * (0.5 * np.eye(CLASSES)[y] + 0.1), rtol=1e-6)
    np.testing.assert_array_equal(x, one_batch(None)[0])


def test_balanced_weights_give_each_class_the_same_part() -> None:
    labels = np.array([0] * 6 + [1] * 3 + [3] + [-1] * 4)
    weights = balanced_weights(labels, 4)
    parts = np.bincount(labels[:10], weights[labels[:10]], 4)
    np.testing.assert_allclose(parts, [10 / 3, 10 / 3, 0, 10 / 3])
    assert weights[2] == 1


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [("mixup", {"alpha": 0}, "above 0"), ("cutmix", {"chance": 2}, "chance"), ("cutup", {}, "cutmix")],
)
def test_wrong_options_are_refused(kind: str, options: dict, said: str) -> None:
    with pytest.raises(ModelError) as caught:
        make_mixing(kind, options)
    assert said in f"{caught.value.message} {caught.value.hint}"
