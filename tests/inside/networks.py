"""Networks of many forms that the tests look into."""

from typing import Any

import numpy as np

from cnncli.nn import Network, build_network

PLAIN = [{"conv": {"filters": 4, "kernel": 3}}, "relu", {"maxpool": 2}, "flatten", {"linear": 3}]

SPECS: dict[str, tuple[list[Any], tuple[int, int, int]]] = {
    "plain": (PLAIN, (1, 9, 8)),
    "padded": (
        [
            {"conv": {"filters": 3, "kernel": 3, "padding": "same"}},
            "batchnorm",
            "relu",
            {"maxpool": 2},
            {"conv": {"filters": 5, "kernel": 3, "padding": 1, "bias": False}},
            "batchnorm",
            "tanh",
            "globalavgpool",
            {"dropout": 0.3},
            {"linear": 4},
        ],
        (1, 10, 12),
    ),
    "strided, in color": (
        [
            {"conv": {"filters": 4, "kernel": [3, 2], "stride": [2, 3], "padding": [2, 1]}},
            {"leaky_relu": 0.1},
            {"conv": {"filters": 6, "kernel": 2, "stride": 2, "padding": "same"}},
            "sigmoid",
            "flatten",
            {"linear": 8},
            "relu",
            {"linear": 3},
        ],
        (3, 11, 13),
    ),
    "means": (
        [
            {"conv": {"filters": 3, "kernel": 1, "stride": 2}},
            {"avgpool": {"size": 3, "stride": 2, "padding": 1}},
            "tanh",
            {"conv": {"filters": 2, "kernel": 3, "padding": 3}},
            {"maxpool": {"size": 3, "stride": 1, "padding": 1}},
            "flatten",
            {"linear": 3},
        ],
        (1, 12, 9),
    ),
}


SPECS["groups, dilation and other activations"] = (
    [
        {"conv": {"filters": 4, "kernel": 3, "dilation": 2, "padding": [[1, 2], [0, 2]]}},
        {"prelu": -0.3},
        {"conv": {"filters": 8, "kernel": 2, "groups": 2, "padding": "same"}},
        "silu",
        {"avgpool": {"size": 3, "stride": 2, "ceil_mode": True, "count_include_pad": False}},
        {"gelu": "tanh"},
        {"maxpool": {"size": 2, "padding": "same"}},
        "gelu",
        "flatten",
        {"prelu": {"shared": True}},
        {"linear": 3},
    ],
    (1, 12, 11),
)


SPECS["residual"] = (
    [
        {"conv": {"filters": 3, "kernel": 3, "padding": "same"}},
        "relu",
        {"residual": [{"conv": {"filters": 3, "kernel": 3, "padding": 1}}, "batchnorm", "relu"]},
        "relu",
        {
            "residual": [
                {"conv": {"filters": 4, "kernel": 3, "padding": 1, "stride": 2, "bias": False}},
                "batchnorm",
                "relu",
                {"conv": {"filters": 4, "kernel": 3, "padding": 1, "bias": False}},
                "batchnorm",
            ]
        },
        "relu",
        "flatten",
        {"residual": [{"linear": 12}]},
        {"linear": 3},
    ],
    (1, 12, 11),
)


def network_of(name: str, seed: int = 0, dtype: Any = np.float64) -> Network:
    """Return a network with random weights and running statistics."""
    spec, shape = SPECS[name]
    rng = np.random.default_rng(seed)
    network = build_network(spec, shape, rng=rng, dtype=dtype)
    for _, layer, *_ in network.walk():
        if layer.kind == "batchnorm":
            layer.gamma = rng.normal(size=layer.num_features)
            layer.beta = rng.normal(size=layer.num_features)
            layer.running_mean = rng.normal(size=layer.num_features)
            layer.running_var = rng.uniform(0.5, 2, layer.num_features)
        elif "bias" in layer.parameters and not layer.parts:
            layer.bias = rng.normal(size=layer.bias.shape)
    return network


def images_of(network: Network, count: int, seed: int = 1) -> Any:
    """Return random inputs (count, C, H, W)."""
    return np.random.default_rng(seed).normal(size=(count, *network.input_shape)).astype(network.dtype)
