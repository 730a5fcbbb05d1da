"""What every layer has in common: dtypes, memory, options, copies."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from cnncli.nn import LAYERS, Mode, Network, build_network, summarize
from cnncli.nn.layers import Conv2D, Layer, Linear
from tests.nn.cases import CASES, FIRST_CASES, Case, named


def run(layer: Layer, x: np.ndarray, case: Case, **mode: Any) -> tuple[np.ndarray, np.ndarray]:
    """y and dx of one forward and backward."""
    y = layer.forward(x, Mode(rng=np.random.default_rng(7), keep=True, **mode))
    return y, layer.backward(case.dy(y))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", FIRST_CASES, ids=str)
def test_dtype_stays_what_it_is(case: Case, dtype: Any, training: bool) -> None:
    layer = case.layer(dtype)
    y, dx = run(layer, case.x(dtype), case, training=training)
    assert y.dtype == dx.dtype == dtype
    for parameter in layer.parameters.values():
        assert parameter.value.dtype == parameter.grad.dtype == parameter.dtype == dtype
    for buffer in layer.buffers.values():
        assert buffer.dtype == dtype


@pytest.mark.parametrize("case", FIRST_CASES, ids=str)
def test_float32_and_float64_agree(case: Case) -> None:
    (y32, dx32), (y64, dx64) = (
        run(case.layer(dtype), case.x(dtype), case, training=True) for dtype in (np.float32, np.float64)
    )
    np.testing.assert_allclose(y32, y64, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(dx32, dx64, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("case", FIRST_CASES, ids=str)
def test_input_and_output_gradient_are_left_as_they_are(case: Case, training: bool) -> None:
    layer, x = case.layer(), case.x()
    y = layer.forward(x, Mode(training=training, keep=True, rng=np.random.default_rng(7)))
    dy = case.dy(y)
    before_dy = dy.copy()
    layer.backward(dy)
    np.testing.assert_array_equal(x, case.x())
    np.testing.assert_array_equal(dy, before_dy)


@pytest.mark.parametrize("case", FIRST_CASES, ids=str)
def test_memory_order_does_not_matter(case: Case) -> None:
    y, dx = run(case.layer(), case.x(), case, training=True)
    layer = case.layer()
    turned = layer.forward(np.asfortranarray(case.x()), Mode(training=True, rng=np.random.default_rng(7)))
    dx_turned = layer.backward(np.asfortranarray(case.dy(turned)))
    np.testing.assert_allclose(turned, y, atol=1e-12, rtol=0)
    np.testing.assert_allclose(dx_turned, dx, atol=1e-12, rtol=0)


@pytest.mark.parametrize("case", FIRST_CASES, ids=str)
def test_gradients_are_written_not_added(case: Case) -> None:
    layer = case.layer()
    run(layer, case.x(), case, training=True)
    once = {name: parameter.grad.copy() for name, parameter in layer.parameters.items()}
    for parameter in layer.parameters.values():
        parameter.grad = np.full(parameter.shape, 100.0)
    run(layer, case.x(), case, training=True)
    for name, parameter in layer.parameters.items():
        np.testing.assert_array_equal(parameter.grad, once[name])


@pytest.mark.parametrize("case", FIRST_CASES, ids=str)
def test_evaluation_keeps_nothing_and_backward_says_so(case: Case) -> None:
    layer = case.layer()
    layer.forward(case.x(), Mode(training=True, rng=np.random.default_rng(7)))
    y = layer.forward(case.x())
    with pytest.raises(RuntimeError, match=f"{case.kind}: backward needs a forward"):
        layer.backward(y)


@pytest.mark.parametrize("case", FIRST_CASES, ids=str)
def test_backward_lets_go_of_what_forward_kept(case: Case) -> None:
    layer = case.layer()
    y, _ = run(layer, case.x(), case, training=True)
    with pytest.raises(RuntimeError, match="backward needs a forward"):
        layer.backward(y)


@pytest.mark.parametrize("kind", CASES)
def test_options_make_the_same_layer_again(kind: str) -> None:
    for case in CASES[kind]:
        with named(case):
            check_options(case)


def check_options(case: Case) -> None:
    layer = case.layer()
    again = LAYERS[case.kind].from_options(
        layer.options(), case.shape[1:], rng=np.random.default_rng(0), dtype=np.float64
    )
    assert again.options() == layer.options()
    assert list(again.parameters) == list(layer.parameters)
    assert set(layer.options()) == set(layer.option_names)
    for name, parameter in layer.parameters.items():
        again.parameters[name].value = parameter.value
    if case.kind != "dropout":  # it draws random numbers
        np.testing.assert_array_equal(
            again.forward(case.x(), Mode(training=True)), layer.forward(case.x(), Mode(training=True))
        )


@pytest.mark.parametrize("case", FIRST_CASES, ids=str)
def test_layer_is_summarized_saved_and_loaded(case: Case) -> None:
    tail = [("flatten", {}), ("linear", {"units": 3})]
    spec = [(case.kind, case.options), *tail]
    one, other = (
        build_network(spec, case.shape[1:], rng=np.random.default_rng(seed), dtype=np.float64)
        for seed in (0, 1)
    )
    assert [row.kind for row in summarize(one) if "." not in row.name] == [case.kind, "flatten", "linear"]
    assert sum(row.parameters for row in summarize(one)) == one.get_num_parameters()
    one.forward(case.x(), training=True, rng=np.random.default_rng(0))  # moves running statistics
    other.load_state(one.state())
    np.testing.assert_array_equal(other.forward(case.x()), one.forward(case.x()))
    rebuilt = build_network(one.spec(), case.shape[1:], rng=np.random.default_rng(2), dtype=np.float64)
    rebuilt.load_state(one.state())
    np.testing.assert_array_equal(rebuilt.forward(case.x()), one.forward(case.x()))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
@pytest.mark.parametrize("case", FIRST_CASES, ids=str)
def test_copies_and_pickles_stand_alone(case: Case, duplicate: Any) -> None:
    layer = case.layer()
    y = layer.forward(case.x(), Mode(training=True, rng=np.random.default_rng(7)))
    twin = duplicate(layer)
    with pytest.raises(RuntimeError, match="backward needs a forward"):
        twin.backward(y)  # a copy has no activations
    for name, parameter in twin.parameters.items():
        np.testing.assert_array_equal(parameter.value, layer.parameters[name].value)
        assert not np.shares_memory(parameter.value, layer.parameters[name].value)


def test_assigning_to_a_weight_copies_into_it() -> None:
    layer = Conv2D(1, 2, 3)
    view = layer.weight
    layer.weight = np.full((2, 1, 3, 3), 5.0)
    assert layer.weight is view
    assert (view == 5).all()
    layer.bias = [1, 2]
    assert layer.parameters["bias"].value.tolist() == [1, 2]


def test_assigning_a_wrong_shape_is_refused_even_if_it_would_broadcast() -> None:
    layer = Linear(3, 2)
    with pytest.raises(ValueError, match=r"shape \(2, 3\), found \(3,\)"):
        layer.weight = np.zeros(3)
    with pytest.raises(ValueError, match=r"shape \(2,\), found \(\)"):
        layer.bias = 0


def test_layer_without_bias_says_so() -> None:
    layer = Linear(3, 2, bias=False)
    assert list(layer.parameters) == ["weight"]
    with pytest.raises(AttributeError, match="this linear layer has no bias"):
        _ = layer.bias
    with pytest.raises(AttributeError, match="this linear layer has no bias"):
        layer.bias = np.zeros(2)


def test_only_weights_decay() -> None:
    network = build_network(
        [("conv", {"filters": 2, "kernel": 3}), ("batchnorm", {}), ("flatten", {}), ("linear", {"_": 3})],
        (1, 5, 5),
        rng=np.random.default_rng(0),
    )
    decaying = [name for name, parameter in network.parameters.named.items() if parameter.decay]
    assert decaying == ["conv1.weight", "linear1.weight"]


def test_a_layer_in_evaluation_does_not_depend_on_its_neighbours_in_the_batch() -> None:
    for case in FIRST_CASES:
        layer, x = case.layer(), case.x()
        whole = layer.forward(x)
        for n in range(len(x)):
            np.testing.assert_allclose(layer.forward(x[n : n + 1]), whole[n : n + 1], atol=1e-12, rtol=0)


# The mask of dropout depends on the position.
@pytest.mark.parametrize("kind", [kind for kind in LAYERS if kind != "dropout"])
def test_only_layers_that_say_so_mix_the_samples_of_a_batch_in_training(kind: str) -> None:
    case = next(
        case for case in CASES[kind] if len(case.shape) == 2 + 2 * (kind != "linear") and case.shape[0] > 1
    )
    layer, x = case.layer(), case.x()
    alone = layer.forward(x[:1], Mode(training=True))
    together = layer.forward(x, Mode(training=True))[:1]
    assert np.allclose(alone, together) == LAYERS[kind].per_sample


def test_repr_says_the_options() -> None:
    assert repr(Linear(3, 2, bias=False)) == "Linear(units=2, bias=False, init='he')"


def test_first_layer_of_a_network_gives_the_gradient_of_the_picture() -> None:
    network = Network([Conv2D(1, 2, 3, rng=np.random.default_rng(0))], (1, 5, 5))
    y = network.forward(np.ones((2, 1, 5, 5)), keep=True)
    assert network.backward(np.ones_like(y)).shape == (2, 1, 5, 5)
