"""The loss: against loops over single numbers, and for logits where a naive formula overflows."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cnncli.errors import ModelError
from cnncli.nn import accuracy, cross_entropy, log_softmax, softmax
from tests.nn import naive


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7, 1.0])
@pytest.mark.parametrize("scale", [0.01, 1, 30, 1e4])
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 3), (3, 10), (5, 7), (9, 26)], ids=str)
def test_cross_entropy_is_what_plain_loops_give(
    shape: tuple[int, int], scale: float, smoothing: float
) -> None:
    rng = np.random.default_rng(0)
    logits, labels = scale * rng.uniform(-1, 1, shape), rng.integers(0, shape[1], shape[0])
    loss, dlogits = cross_entropy(logits, labels, smoothing)
    want, want_gradient = naive.cross_entropy(logits, labels, smoothing)
    assert loss == pytest.approx(want, rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(dlogits, want_gradient, rtol=0, atol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_targets_of_one_class_with_a_weight_are_weighted_labels(smoothing: float) -> None:
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(6, 4)), rng.integers(0, 4, 6)
    weights = rng.uniform(0.2, 3, 6)
    loss, dlogits = cross_entropy(logits, labels, smoothing, weights[:, None] * np.eye(4)[labels])
    single = [naive.cross_entropy(logits[[i]], labels[[i]], smoothing) for i in range(6)]
    assert loss == pytest.approx(np.mean([w * each for w, (each, _) in zip(weights, single, strict=True)]))
    np.testing.assert_allclose(
        dlogits, [w * each[0] / 6 for w, (_, each) in zip(weights, single, strict=True)], atol=1e-12
    )


def test_the_gradient_of_any_targets_is_that_of_the_loss() -> None:
    rng = np.random.default_rng(2)
    logits, targets, labels = rng.normal(size=(3, 5)), rng.uniform(0, 1, (3, 5)), np.zeros(3, np.int64)
    _, dlogits = cross_entropy(logits, labels, 0.1, targets)
    for place in np.ndindex(logits.shape):
        step = np.zeros_like(logits)
        step[place] = 1e-6
        up, down = (cross_entropy(logits + sign * step, labels, 0.1, targets)[0] for sign in (1, -1))
        assert dlogits[place] == pytest.approx((up - down) / 2e-6, abs=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logits_of_ten_thousand_are_no_trouble(dtype: type) -> None:
    logits = np.array([[1e4, -1e4, 0], [-1e4, 1e4, 0], [1e4, 1e4, -1e4]], dtype)
    loss, dlogits = cross_entropy(logits, np.array([1, 1, 0]))
    assert loss == pytest.approx((2e4 + 0 + np.log(2)) / 3, rel=1e-6)
    np.testing.assert_allclose(dlogits * 3, [[1, -1, 0], [0, 0, 0], [-0.5, 0.5, 0]], atol=1e-6)
    np.testing.assert_allclose(softmax(logits), [[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0]], atol=1e-6)
    assert log_softmax(logits)[0].tolist() == [0, -2e4, -1e4]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_stays_what_it_is(dtype: type) -> None:
    logits = np.ones((4, 3), dtype)
    loss, dlogits = cross_entropy(logits, np.array([0, 1, 2, 0]), 0.1)
    assert type(loss) is float
    assert dlogits.dtype == softmax(logits).dtype == log_softmax(logits).dtype == dtype


def test_loss_of_a_network_that_knows_nothing_is_the_logarithm_of_the_classes() -> None:
    loss, _ = cross_entropy(np.zeros((5, 10)), np.arange(5))
    assert loss == pytest.approx(np.log(10))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_target_of_a_sample_of_no_class_is_the_same_for_every_class(smoothing: float) -> None:
    logits = np.random.default_rng(0).normal(size=(4, 5))
    loss, dlogits = cross_entropy(logits, np.array([2, -1, 0, -1]), smoothing)
    known = np.array([0, 2])
    own_loss, own_gradient = cross_entropy(logits[known], np.array([2, 0]), smoothing)
    spread_loss, spread_gradient = cross_entropy(logits[[1, 3]], np.zeros(2, int), 1.0)
    assert loss == pytest.approx((own_loss + spread_loss) / 2)
    np.testing.assert_allclose(dlogits[known], own_gradient / 2, atol=1e-15)
    np.testing.assert_allclose(dlogits[[1, 3]], spread_gradient / 2, atol=1e-15)


def test_full_smoothing_does_not_look_at_the_labels() -> None:
    logits = np.random.default_rng(0).normal(size=(4, 5))
    one, other = (cross_entropy(logits, np.array(labels), 1.0) for labels in ([0, 1, 2, 3], [4, 4, 4, 4]))
    assert one[0] == pytest.approx(other[0])
    np.testing.assert_allclose(one[1], other[1], atol=1e-15)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_not_finite_gives_a_loss_that_is_not(bad: float) -> None:
    logits = np.zeros((2, 3))
    logits[1] = bad
    assert not np.isfinite(cross_entropy(logits, np.array([0, 1]))[0])


@pytest.mark.parametrize(("labels", "named"), [([0, 10], 10), ([-2, 3], -2), ([46, 2], 46)])
def test_a_label_without_a_logit_is_refused(labels: list[int], named: int) -> None:
    with pytest.raises(ModelError, match=f"has 10 outputs, but a label is {named}$"):
        cross_entropy(np.zeros((2, 10)), np.array(labels))


def test_accuracy_is_the_share_of_largest_logits_at_the_label() -> None:
    logits = np.array([[1, 3, 2], [9, 1, 1], [0, 0, 5], [2, 1, 0.0]])
    assert accuracy(logits, np.array([1, 0, 0, 0])) == 0.75


LOGITS = arrays.arrays(np.float64, (3, 4), elements=st.floats(-1e4, 1e4))


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(LOGITS, st.floats(-1e3, 1e3))
def test_probabilities_sum_to_one_and_ignore_a_common_shift(logits: np.ndarray, shift: float) -> None:
    probabilities = softmax(logits)
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(softmax(logits + shift), probabilities, atol=1e-9)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(LOGITS, st.lists(st.integers(0, 3), min_size=3, max_size=3), st.floats(0, 1))
def test_loss_is_finite_and_its_gradient_sums_to_zero(
    logits: np.ndarray, labels: list[int], smoothing: float
) -> None:
    loss, dlogits = cross_entropy(logits, np.array(labels), smoothing)
    assert np.isfinite(loss)
    assert loss >= -1e-9
    np.testing.assert_allclose(dlogits.sum(axis=1), 0, atol=1e-12)
