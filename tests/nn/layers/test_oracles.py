"""Every layer agrees with loops over single numbers, forward and backward."""

from typing import Any

import numpy as np
import pytest

from cnncli.nn import LAYERS, Mode
from cnncli.nn.layers import Dropout, Layer
from tests.nn import naive
from tests.nn.cases import CASES, Case, named


def oracle(case: Case, layer: Layer, x: np.ndarray, dy: np.ndarray) -> Any:
    """y, dx and the parameters' gradients, by the loops of naive.py."""
    value = {name: p.value for name, p in layer.parameters.items()}
    match case.kind:
        case "conv":
            bias = value.get("bias", np.zeros(len(value["weight"])))
            return naive.conv(x, dy, value["weight"], bias, case.options)
        case "maxpool" | "avgpool":
            return naive.pool(x, dy, case.options, case.kind)
        case "globalavgpool":
            return naive.global_average(x, dy)
        case "linear":
            return naive.linear(x, dy, value["weight"], value.get("bias", np.zeros(len(value["weight"]))))
        case "flatten":
            return naive.flatten(x, dy)
        case "relu" | "leaky_relu" | "tanh" | "sigmoid" | "silu":
            slope = case.options.get("slope", case.options.get("_", 0.01))
            return naive.elementwise(x, dy, case.kind, slope)
        case "gelu":
            kind = "gelu_tanh" if case.options.get("approximate") == "tanh" else "gelu"
            return naive.elementwise(x, dy, kind, 0)
        case "prelu":
            return naive.prelu(x, dy, value["weight"])
        case "batchnorm":
            return naive.batchnorm(x, dy, value["gamma"], value["beta"], case.options.get("eps", 1e-5), None)
    return pytest.fail(f"naive.py has no loops for {case.kind}")


def test_every_layer_has_cases() -> None:
    assert set(CASES) == set(LAYERS)


@pytest.mark.parametrize("kind", LAYERS)
def test_every_layer_has_different_cases_and_one_whose_shape_decides_much_has_many(kind: str) -> None:
    many = kind in ("conv", "maxpool", "avgpool", "batchnorm")
    assert len(set(map(str, CASES[kind]))) >= (40 if many else 10)


# dropout is drawn; a block is made of other layers, and agrees with finite differences and with PyTorch
@pytest.mark.parametrize("kind", [kind for kind in CASES if kind not in ("dropout", "residual")])
def test_layer_gives_what_plain_loops_give(kind: str) -> None:
    for case in CASES[kind]:
        with named(case):
            check_against_loops(case)


def check_against_loops(case: Case) -> None:
    layer, x = case.layer(), case.x()
    y = layer.forward(x, Mode(training=True))
    dy = case.dy(y)
    dx = layer.backward(dy)
    want_y, want_dx, want_gradients = oracle(case, layer, x, dy)
    assert y.shape == want_y.shape == (len(x), *layer.output_shape(x.shape[1:]))
    np.testing.assert_allclose(y, want_y, rtol=0, atol=1e-12)
    np.testing.assert_allclose(dx, want_dx, rtol=1e-10, atol=1e-11)
    for name, parameter in layer.parameters.items():
        np.testing.assert_allclose(parameter.grad, want_gradients[name], rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("case", CASES["batchnorm"], ids=str)
def test_batchnorm_in_evaluation_gives_what_plain_loops_give(case: Case) -> None:
    layer, x = case.layer(), case.x()
    running = (layer.buffers["running_mean"].copy(), layer.buffers["running_var"].copy())
    y = layer.forward(x, Mode(keep=True))
    dy = case.dy(y)
    dx = layer.backward(dy)
    gamma, beta = layer.parameters["gamma"], layer.parameters["beta"]
    eps = case.options.get("eps", 1e-5)
    want_y, want_dx, want = naive.batchnorm(x, dy, gamma.value, beta.value, eps, running)
    np.testing.assert_allclose(y, want_y, rtol=0, atol=1e-12)
    np.testing.assert_allclose(dx, want_dx, rtol=0, atol=1e-12)
    np.testing.assert_allclose(gamma.grad, want["gamma"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(beta.grad, want["beta"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("case", CASES["dropout"], ids=str)
def test_dropout_zeroes_what_its_draws_say_and_scales_the_rest(case: Case) -> None:
    layer, x = case.layer(), case.x()
    assert isinstance(layer, Dropout)
    y = layer.forward(x, Mode(training=True, rng=np.random.default_rng(3)))
    dy = case.dy(y)
    dx = layer.backward(dy)
    draws = np.random.default_rng(3).random(x.shape, dtype=np.float32)
    for place in np.ndindex(*x.shape):
        factor = 0.0 if draws[place] < layer.rate else 1 / (1 - layer.rate)
        assert y[place] == pytest.approx(x[place] * factor, abs=1e-12)
        assert dx[place] == pytest.approx(dy[place] * factor, abs=1e-12)
