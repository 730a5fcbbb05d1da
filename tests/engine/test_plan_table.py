"""The plan as people see it."""

import numpy as np

from cnncli.engine.plan_table import plan_table
from cnncli.nn.build import build_network

MODEL = [
    ("conv", {"filters": 4, "kernel": 3}),
    ("relu", {}),
    ("maxpool", {"size": 2}),
    ("conv", {"filters": 6, "kernel": 3, "padding": "same", "bias": False}),
    ("batchnorm", {}),
    ("relu", {}),
    ("flatten", {}),
    ("dropout", {"rate": 0.5}),
    ("linear", {"units": 5}),
]


def test_the_plan_covers_every_layer_once_and_all_of_the_time():
    network = build_network(MODEL, (1, 14, 14), rng=np.random.default_rng(0))
    before = network.state()
    rows = plan_table(network, batch_size=20)
    assert " ".join(row.layers for row in rows if row.layers).split() == list(network.names)
    assert rows[0].kernel == "FirstConvPool" and rows[0].pattern
    shares = [share for row in rows for share in (row.forward, row.backward) if share is not None]
    assert abs(sum(shares) - 1) < 1e-6
    assert all(share >= 0 for share in shares)
    assert all(np.array_equal(array, before[name]) for name, array in network.state().items())


def test_without_steps_nothing_is_measured():
    network = build_network(MODEL, (1, 14, 14), rng=np.random.default_rng(0))
    rows = plan_table(network, batch_size=20, steps=0)
    assert all(row.forward is None for row in rows)


def test_a_network_without_a_plan_has_no_rows():
    network = build_network(MODEL, (1, 14, 14), rng=np.random.default_rng(0), dtype=np.float64)
    assert plan_table(network, batch_size=4) == []
