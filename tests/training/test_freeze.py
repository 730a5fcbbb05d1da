"""Frozen layers stay as they are, to the bit: with every optimizer, in both engines, and after a resume."""

from itertools import product

import numpy as np
import pytest

from cnncli.batches.batches import Batches
from cnncli.engine import compile
from cnncli.engine.executor import StepSettings
from cnncli.errors import ConfigError
from cnncli.nn import build_network
from cnncli.optim import OPTIMIZERS, make_average, make_optimizer
from tests.training.conftest import MODEL, stripes

FROZEN = ("conv1", "batchnorm1")
OPTIONS = {"sgd": {"momentum": 0.9, "nesterov": True}, "adam": {}, "adamw": {}}


def trained(kind: str, optimizer: str, clip: float | None, *, freeze=FROZEN, workers: int = 1):
    """Train a few steps from weights that are not those of the start; return the states before and after."""
    rng = np.random.default_rng(3)
    network = build_network(MODEL, (1, 8, 8), rng=rng)
    for buffer in network.buffers.values():
        buffer[...] = rng.uniform(0.5, 1.5, buffer.shape)
    network.freeze(freeze)
    before = network.state()
    images, labels = stripes(20)
    batches = Batches(images, labels, batch_size=5, seed=1)
    moves = make_optimizer(optimizer, {**OPTIONS[optimizer], "weight_decay": 0.1}, network.parameters)
    average = make_average("ema", {"decay": 0.9}, network, 100)
    with compile(
        network, kind, batch_size=5, workers=workers, shards=2 if kind == "fast" else None
    ) as executor:
        for step in range(4):
            executor.train_batch(batches, moves, StepSettings(0.05, 0.1, clip), key=(1, 1, step))
            average.update()
        after = network.state()
    return before, after, average.state_dict()


def belongs(name: str) -> bool:
    return name.startswith(FROZEN)


@pytest.mark.parametrize(
    ("kind", "optimizer", "clip"), list(product(["plain", "fast"], OPTIMIZERS, [None, 0.5]))
)
def test_frozen_layers_and_their_averages_stay_to_the_bit(kind, optimizer, clip) -> None:
    before, after, average = trained(kind, optimizer, clip)
    for name, array in before.items():
        same = np.array_equal(array, after[name])
        assert same == belongs(name), name
        if same:
            np.testing.assert_array_equal(average[name], array)


@pytest.mark.parametrize("kind", ["plain", "fast"])
@pytest.mark.parametrize("name", ["residual1", "residual1.conv1", "residual1.batchnorm1"])
def test_a_block_is_frozen_as_a_whole_or_layer_by_layer(kind, name) -> None:
    block = [{"conv": {"filters": 4, "kernel": 3, "padding": "same"}}, "batchnorm", "relu"]
    network = build_network(
        [{"residual": block}, "flatten", {"linear": 3}], (1, 8, 8), rng=np.random.default_rng(0)
    )
    network.freeze([name])
    before = network.state()
    images, labels = stripes(20)
    batches = Batches(images, labels, batch_size=5, seed=1)
    moves = make_optimizer("sgd", {"momentum": 0.9}, network.parameters)
    with compile(network, kind, batch_size=5, workers=1) as executor:
        for step in range(3):
            executor.train_batch(batches, moves, StepSettings(0.05), key=(1, 1, step))
    for key, array in network.state().items():
        assert np.array_equal(array, before[key]) == key.startswith(f"{name}."), key


def test_both_engines_train_the_other_layers_alike() -> None:
    model = [layer for layer in MODEL if layer[0] != "dropout"]
    states = []
    for kind in ("plain", "fast"):
        network = build_network(model, (1, 8, 8), rng=np.random.default_rng(3))
        for buffer in network.buffers.values():
            buffer[...] = np.random.default_rng(4).uniform(0.5, 1.5, buffer.shape)
        network.freeze(FROZEN)
        images, labels = stripes(20)
        batches = Batches(images, labels, batch_size=5, seed=1)
        moves = make_optimizer("sgd", {"momentum": 0.9}, network.parameters)
        with compile(
            network, kind, batch_size=5, workers=1, shards=2 if kind == "fast" else None
        ) as executor:
            for step in range(4):
                executor.train_batch(batches, moves, StepSettings(0.05), key=(1, 1, step))
            states.append(network.state())
    for name, array in states[0].items():
        np.testing.assert_allclose(states[1][name], array, rtol=1e-4, atol=1e-5)


def test_workers_in_processes_freeze_the_same_layers() -> None:
    one, two = (trained("fast", "adamw", None, workers=workers)[1] for workers in (1, 2))
    for name, array in one.items():
        np.testing.assert_array_equal(two[name], array)


def test_a_frozen_batch_normalization_computes_in_training_what_it_does_in_inference() -> None:
    layers = [{"conv": {"filters": 3, "kernel": 3}}, "batchnorm", "flatten", {"linear": 3}]
    network = build_network(layers, (1, 6, 6), rng=np.random.default_rng(0))
    for name, buffer in network.buffers.items():
        buffer[...] = 2.0 if name.endswith("var") else 0.5
    x = np.random.default_rng(1).normal(size=(4, 1, 6, 6)).astype(np.float32)
    network.freeze(["batchnorm1"])
    np.testing.assert_array_equal(network.forward(x, training=True), network.forward(x))


def test_a_network_keeps_what_is_frozen_when_it_is_copied() -> None:
    from copy import deepcopy

    network = build_network(MODEL, (1, 8, 8), rng=np.random.default_rng(0))
    network.freeze(["conv1"])
    twin = deepcopy(network)
    assert twin.parameters.frozen == network.parameters.frozen != []
    assert not twin.parameters.decay[twin.parameters.slices["conv1.weight"]].any()


@pytest.mark.parametrize(
    ("freeze", "message"),
    [("[conv2]", "train.freeze.0: there is no layer 'conv2'"), ("[linear1]", "all layers are frozen")],
)
def test_names_of_no_layer_and_a_network_with_nothing_to_train_are_refused(freeze, message) -> None:
    from cnncli.config.load import parse_config
    from cnncli.training.prepare import prepare

    with pytest.raises(ConfigError, match=message):
        prepare(
            parse_config(
                "data: {dataset: synthetic, limit: 60, validation: 20}\n"
                f"model: [maxpool: 7, flatten, linear: 10]\ntrain: {{freeze: {freeze}}}"
            )
        )
