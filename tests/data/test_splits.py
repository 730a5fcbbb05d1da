import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnncli.data.splits import stratified_split
from cnncli.errors import DataError, UsageError


def rng(seed=0):
    return np.random.default_rng(seed)


@given(
    labels=st.lists(st.integers(0, 6), min_size=2, max_size=200),
    seed=st.integers(0, 2**32),
    data=st.data(),
)
def test_a_split_is_exact_disjoint_sorted_complete_and_in_proportion(labels, seed, data):
    labels = np.array(labels)
    count = data.draw(st.integers(0, len(labels) - 1))
    train, validation = stratified_split(labels, count, rng(seed))
    assert len(validation) == count
    assert np.array_equal(np.sort(np.concatenate([train, validation])), np.arange(len(labels)))
    assert np.all(np.diff(train) > 0) and np.all(np.diff(validation) > 0)
    for label in np.unique(labels):
        share = count * np.mean(labels == label)
        assert abs(np.sum(labels[validation] == label) - share) < 1


def test_a_split_depends_on_the_seed_alone():
    labels = np.arange(1000) % 10
    first, again, other = (stratified_split(labels, 200, rng(seed))[1] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_every_sample_of_a_class_can_be_drawn():
    labels = np.zeros(20, dtype=np.int64)
    drawn = {int(i) for seed in range(60) for i in stratified_split(labels, 5, rng(seed))[1]}
    assert drawn == set(range(20))


def test_a_fraction_is_rounded_to_samples():
    labels = np.arange(1000) % 10
    assert len(stratified_split(labels, 0.1, rng())[1]) == 100
    assert len(stratified_split(labels, 0.1234, rng())[1]) == 123


@pytest.mark.parametrize(
    ("total", "count"), [(60_000, 5000), (50_000, 5000), (49_000, 4900), (480, 48), (12, 1), (2, 1), (1, 0)]
)
def test_auto_is_5000_or_a_tenth_of_a_smaller_set(total, count):
    assert len(stratified_split(np.arange(total) % 3, "auto", rng())[1]) == count


def test_auto_draws_the_same_samples_as_its_number():
    labels = np.arange(60_000) % 10
    assert np.array_equal(
        stratified_split(labels, "auto", rng())[1], stratified_split(labels, 5000, rng())[1]
    )


def test_zero_takes_no_sample():
    train, validation = stratified_split(np.arange(10), 0, rng())
    assert len(validation) == 0
    assert np.array_equal(train, np.arange(10))


@pytest.mark.parametrize(
    "count", [10, 11, -1, -0.5, 2.5, float("nan"), float("inf"), 0.001, 0.99, True, 10**30]
)
def test_impossible_sizes_are_refused(count):
    with pytest.raises(UsageError, match="validation part"):
        stratified_split(np.arange(10), count, rng())


def test_an_empty_set_is_refused():
    with pytest.raises(DataError, match="no images"):
        stratified_split(np.array([], dtype=np.int64), 1, rng())
