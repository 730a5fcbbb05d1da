"""What is shown of a layer is what the network computes there."""

import numpy as np
import pytest

from cnncli.errors import ModelError
from cnncli.inside import images_at_once, layer_outputs, penultimate_features
from cnncli.inside.activations import MEMORY, MOST_AT_ONCE
from cnncli.nn import build_network
from cnncli.nn.layers import Linear
from tests.inside.networks import SPECS, images_of, network_of


@pytest.mark.parametrize("name", SPECS)
def test_the_last_output_is_the_network_s_and_all_shapes_are(name: str) -> None:
    network = network_of(name)
    x = images_of(network, 3)
    outputs = list(layer_outputs(network, x))
    assert [each.name for each in outputs] == list(network.names)
    assert [each.values.shape[1:] for each in outputs] == network.shapes
    assert np.array_equal(outputs[-1].values, network.forward(x))


def test_only_what_is_asked_for_is_computed_and_kept() -> None:
    network = network_of("plain")
    outputs = layer_outputs(network, images_of(network, 1))
    assert next(outputs).name == "conv1"
    assert all(layer._saved is None for layer in network.layers)


def test_inputs_of_another_shape_are_refused() -> None:
    network = network_of("plain")
    with pytest.raises(ModelError, match=r"shape \(1, 9, 8\), not \(1, 8, 9\)"):
        next(layer_outputs(network, np.zeros((1, 1, 8, 9))))


@pytest.mark.parametrize("name", SPECS)
def test_the_features_are_what_the_last_linear_layer_reads(name: str) -> None:
    network = network_of(name)
    x = images_of(network, 7)
    features = penultimate_features(network, [x[:3], x[3:]])
    last = network.layers[-1]
    assert isinstance(last, Linear)
    assert features.shape == (7, last.in_features)
    assert np.allclose(features @ last.weight.T + last.bias, network.forward(x))
    assert penultimate_features(network, []).shape == (0, last.in_features)


def test_without_a_linear_layer_the_features_are_the_outputs() -> None:
    network = build_network(
        [{"conv": {"filters": 3, "kernel": 3}}, "globalavgpool"], (1, 8, 8), rng=np.random.default_rng(0)
    )
    x = images_of(network, 2)
    assert np.array_equal(penultimate_features(network, [x]), network.forward(x))


def test_the_larger_a_network_the_fewer_images_at_once() -> None:
    small = network_of("plain")
    rng = np.random.default_rng(0)
    large = build_network(
        [{"conv": {"filters": 64, "kernel": 3, "padding": "same"}}] * 3 + ["globalavgpool", {"linear": 10}],
        (3, 224, 224),
        rng=rng,
    )
    assert images_at_once(small) == MOST_AT_ONCE
    assert images_at_once(large) == 1
    middle = build_network(
        [*[{"conv": {"filters": 32, "kernel": 3}}] * 4, "globalavgpool", {"linear": 10}],
        (1, 48, 48),
        rng=rng,
    )
    # the second convolution reads 32 · 9 numbers at each of 44 · 44 positions
    largest = 4 * (32 * 46 * 46 + 32 * 44 * 44 + 32 * 9 * 44 * 44)
    assert images_at_once(middle) == MEMORY // largest
    assert 1 <= images_at_once(middle, keep=True) < images_at_once(middle)
