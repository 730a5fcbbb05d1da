"""Clipping shortens a gradient and keeps its direction."""

import numpy as np
import pytest

from cnncli.optim.clipping import clip_gradients


def test_a_short_gradient_is_left_alone() -> None:
    grads = np.array([0.3, 0.4], np.float32)
    before = grads.copy()
    assert clip_gradients(grads, 1.0) == pytest.approx(0.5)
    assert np.array_equal(grads, before)


def test_a_long_gradient_is_shortened_to_the_limit_in_the_same_direction() -> None:
    grads = np.random.default_rng(0).normal(size=100_000).astype(np.float32)
    before = grads.astype(np.float64)
    norm = clip_gradients(grads, 2.0)
    assert norm == pytest.approx(np.linalg.norm(before), rel=1e-12)
    assert np.linalg.norm(grads.astype(np.float64)) == pytest.approx(2.0, rel=1e-6)
    np.testing.assert_allclose(grads, before * 2.0 / norm, rtol=1e-5)


def test_a_finite_gradient_whose_square_overflows_float32_is_still_clipped() -> None:
    grads = np.full(4, 1e30, np.float32)
    assert clip_gradients(grads, 1.0) == pytest.approx(2e30, rel=1e-6)
    np.testing.assert_allclose(grads, 0.5, rtol=1e-6)


def test_matches_torch() -> None:
    torch = pytest.importorskip("torch")
    grads = np.random.default_rng(1).normal(size=1_000)
    weight = torch.zeros(1_000, dtype=torch.float64, requires_grad=True)
    weight.grad = torch.tensor(grads.copy())
    expected = torch.nn.utils.clip_grad_norm_([weight], 0.7)
    assert clip_gradients(grads, 0.7) == pytest.approx(float(expected), rel=1e-12)
    np.testing.assert_allclose(grads, weight.grad.numpy(), rtol=1e-12)
