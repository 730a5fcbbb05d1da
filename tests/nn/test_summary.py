"""The summary of each layer, against figures computed by hand."""

import numpy as np
import pytest

from cnncli.nn import Linear, Network, ReLU, build_network, summarize, totals
from cnncli.nn.summary import LayerRow

MODEL = [
    ("conv", {"filters": 4, "kernel": (5, 3), "stride": 2, "padding": 2}), ("batchnorm", {}), ("relu", {}),
    ("avgpool", {"size": 2}), ("conv", {"filters": 2, "kernel": 3}), ("maxpool", {"size": 2, "stride": 1}),
    ("globalavgpool", {}), ("linear", {"units": 3}), ("dropout", {"rate": 0.5}),
]  # fmt: skip


def test_every_figure_of_a_small_network() -> None:
    network = build_network(MODEL, (2, 20, 20), rng=np.random.default_rng(0))
    n = 4 * 2 * 15 + 4 + 8 + 2 * 4 * 9 + 2 + 9
    first, second = 4 * 2 * 15 + 4, 2 * 4 * 9 + 2
    assert summarize(network) == [
        LayerRow("conv1", "conv", (4, 10, 11), first, first / n, 4 * 110 * 2 * 15, 440 * 4, (5, 3)),
        LayerRow("batchnorm1", "batchnorm", (4, 10, 11), 8, 8 / n, 440, 440 * 4, (5, 3)),
        LayerRow("relu1", "relu", (4, 10, 11), 0, 0, 0, 440 * 4, (5, 3)),
        LayerRow("avgpool1", "avgpool", (4, 5, 5), 0, 0, 400, 100 * 4, (7, 5)),
        LayerRow("conv2", "conv", (2, 3, 3), second, second / n, 2 * 9 * 4 * 9, 18 * 4, (15, 13)),
        LayerRow("maxpool1", "maxpool", (2, 2, 2), 0, 0, 0, 8 * 4, (19, 17)),
        LayerRow("globalavgpool1", "globalavgpool", (2,), 0, 0, 8, 2 * 4, None),
        LayerRow("linear1", "linear", (3,), 9, 9 / n, 6, 3 * 4, None),
        LayerRow("dropout1", "dropout", (3,), 0, 0, 0, 3 * 4, None),
    ]


def test_totals_are_the_sums() -> None:
    network = build_network(MODEL, (2, 20, 20), rng=np.random.default_rng(0))
    rows = summarize(network)
    sums = totals(rows)
    assert sums.parameters == network.get_num_parameters()
    assert sums.multiply_adds == 13_200 + 440 + 400 + 648 + 8 + 6
    assert sums.activation_bytes == 4 * (3 * 440 + 100 + 18 + 8 + 2 + 3 + 3)
    assert sum(row.share for row in rows) == pytest.approx(1)


def test_activations_of_a_float64_network_are_twice_as_large() -> None:
    small, large = (
        totals(summarize(build_network(MODEL, (2, 20, 20), rng=np.random.default_rng(0), dtype=dtype)))
        for dtype in (np.float32, np.float64)
    )
    assert large.activation_bytes == 2 * small.activation_bytes


def test_a_network_on_vectors_has_no_receptive_field() -> None:
    assert [row.receptive_field for row in summarize(Network([ReLU(), Linear(3, 2)], (3,)))] == [None, None]


def test_a_network_without_parameters_has_no_shares() -> None:
    assert [row.share for row in summarize(Network([ReLU()], (3,)))] == [0]
