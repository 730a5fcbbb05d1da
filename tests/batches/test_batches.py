"""Batches are fresh floats, and any tail of an epoch is the tail the whole epoch would have had."""

import itertools
import tracemalloc

import numpy as np
import pytest

from cnncli.batches.augment import AUGMENTATIONS, make_augmentation
from cnncli.batches.batches import Batches, Portion, to_input
from cnncli.errors import DataError


def numbered_set(count, shape=(28, 28)):
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
    return images, np.arange(count)


def jitter(images, rng):
    return np.clip(images + rng.normal(0, 0.1, images.shape).astype(images.dtype), 0, 1)


def test_bytes_become_pixels_over_255_with_a_channel_axis():
    images, _ = numbered_set(5)
    x = to_input(images)
    assert x.shape == (5, 1, 28, 28)
    assert x.dtype == np.float32
    np.testing.assert_allclose(x[:, 0], images / 255, rtol=1e-6)


def test_normalised_input_is_pixel_minus_mean_over_std():
    images, _ = numbered_set(5)
    expected = (images / 255 - 0.1307) / 0.3081
    np.testing.assert_allclose(to_input(images, (0.1307, 0.3081))[:, 0], expected, rtol=1e-5, atol=1e-6)


def test_colour_channels_move_to_the_front():
    images, _ = numbered_set(4, (6, 5, 3))
    x = to_input(images)
    assert x.shape == (4, 3, 6, 5)
    np.testing.assert_allclose(x[2, 1], images[2, :, :, 1] / 255, rtol=1e-6)


def test_float64_is_kept_when_asked_for():
    images, labels = numbered_set(4)
    batches = Batches(images, labels, batch_size=2, dtype=np.float64, augment=jitter, normalize=(0.1, 0.3))
    assert next(batches.epoch(1))[0].dtype == np.float64


@pytest.mark.parametrize("images", [np.zeros((2, 28, 28)), np.zeros((28, 28), np.uint8)])
def test_only_byte_images_are_taken(images):
    with pytest.raises(ValueError, match="uint8"):
        to_input(images)


def test_an_epoch_has_every_image_once_with_its_own_label():
    images, labels = numbered_set(23)
    seen = []
    for x, y in Batches(images, labels, batch_size=5, seed=7).epoch(1):
        np.testing.assert_array_equal(x, to_input(images[y]))
        seen.extend(y)
    assert sorted(seen) == list(range(23))
    assert seen != list(range(23))


def test_each_epoch_has_its_own_order_and_the_seed_repeats_it():
    images, labels = numbered_set(40)
    first = Batches(images, labels, batch_size=8, seed=7)
    again = Batches(images, labels, batch_size=8, seed=7)
    other = Batches(images, labels, batch_size=8, seed=8)
    np.testing.assert_array_equal(first.order(2), again.order(2))
    assert (first.order(1) != first.order(2)).any()
    assert (first.order(1) != other.order(1)).any()


@pytest.mark.parametrize("start", range(7))
def test_any_tail_of_an_epoch_is_exactly_the_tail_of_the_whole(start):
    images, labels = numbered_set(23)
    batches = Batches(images, labels, batch_size=4, seed=5, normalize=(0.13, 0.31), augment=jitter)
    whole = list(batches.epoch(3))
    tail = list(batches.epoch(3, start_step=start))
    assert len(tail) == len(whole) - start
    for (x, y), (whole_x, whole_y) in zip(tail, whole[start:], strict=True):
        np.testing.assert_array_equal(x, whole_x)
        np.testing.assert_array_equal(y, whole_y)


def test_augmentation_differs_from_step_to_step_and_epoch_to_epoch():
    images = np.full((4, 8, 8), 128, np.uint8)
    batches = Batches(images, np.zeros(4, np.int64), batch_size=2, augment=jitter)
    (a, _), (b, _) = batches.epoch(1)
    (c, _), _ = batches.epoch(2)
    assert (a != b).any()
    assert (a != c).any()


def test_normalisation_comes_after_the_augmentation():
    images, labels = numbered_set(6)
    batches = Batches(
        images, labels, batch_size=6, shuffle=False, normalize=(0.5, 0.25), augment=lambda x, rng: 0 * x
    )
    np.testing.assert_allclose(next(batches.epoch(1))[0], -2)


@pytest.mark.parametrize(
    ("count", "drop_last", "sizes"), [(10, False, [4, 4, 2]), (10, True, [4, 4]), (8, True, [4, 4])]
)
def test_length_counts_what_an_epoch_yields(count, drop_last, sizes):
    images, labels = numbered_set(count)
    batches = Batches(images, labels, batch_size=4, drop_last=drop_last)
    assert [len(y) for _, y in batches.epoch(1)] == sizes
    assert len(batches) == len(sizes)


def test_indices_choose_a_part_of_the_set_without_copying_it():
    images, labels = numbered_set(30)
    chosen = np.array([3, 9, 4, 27, 11])
    batches = Batches(images, labels, batch_size=2, indices=chosen)
    assert batches.images is images
    assert sorted(int(label) for _, y in batches.epoch(1) for label in y) == sorted(chosen)
    in_order = Batches(images, labels, batch_size=5, indices=chosen, shuffle=False)
    np.testing.assert_array_equal(next(in_order.epoch(1))[1], chosen)


def test_batches_do_not_share_memory_and_leave_the_set_alone():
    images, labels = numbered_set(8)
    before = images.copy()
    batches = list(Batches(images, labels, batch_size=4, shuffle=False).epoch(1))
    (x, y), (other, _) = batches
    assert not np.shares_memory(x, other)
    x[:], y[:] = 0, 0
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(labels, np.arange(8))


def test_memory_of_an_epoch_is_that_of_a_few_batches():
    images = np.zeros((20_000, 28, 28), np.uint8)
    batches = Batches(images, np.zeros(20_000, np.int64), batch_size=100)
    tracemalloc.start()
    for _ in batches.epoch(1):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 100 * 784 * 4


@pytest.mark.parametrize(("count", "drop_last"), [(0, False), (3, True)])
def test_a_set_without_one_batch_is_refused(count, drop_last):
    images, labels = numbered_set(count)
    with pytest.raises(DataError, match=f"{count} images do not make one batch of 4"):
        Batches(images, labels, batch_size=4, drop_last=drop_last)


def test_images_and_labels_must_be_as_many():
    images, labels = numbered_set(5)
    with pytest.raises(ValueError, match="5 images, but 4 labels"):
        Batches(images, labels[:4], batch_size=2)


@pytest.mark.parametrize("augment", [None, "chain"])
@pytest.mark.parametrize("normalize", [None, (0.13, 0.31)])
@pytest.mark.parametrize("cuts", [[0, 9], [0, 4, 9], [0, 1, 2, 8, 9]])
def test_the_parts_of_a_batch_make_up_the_whole(augment, normalize, cuts):
    images, labels = numbered_set(27, (11, 13))
    every_kind = [(kind, {}) for kind in AUGMENTATIONS]
    batches = Batches(
        images,
        labels,
        batch_size=9,
        seed=4,
        normalize=normalize,
        augment=make_augmentation(every_kind) if augment else None,
    )
    x, y = list(batches.epoch(2))[1]
    parts_x, parts_y = np.full_like(x, np.nan), np.full_like(y, -1)
    for start, stop in itertools.pairwise(cuts):
        part = slice(start, stop)
        batches.write(2, 1, part, parts_x[part], parts_y[part])
    np.testing.assert_allclose(parts_x, x, rtol=0, atol=1e-4)  # BLAS may round a smaller product another way
    np.testing.assert_array_equal(parts_y, y)


def test_parts_of_different_epochs_may_be_asked_for_in_any_order():
    images, labels = numbered_set(20)
    batches = Batches(images, labels, batch_size=5, seed=4)
    expected = {(e, s): y for e in (1, 2) for s, (_, y) in enumerate(batches.epoch(e))}
    x, y = np.empty((2, 1, 28, 28), np.float32), np.empty(2, np.int64)
    for epoch, step in [(1, 0), (2, 3), (1, 2), (2, 0)]:
        batches.write(epoch, step, slice(3, 5), x, y)
        np.testing.assert_array_equal(y, expected[epoch, step][3:])


def test_size_and_shape_tell_what_an_executor_has_to_make_room_for():
    images, labels = numbered_set(10, (6, 5, 3))
    batches = Batches(images, labels, batch_size=4)
    assert batches.input_shape == (3, 6, 5)
    assert [batches.size(step) for step in (-1, 0, 1, 2, 3)] == [0, 4, 4, 2, 0]
    full_ones = Batches(images, labels, batch_size=4, drop_last=True)
    assert [full_ones.size(step) for step in range(3)] == [4, 4, 0]


def portioned(shuffle: bool = True) -> Batches:
    """Ten images, of which an epoch has the first two once each, three of the next three, and five of the last five."""
    images, labels = np.zeros((10, 2, 2), np.uint8), np.arange(10)
    parts = [Portion(np.arange(2), 2), Portion(np.arange(2, 5), 7), Portion(np.arange(5, 10), 3)]
    return Batches(images, labels, batch_size=4, seed=3, indices=parts, shuffle=shuffle)


def test_an_epoch_of_portions_has_the_wanted_number_of_images_of_each() -> None:
    batches = portioned()
    assert batches.count == 12 and len(batches) == 3
    for epoch in (1, 2):
        times = np.bincount(batches.order(epoch), minlength=10)
        assert times[:2].tolist() == [1, 1]
        assert times[2:5].sum() == 7 and set(times[2:5]) == {2, 3}
        assert times[5:].sum() == 3 and set(times[5:]) == {0, 1}


def test_an_epoch_of_portions_depends_on_its_number_alone() -> None:
    first, again = portioned(), portioned()
    again.order(1)
    assert first.order(2).tolist() == again.order(2).tolist()
    assert sorted(first.order(2)) != sorted(first.order(1))
    y = np.concatenate([y for _, y in first.epoch(2)])
    assert y.tolist() == first.order(2).tolist()
    later = np.concatenate([y for _, y in portioned().epoch(2, start_step=1)])
    assert y[4:].tolist() == later.tolist()
