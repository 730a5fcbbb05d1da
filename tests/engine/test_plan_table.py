"""The table of a plan, for people."""

import numpy as np

from cnncli.engine.parallel.caller import FastExecutor
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
    assert rows[0].kernel == "FirstConvPool" and rows[0].description
    shares = [share for row in rows for share in (row.forward, row.backward) if share is not None]
    assert abs(sum(shares) - 1) < 1e-6
    assert all(share >= 0 for share in shares)
    assert all(np.array_equal(array, before[name]) for name, array in network.state().items())


def test_times_are_shares_of_a_step():
    network = build_network(MODEL, (1, 14, 14), rng=np.random.default_rng(0))
    rows = plan_table(network, batch_size=20)
    times = [(row.forward, row.forward_ms) for row in rows] + [(r.backward, r.backward_ms) for r in rows]
    total = sum(ms for _, ms in times if ms is not None)
    assert all(ms is None or abs(share - ms / total) < 1e-9 for share, ms in times)


def test_every_slot_records_the_same_calls():
    for shape, rows in (((1, 14, 14), 20), ((1, 28, 28), 300)):
        network = build_network(MODEL, shape, rng=np.random.default_rng(0))
        with FastExecutor(network, batch_size=rows, workers=1, shards=2) as executor:
            plan = executor.plan(rows)
        for stage in plan.stages:
            for recordings in (stage.entry, stage.forward, stage.backward):
                for kernel in {id(r.kernel): r.kernel for r in recordings}.values():
                    tapes = [recording.tape for recording in recordings if recording.kernel is kernel]
                    names = [line.split()[0] for tape in tapes for line in tape.lines()]
                    slots = kernel.workload.slots
                    assert names == names[: len(names) // slots] * slots, type(kernel).__name__


def test_without_steps_nothing_is_measured():
    network = build_network(MODEL, (1, 14, 14), rng=np.random.default_rng(0))
    rows = plan_table(network, batch_size=20, steps=0)
    assert all(row.forward is None for row in rows)


def test_a_network_without_a_plan_has_no_rows():
    network = build_network(MODEL, (1, 14, 14), rng=np.random.default_rng(0), dtype=np.float64)
    assert plan_table(network, batch_size=4) == []
