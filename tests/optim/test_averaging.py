"""The average of the weights: its values, its temporary use in a network, its state."""

import numpy as np
import pytest

from cnncli.errors import CheckpointError, ModelError
from cnncli.nn import Network, build_network
from cnncli.optim.averaging import AVERAGES, averaged_weights, make_average


def tiny_network(seed: int = 0) -> Network:
    model = [("linear", {"units": 4}), ("batchnorm", {}), ("relu", {}), ("linear", {"units": 3})]
    return build_network(model, (5,), rng=np.random.default_rng(seed))


def wander(network: Network, step: int) -> None:
    rng = np.random.default_rng(step)
    network.parameters.values += rng.normal(size=network.parameters.size).astype(np.float32)
    for buffer in network.buffers.values():
        buffer += rng.normal(size=buffer.shape).astype(np.float32)


def test_the_table_holds_what_the_tests_below_cover() -> None:
    assert set(AVERAGES) == {"ema", "swa"}


def test_follows_the_formula_for_parameters_and_buffers() -> None:
    network = tiny_network()
    average = make_average("ema", {"decay": 0.5}, network, 100)
    expected = {name: array.astype(np.float64) for name, array in network.state().items()}
    for step in range(1, 12):
        wander(network, step)
        average.update()
        keep = min(0.5, (1 + step) / (10 + step))
        for name, array in network.state().items():
            expected[name] += (1 - keep) * (array - expected[name])
    found = averaged_weights(average.state_dict())
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-6)


def test_swa_is_the_plain_mean_of_the_last_steps() -> None:
    network = tiny_network()
    average = make_average("swa", {"start": 0.6}, network, 10)
    seen = []
    for step in range(1, 11):
        wander(network, step)
        average.update()
        seen.append(network.state())
        if step <= 6:
            assert np.allclose(average.values, network.parameters.values, rtol=1e-6)
    found = averaged_weights(average.state_dict())
    for name, array in found.items():
        mean = np.mean([state[name] for state in seen[6:]], axis=0, dtype=np.float64)
        np.testing.assert_allclose(array, mean, rtol=1e-4, atol=1e-5)


def test_a_constant_network_is_its_own_average() -> None:
    network = tiny_network()
    average = make_average("ema", {}, network, 100)
    for _ in range(3):
        average.update()
    assert np.array_equal(average.values, network.parameters.values)


def test_applied_swaps_the_average_in_and_the_weights_back() -> None:
    network = tiny_network()
    average = make_average("ema", {"decay": 0.9}, network, 100)
    wander(network, 1)
    average.update()
    own = network.state()
    with average.applied(network):
        inside = network.state()
        for name, array in averaged_weights(average.state_dict()).items():
            assert np.array_equal(inside[name], array)
            assert not np.array_equal(inside[name], own[name])
    after = network.state()
    assert all(np.array_equal(after[name], own[name]) for name in own)


def test_applied_gives_the_weights_back_after_an_error() -> None:
    network = tiny_network()
    average = make_average("ema", {}, network, 100)
    wander(network, 1)
    own = network.parameters.values.copy()
    with pytest.raises(KeyError), average.applied(network):
        raise KeyError("evaluation failed")
    assert np.array_equal(network.parameters.values, own)


def test_a_saved_average_goes_on_to_the_same_bits() -> None:
    network = tiny_network()
    first = make_average("ema", {"decay": 0.99}, network, 100)
    for step in range(3):
        wander(network, step)
        first.update()
    second = make_average("ema", {"decay": 0.99}, tiny_network(seed=5), 100)
    second.load_state_dict(first.state_dict())
    second.network = network
    wander(network, 9)
    first.update()
    second.update()
    for name, array in first.state_dict().items():
        assert np.array_equal(array, second.state_dict()[name])


def test_a_foreign_state_is_refused_whole() -> None:
    average = make_average("ema", {}, tiny_network(), 100)
    arrays = average.state_dict()
    arrays["conv1.weight"] = arrays.pop("linear1.weight")
    with pytest.raises(CheckpointError, match=r"Missing: linear1.weight. Not expected: conv1.weight."):
        average.load_state_dict(arrays)


def test_a_wrong_option_is_named() -> None:
    with pytest.raises(ModelError) as caught:
        make_average("ema", {"decay": 1}, tiny_network(), 100)
    assert caught.value.key_path == ("decay",)
    with pytest.raises(ModelError) as caught:
        make_average("ema", {"decy": 0.9}, tiny_network(), 100)
    assert caught.value.hint == "did you mean 'decay'?"
