"""Dropout: the share it drops, its generator, and that backward uses the same mask."""

import numpy as np
import pytest

from cnncli.errors import ModelError
from cnncli.nn import Dropout, Mode
from cnncli.randomness import stream


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_expectation_stays_what_it_was(rate: float) -> None:
    x = np.full((400, 500), 3.0, np.float32)
    y = Dropout(rate).forward(x, Mode(training=True, rng=np.random.default_rng(0)))
    assert y.mean() == pytest.approx(3, rel=0.02)
    assert (y == 0).mean() == pytest.approx(rate, abs=0.01)
    assert set(np.unique(y)) == {np.float32(0), np.float32(3) * np.float32(1 / (1 - rate))}


def test_the_same_stream_drops_the_same_numbers_in_any_dtype() -> None:
    x = np.ones((20, 30))
    one, same, other = (
        Dropout(0.5).forward(x.astype(dtype), Mode(training=True, rng=stream(0, "dropout", 1, step)))
        for dtype, step in ((np.float32, 4), (np.float64, 4), (np.float32, 5))
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_a_draw_that_equals_the_rate_is_kept() -> None:
    class FixedGenerator(np.random.Generator):
        def random(self, size, dtype):  # type: ignore[no-untyped-def, override]
            return np.array([[0.25, 0.5, 0.75]], dtype)

    y = Dropout(0.5).forward(np.ones((1, 3)), Mode(training=True, rng=FixedGenerator(np.random.PCG64())))
    assert y.tolist() == [[0, 2, 2]]


def test_backward_drops_what_forward_dropped() -> None:
    layer = Dropout(0.3)
    x = np.ones((50, 40))
    y = layer.forward(x, Mode(training=True, rng=np.random.default_rng(0)))
    np.testing.assert_array_equal(layer.backward(np.ones_like(y)), y)


def test_rate_0_changes_nothing_and_draws_nothing() -> None:
    rng, untouched = np.random.default_rng(0), np.random.default_rng(0)
    layer, x = Dropout(0), np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(layer.forward(x, Mode(training=True, rng=rng)), x)
    np.testing.assert_array_equal(layer.backward(x), x)
    assert rng.random() == untouched.random()


def test_evaluation_changes_nothing() -> None:
    layer, x = Dropout(0.9), np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(layer.forward(x, Mode(keep=True)), x)
    np.testing.assert_array_equal(layer.backward(x), x)


def test_training_without_a_generator_is_an_error() -> None:
    with pytest.raises(ValueError, match="pass rng="):
        Dropout(0.5).forward(np.ones((2, 3)), Mode(training=True))


@pytest.mark.parametrize("rate", [1, 1.0, 1.5, -0.1, float("nan"), True, "0.5", None])
def test_a_rate_outside_its_range_is_refused(rate: float) -> None:
    with pytest.raises(ModelError, match="rate: expected a number from 0 up to but not including 1"):
        Dropout(rate)
