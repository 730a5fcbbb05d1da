"""The integrated gradients add up to the change of the logit, and are the integral they claim to be."""

import numpy as np
import pytest

from cnncli.data.synthetic.draw import make_synthetic
from cnncli.inside import input_gradient, integrated_gradients
from cnncli.nn import Network, build_network
from cnncli.nn.layers import Flatten, Linear
from cnncli.training.model import load_model
from tests.inside.networks import SPECS, images_of, network_of


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_values_add_up_to_the_change_of_the_logit(name: str, dtype: type) -> None:
    network = network_of(name, dtype=dtype)
    for x in 3 * images_of(network, 3):
        for label in range(network.output_shape[0]):
            found = integrated_gradients(network, x, -0.4, label)
            baseline = np.full((1, *x.shape), -0.4, dtype)
            change = float((network.forward(x[np.newaxis]) - network.forward(baseline))[0, label])
            assert found.change == pytest.approx(change, rel=1e-4, abs=1e-5)
            if (
                abs(change) > 0.1
            ):  # where nothing is left of rise and fall, float32 and 2000 points are too coarse
                assert abs(found.total - change) <= 0.0101 * abs(change)
                assert found.gap <= 0.01


def test_they_are_the_mean_gradient_along_the_way_times_its_length() -> None:
    network = network_of("plain")
    (x,) = images_of(network, 1)
    found = integrated_gradients(network, x, 0.2, 1, tolerance=1e-4)
    shares = (np.arange(20_000) + 0.5) / 20_000
    gradients = np.zeros_like(x)
    for several in np.split(shares, 20):
        samples = 0.2 + several.reshape(-1, 1, 1, 1) * (x - 0.2)
        gradients += input_gradient(network, samples, np.full(len(several), 1)).sum(axis=0)
    expected = gradients / len(shares) * (x - 0.2)
    assert np.abs(found.values - expected).max() < 2e-3 * np.abs(expected).max()


def test_a_pixel_without_change_gets_no_share_and_the_class_may_be_the_network_s() -> None:
    network = network_of("padded")
    (x,) = images_of(network, 1)
    x[:, :4] = 0.5
    found = integrated_gradients(network, x, 0.5)
    assert (found.values[:, :4] == 0).all() and (found.values[:, 4:] != 0).any()
    assert found.label == network.forward(x[np.newaxis]).argmax()


def test_a_linear_network_needs_one_gradient_for_each_part() -> None:
    network = Network([Flatten(), Linear(6, 3)], (1, 2, 3))
    (x,) = images_of(network, 1)
    found = integrated_gradients(network, x, np.zeros_like(x), 2)
    assert found.steps == 16
    weights = network.layers[1].parameters["weight"].value[2].reshape(1, 2, 3)
    assert np.allclose(found.values, weights * x, atol=1e-6)


def test_no_change_at_all_has_no_gap() -> None:
    network = network_of("plain")
    x = np.full(network.input_shape, 0.3)
    found = integrated_gradients(network, x, 0.3, 0)
    assert (found.change, found.total, found.gap, found.steps) == (0, 0, 0, 16)


def test_the_number_of_gradients_is_bounded_and_the_gap_is_told() -> None:
    network = network_of("strided, in color")
    network.layers[0].weight = 50 * network.layers[0].weight
    (x,) = images_of(network, 1)
    few = integrated_gradients(network, x, 0.0, 0, tolerance=1e-9, most=40)
    many = integrated_gradients(network, x, 0.0, 0, tolerance=1e-9, most=2000)
    assert few.steps <= 40 < many.steps <= 2000
    assert abs(many.total - many.change) < abs(few.total - few.change)


def test_numbers_that_are_none_end_the_search() -> None:
    network = build_network(["flatten", {"linear": 2}], (1, 2, 2), rng=np.random.default_rng(0))
    found = integrated_gradients(network, np.full((1, 2, 2), np.nan), 0.0, 0)
    assert found.steps == 16 and np.isnan(found.gap)


def test_one_sample_of_a_network_without_images() -> None:
    network = build_network([{"linear": 5}, "tanh", {"linear": 2}], (4,), rng=np.random.default_rng(0))
    (x,) = images_of(network, 1)
    assert integrated_gradients(network, x, 0.0).gap <= 0.01


def test_a_drawn_digit_is_explained_by_the_bundled_network() -> None:
    network = load_model("bundled").network
    digits = make_synthetic(train=10, test=60).test.part(slice(5))
    for image, label in zip(digits.images, digits.labels, strict=True):
        found = integrated_gradients(network, np.float32(image[np.newaxis] / 255), 0.0)
        assert found.label == label and found.change > 1
        assert found.gap <= 0.01 and found.steps < 200
