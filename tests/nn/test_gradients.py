"""Every gradient equals central differences in float64."""

from collections.abc import Callable

import numpy as np
import pytest

from cnncli.nn import Mode, cross_entropy
from cnncli.nn.layers import Layer
from tests.nn.cases import CASES, Case, named

STEP = 1e-5
MOST = 40  # entries of one array that are checked; a random choice of a larger array
FEW_AND_MOST = [15, pytest.param(MOST, marks=pytest.mark.slow)]


def slopes(f: Callable[[], float], array: np.ndarray, most: int) -> tuple[list[tuple[int, ...]], np.ndarray]:
    """Central differences (f(v + h) − f(v − h)) / 2h at up to `most` places of an array that f reads."""
    places = list(np.ndindex(*array.shape))
    chosen = np.random.default_rng(4).permutation(len(places))[:most]
    found = []
    for place in (places[index] for index in chosen):
        before = array[place]
        array[place] = before + STEP
        above = f()
        array[place] = before - STEP
        below = f()
        array[place] = before
        found.append((above - below) / (2 * STEP))
    return [places[index] for index in chosen], np.array(found)


def assert_same_slope(
    gradient: np.ndarray, f: Callable[[], float], array: np.ndarray, most: int = MOST
) -> None:
    """Assert a relative error below 1e-6, or an absolute one of 1e-9 for a slope that is zero."""
    places, expected = slopes(f, array, most)
    found = np.array([gradient[place] for place in places])
    error = np.linalg.norm(found - expected)
    assert error < 1e-6 * (np.linalg.norm(found) + np.linalg.norm(expected)) + 1e-9


def check(layer: Layer, x: np.ndarray, dy: np.ndarray, training: bool, most: int = MOST) -> None:
    """Compare dx and the gradients of the parameters with the slopes of sum(y · dy)."""

    def f() -> float:
        y = layer.forward(x, Mode(training=training, rng=np.random.default_rng(5)))
        return float((y * dy).sum())

    layer.forward(x, Mode(training=training, keep=True, rng=np.random.default_rng(5)))
    dx = layer.backward(dy)
    gradients = {name: parameter.grad.copy() for name, parameter in layer.parameters.items()}
    assert_same_slope(dx, f, x, most)
    for name, parameter in layer.parameters.items():
        assert_same_slope(gradients[name], f, parameter.value, most)


@pytest.mark.parametrize("most", FEW_AND_MOST)
@pytest.mark.parametrize("kind", CASES)
def test_gradients_are_the_slopes_in_training(kind: str, most: int) -> None:
    for case in CASES[kind]:
        with named(case):
            layer, x = case.layer(), case.x()
            y = layer.forward(x, Mode(training=True, rng=np.random.default_rng(5)))
            check(layer, x, case.dy(y), training=True, most=most)


@pytest.mark.parametrize("case", [*CASES["batchnorm"], *CASES["dropout"]], ids=str)
def test_gradients_are_the_slopes_in_evaluation(case: Case) -> None:
    layer, x = case.layer(), case.x()
    check(layer, x, case.dy(layer.forward(x)), training=False)


LOGITS = [(1, 1), (1, 2), (1, 10), (2, 3), (3, 1), (5, 26), (8, 4), (13, 10)]


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("shape", LOGITS, ids=str)
def test_gradient_of_the_loss_is_its_slope(shape: tuple[int, int], smoothing: float) -> None:
    rng = np.random.default_rng(6)
    logits, labels = rng.normal(size=shape), rng.integers(0, shape[1], shape[0])
    _, dlogits = cross_entropy(logits, labels, smoothing)
    assert_same_slope(dlogits, lambda: cross_entropy(logits, labels, smoothing)[0], logits)
