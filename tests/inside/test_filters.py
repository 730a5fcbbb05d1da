"""The filters of the first layer are pictures on one scale."""

import numpy as np
import pytest

from cnncli.errors import ModelError
from cnncli.inside import filter_pictures, first_filters
from cnncli.nn import Network, build_network
from cnncli.nn.layers import Flatten, GlobalAvgPool, Linear, MaxPool2D
from tests.inside.networks import network_of


def test_the_first_convolution_has_the_filters() -> None:
    network = network_of("padded")
    found = first_filters(network)
    assert found is not None and found.layer == "conv1"
    assert np.array_equal(found.weights, network.parameters.named["conv1.weight"].value)


def test_the_units_of_a_network_without_convolutions_are_pictures_of_the_whole_image() -> None:
    rng = np.random.default_rng(0)
    network = build_network(["flatten", {"linear": 5}, "relu", {"linear": 2}], (3, 4, 6), rng=rng)
    found = first_filters(network)
    assert found is not None and found.weights.shape == (5, 3, 4, 6)
    x = rng.normal(size=(1, 3, 4, 6)).astype(np.float32)
    assert np.allclose(
        (found.weights * x).sum(axis=(1, 2, 3)), network.layers[1].forward(x.reshape(1, -1))[0]
    )


@pytest.mark.parametrize(
    "network",
    [
        Network([Linear(4, 2)], (4,)),
        Network([Flatten()], (1, 2, 2)),
        Network([GlobalAvgPool(), Linear(1, 2)], (1, 4, 4)),
        Network([MaxPool2D(2), Flatten(), Linear(4, 2)], (1, 4, 4)),
    ],
)
def test_a_network_that_weighs_no_pixels_has_none(network: Network) -> None:
    assert first_filters(network) is None


def test_gray_is_zero_and_the_largest_weight_of_all_sets_the_scale() -> None:
    weights = np.zeros((2, 3, 1, 2))
    weights[0, 0, 0, 0], weights[1, 2, 0, 1] = -4, 2
    pictures = filter_pictures(weights)
    assert pictures.shape == (2, 1, 2, 3)
    assert pictures[0, 0].tolist() == [[0, 128, 128], [128, 128, 128]]
    assert pictures[1, 0].tolist() == [[128, 128, 128], [128, 128, 191]]


def test_weights_that_are_zero_or_no_numbers_are_gray() -> None:
    assert (filter_pictures(np.zeros((1, 1, 2, 2))) == 128).all()
    assert (filter_pictures(np.full((1, 1, 2, 2), np.nan)) == 128).all()


def test_other_channels_are_no_colors() -> None:
    with pytest.raises(ModelError, match="2 channels"):
        filter_pictures(np.zeros((1, 2, 3, 3)))
