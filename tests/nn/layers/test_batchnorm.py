"""Batch normalization: its statistics in training and inference, and its running statistics."""

import numpy as np
import pytest

from cnncli.errors import ModelError
from cnncli.nn import BatchNorm, Mode


def images(size: int = 6) -> np.ndarray:
    return np.random.default_rng(0).normal(3, 2, (size, 4, 5, 3))


def test_training_gives_each_channel_mean_0_and_variance_1() -> None:
    y = BatchNorm(4, eps=1e-12, dtype=np.float64).forward(images(), Mode(training=True))
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=(0, 2, 3)), 1, atol=1e-10)


def test_gamma_scales_and_beta_shifts() -> None:
    layer = BatchNorm(4, eps=1e-12, dtype=np.float64)
    layer.gamma, layer.beta = [1, 2, 3, -4], [0, 10, 20, 30]
    y = layer.forward(images(), Mode(training=True))
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), [0, 10, 20, 30], atol=1e-12)
    np.testing.assert_allclose(y.std(axis=(0, 2, 3)), [1, 2, 3, 4], atol=1e-10)


def test_running_statistics_move_by_momentum_towards_the_unbiased_ones() -> None:
    layer = BatchNorm(4, momentum=0.25, dtype=np.float64)
    x = images()
    layer.forward(x, Mode(training=True))
    np.testing.assert_allclose(layer.running_mean, 0.25 * x.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(layer.running_var, 0.75 * 1 + 0.25 * x.var(axis=(0, 2, 3), ddof=1), rtol=1e-12)


def test_running_statistics_stay_in_their_arrays() -> None:
    layer = BatchNorm(4)
    mean, var = layer.buffers["running_mean"], layer.buffers["running_var"]
    layer.forward(images().astype(np.float32), Mode(training=True))
    assert layer.running_mean is mean
    assert layer.running_var is var
    assert mean.any()
    layer.running_mean = np.ones(4)
    assert (mean == 1).all()
    with pytest.raises(ValueError, match=r"shape \(4,\), found \(1,\)"):
        layer.running_var = np.ones(1)


def test_evaluation_uses_the_running_statistics_and_changes_nothing() -> None:
    layer = BatchNorm(4, eps=1e-12, dtype=np.float64)
    layer.running_mean, layer.running_var = [1, 2, 3, 4], [4, 4, 9, 9]
    x = images()
    y = layer.forward(x)
    want = (x - np.reshape([1, 2, 3, 4], (4, 1, 1))) / np.reshape([2, 2, 3, 3], (4, 1, 1))
    np.testing.assert_allclose(y, want, rtol=1e-10)
    assert layer.running_mean.tolist() == [1, 2, 3, 4]
    assert layer.running_var.tolist() == [4, 4, 9, 9]


def test_a_single_number_a_channel_gives_beta_and_teaches_nothing() -> None:
    layer = BatchNorm(3, dtype=np.float64)
    layer.beta = [1, 2, 3]
    assert layer.forward(np.array([[7.0, 8, 9]]), Mode(training=True)).tolist() == [[1, 2, 3]]
    assert layer.backward(np.ones((1, 3))).tolist() == [[0, 0, 0]]
    assert layer.running_mean.tolist() == [0, 0, 0]
    assert layer.running_var.tolist() == [1, 1, 1]


def test_a_constant_channel_stays_finite() -> None:
    layer = BatchNorm(2)
    y = layer.forward(np.full((4, 2, 3, 3), 5, np.float32), Mode(training=True))
    assert not y.any()
    assert np.isfinite(layer.backward(np.ones_like(y))).all()


def test_a_large_mean_does_not_drown_a_small_variance() -> None:
    x = (1000 + np.random.default_rng(0).normal(0, 0.1, (512, 1))).astype(np.float32)
    y = BatchNorm(1, eps=1e-12).forward(x, Mode(training=True))
    assert y.std() == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("shape", [(3,), (3, 5, 5), (4, 5), (4, 5, 5, 5), ()], ids=str)
def test_a_shape_with_other_channels_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="needs 4 channels"):
        BatchNorm(4).output_shape(shape)
