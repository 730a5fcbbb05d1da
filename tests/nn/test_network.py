"""A network: names, shapes, forward and backward passes, and strict loading of a state."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from cnncli.errors import CheckpointError, ModelError
from cnncli.nn import (
    BatchNorm,
    Conv2D,
    Dropout,
    Flatten,
    Linear,
    MaxPool2D,
    Network,
    ReLU,
    accuracy,
    build_network,
    softmax,
)

SPEC: list[tuple[str, dict[str, Any]]] = [
    ("conv", {"filters": 4, "kernel": 3, "padding": "same"}), ("batchnorm", {}), ("relu", {}),
    ("maxpool", {"_": 2}), ("conv", {"filters": 3, "kernel": (3, 2), "stride": 2}), ("leaky_relu", {}),
    ("flatten", {}), ("dropout", {"_": 0.25}), ("linear", {"_": 5}),
]  # fmt: skip


def network(dtype: Any = np.float32, seed: int = 0) -> Network:
    return build_network(SPEC, (2, 9, 8), rng=np.random.default_rng(seed), dtype=dtype)


def batch(dtype: Any = np.float32, size: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(size, 2, 9, 8)).astype(dtype), rng.integers(0, 5, size)


def test_layers_are_numbered_within_their_kind() -> None:
    net = network()
    assert net.names == (
        "conv1", "batchnorm1", "relu1", "maxpool1", "conv2", "leaky_relu1", "flatten1", "dropout1", "linear1",
    )  # fmt: skip
    assert list(net.parameters.named) == [
        "conv1.weight", "conv1.bias", "batchnorm1.gamma", "batchnorm1.beta", "conv2.weight", "conv2.bias",
        "linear1.weight", "linear1.bias",
    ]  # fmt: skip
    assert list(net.buffers) == ["batchnorm1.running_mean", "batchnorm1.running_var"]
    assert net.shapes == [
        (4, 9, 8), (4, 9, 8), (4, 9, 8), (4, 4, 4), (3, 1, 2), (3, 1, 2), (6,), (6,), (5,),
    ]  # fmt: skip
    assert net.output_shape == (5,)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_whole_pass_stays_in_its_dtype(dtype: Any) -> None:
    net, (x, labels) = network(dtype), batch(np.float64)
    loss, logits = net.loss_and_gradients(x, labels, rng=np.random.default_rng(0))
    assert net.dtype == logits.dtype == net.parameters.grads.dtype == dtype
    assert net.forward(x).dtype == net.predict(x).dtype == dtype
    assert net.backward(np.ones_like(net.forward(x, keep=True))).dtype == dtype
    assert type(loss) is float
    for array in net.state().values():
        assert array.dtype == dtype


def test_gradient_of_the_loss_is_its_slope_for_every_parameter() -> None:
    net, (x, labels) = network(np.float64), batch(np.float64)

    def loss() -> float:
        return net.loss_and_gradients(x, labels, rng=np.random.default_rng(3), label_smoothing=0.1)[0]

    loss()
    found, expected = net.parameters.grads.copy(), np.zeros(net.parameters.size)
    for i in range(net.parameters.size):
        before = net.parameters.values[i]
        net.parameters.values[i] = before + 1e-6
        above = loss()
        net.parameters.values[i] = before - 1e-6
        expected[i] = (above - loss()) / 2e-6
        net.parameters.values[i] = before
    assert np.linalg.norm(found - expected) < 1e-6 * np.linalg.norm(expected)
    assert np.count_nonzero(found) > 0.9 * found.size


def test_layers_read_their_weights_from_the_flat_vector() -> None:
    net, (x, _) = network(), batch()
    net.parameters.values[:] = 0
    assert not net.forward(x).any()
    last = net.layers[-1]
    assert isinstance(last, Linear)
    last.bias = np.arange(5)
    assert net.parameters.values[-5:].tolist() == [0, 1, 2, 3, 4]
    net.parameters.move_to(np.ones(net.parameters.size, np.float32), np.ones(net.parameters.size, np.float32))
    assert last.bias.tolist() == [0, 1, 2, 3, 4]


def test_a_few_steps_down_the_gradient_learn_a_batch_by_heart() -> None:
    net, (x, labels) = network(seed=3), batch(size=16)
    first, _ = net.loss_and_gradients(x, labels, rng=np.random.default_rng(0))
    for step in range(150):
        net.loss_and_gradients(x, labels, rng=np.random.default_rng(step))
        net.parameters.values -= 0.1 * net.parameters.grads
    assert accuracy(net.forward(x), labels) == 1
    assert net.loss_and_gradients(x, labels, rng=np.random.default_rng(0))[0] < first / 3


def test_prediction_is_the_softmax_of_the_logits() -> None:
    net, (x, _) = network(), batch()
    np.testing.assert_array_equal(net.predict(x), softmax(net.forward(x)))
    assert net.predict(x).shape == (6, 5)


def test_the_same_seed_gives_the_same_network_in_both_dtypes() -> None:
    one, same, other = network(), network(np.float64), network(seed=1)
    np.testing.assert_array_equal(one.parameters.values, same.parameters.values)
    assert (one.parameters.values != other.parameters.values).any()


def test_start_weights_do_not_depend_on_which_layer_is_looked_at_first() -> None:
    def pair() -> tuple[Linear, Linear]:
        rng = np.random.default_rng(0)
        return Linear(3, 4, rng=rng), Linear(4, 5, rng=rng)

    one, other = pair()
    weights = one.weight.copy(), other.weight.copy()
    one, other = pair()
    np.testing.assert_array_equal(other.weight, weights[1])
    np.testing.assert_array_equal(one.weight, weights[0])


def test_a_batch_of_another_shape_is_refused() -> None:
    with pytest.raises(ModelError, match=r"takes samples of shape \(2, 9, 8\), not \(1, 9, 8\)"):
        network().forward(np.zeros((3, 1, 9, 8)))


def test_layers_that_do_not_fit_are_named() -> None:
    layers = [Conv2D(1, 4, 3), ReLU(), Conv2D(3, 4, 3)]
    with pytest.raises(ModelError) as caught:
        Network(layers, (1, 9, 9))
    assert caught.value.message == "layer 3 (conv2): needs 3 channels, but its input has shape (4, 7, 7)"
    assert caught.value.key_path == (2,)


def test_one_layer_object_twice_is_refused() -> None:
    relu = ReLU()
    with pytest.raises(ModelError, match="in the list twice"):
        Network([relu, Flatten(), relu], (1, 2, 2))


def test_a_network_may_give_an_image_and_have_no_parameters() -> None:
    net = Network([MaxPool2D(2)], (1, 4, 4), np.float64)
    assert (net.output_shape, net.dtype, net.get_num_parameters()) == ((1, 2, 2), np.float64, 0)
    assert net.forward(np.ones((1, 1, 4, 4), np.float32)).dtype == np.float64


def test_diverging_weights_give_no_warnings_but_a_loss_that_tells() -> None:
    net, (x, labels) = network(), batch()
    net.parameters.values *= 1e38
    loss, _ = net.loss_and_gradients(x, labels, rng=np.random.default_rng(0))
    assert not np.isfinite(loss)


def test_a_state_is_a_copy_and_fits_a_network_of_the_same_layers() -> None:
    one, other, (x, labels) = network(), network(seed=5), batch()
    one.loss_and_gradients(x, labels, rng=np.random.default_rng(0))  # moves running statistics
    state = one.state()
    assert list(state) == [*one.parameters.named, *one.buffers]
    views = other.parameters.values, other.buffers["batchnorm1.running_mean"]
    other.load_state(state)
    assert other.parameters.values is views[0]
    assert other.buffers["batchnorm1.running_mean"] is views[1]
    np.testing.assert_array_equal(other.forward(x), one.forward(x))
    state["linear1.bias"][:] = 9
    assert not (one.state()["linear1.bias"] == 9).any()


def test_a_state_that_does_not_fit_is_refused_with_missing_extra_and_misshapen_apart() -> None:
    net = network()
    before = net.state()
    state = net.state()
    del state["conv1.bias"], state["batchnorm1.running_var"]
    state["conv9.weight"] = np.zeros(3)
    state["linear1.weight"] = np.zeros((5, 7))
    state["linear1.bias"] = np.ones(5)
    with pytest.raises(CheckpointError) as caught:
        net.load_state(state)
    assert caught.value.message == (
        "the saved arrays do not fit the network. Missing: conv1.bias, batchnorm1.running_var. "
        "Not expected: conv9.weight. Of another shape: linear1.weight (5, 7) instead of (5, 6)."
    )
    for name, array in net.state().items():
        np.testing.assert_array_equal(array, before[name])  # nothing was loaded, not even the arrays that fit


def test_a_state_of_words_is_refused() -> None:
    net = network()
    with pytest.raises(CheckpointError, match=r"Not numbers: linear1.bias \(<U1\)\.$"):
        net.load_state({**net.state(), "linear1.bias": np.array(list("abcde"))})  # type: ignore[dict-item]


def test_a_spec_builds_the_same_network_again() -> None:
    net = network()
    spec = net.spec()
    assert spec[3] == {"maxpool": {"size": 2, "stride": 2, "padding": 0, "ceil_mode": False}}
    assert spec[4]["conv"]["kernel"] == [3, 2]
    again = build_network(spec, (2, 9, 8), rng=np.random.default_rng(0))
    np.testing.assert_array_equal(again.parameters.values, net.parameters.values)
    assert again.spec() == spec


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_a_copy_computes_the_same_and_shares_nothing(duplicate: Any) -> None:
    net, (x, labels) = network(), batch()
    twin = duplicate(net)
    np.testing.assert_array_equal(twin.forward(x), net.forward(x))
    twin.loss_and_gradients(x, labels, rng=np.random.default_rng(0))
    twin.parameters.values -= twin.parameters.grads
    assert (twin.forward(x) != net.forward(x)).any()
    assert np.shares_memory(twin.layers[0].parameters["weight"].value, twin.parameters.values)
    assert twin.buffers["batchnorm1.running_mean"] is twin.layers[1].buffers["running_mean"]
    assert not net.buffers["batchnorm1.running_mean"].any()


def test_dropout_without_a_generator_is_an_error_in_training() -> None:
    net = Network([Dropout(0.5)], (3,))
    with pytest.raises(ValueError, match="pass rng="):
        net.loss_and_gradients(np.ones((1, 3)), np.array([0]))


def test_running_statistics_of_the_network_are_those_of_its_layer() -> None:
    norm = BatchNorm(2)
    net = Network([norm], (2,))
    net.forward(np.ones((4, 2)), training=True)
    assert net.buffers["batchnorm1.running_mean"].tolist() == pytest.approx([0.1, 0.1])
    assert net.buffers["batchnorm1.running_mean"] is norm.running_mean
