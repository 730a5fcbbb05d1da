"""Networks to export: those of all configs and one with every layer, with BatchNorm as after a training."""

from pathlib import Path
from typing import Any

import numpy as np

from cnncli.batches.batches import to_input
from cnncli.config.load import load_config
from cnncli.data.synthetic.draw import draw_digits
from cnncli.export.folded import (
    Activation,
    Addition,
    Convolution,
    Dense,
    Flattening,
    FoldedNetwork,
    GlobalMean,
    Pooling,
    ScaleShift,
)
from cnncli.export.images import Images
from cnncli.export.subject import Subject
from cnncli.nn.build import build_network
from cnncli.nn.layers import GELU, LAYERS, AvgPool2D, Conv2D, MaxPool2D, SiLU
from cnncli.nn.layers.windows import pad
from cnncli.training.model import Model

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))

LISTS = [path for path in CONFIGS if "residual" not in path.read_text(encoding="utf-8")]
"""Those without residual blocks, which neither a C program nor a file of Keras has."""

EVERY_LAYER: list[Any] = [
    "batchnorm",
    {"conv": {"filters": 6, "kernel": 3, "padding": "same", "stride": 2}},
    "batchnorm",
    {"leaky_relu": 0.1},
    {"avgpool": {"size": 3, "stride": 2, "padding": 1}},
    {"conv": {"filters": 8, "kernel": [3, 2], "padding": [2, 1], "bias": False}},
    "tanh",
    "batchnorm",
    {"maxpool": {"size": 3, "stride": 2, "padding": 1}},
    {"conv": {"filters": 12, "kernel": 2, "padding": "same"}},
    {"dropout": 0.3},
    "batchnorm",
    "relu",
    {"maxpool": {"size": 2, "stride": 1, "padding": 1}},
    "flatten",
    "batchnorm",
    {"linear": 16},
    "batchnorm",
    "sigmoid",
    "batchnorm",
    {"linear": {"units": 10, "bias": False}},
]
OVERLAPPING = {"maxpool": {"size": 3, "stride": 2, "padding": 1}}
"""The layer of EVERY_LAYER that Keras cannot express, because tanh returns negative numbers before it."""

KERAS_LAYERS: list[Any] = [
    {"maxpool": {"size": 3, "stride": 2}} if layer == OVERLAPPING else layer for layer in EVERY_LAYER
]
MEANS: list[Any] = [
    {"conv": {"filters": 5, "kernel": 5, "stride": [2, 3], "padding": "same"}},
    "globalavgpool",
]
"""Without "flatten", and with as many channels as classes: the mean of each channel is a logit."""

GENERAL: list[Any] = [
    {"conv": {"filters": 6, "kernel": 3, "dilation": 2, "padding": [[1, 0], [0, 2]]}},
    {"prelu": -0.5},
    {"conv": {"filters": 12, "kernel": [2, 3], "groups": 6, "stride": [1, 2], "padding": 1}},
    "batchnorm",
    "silu",
    {"avgpool": {"size": 3, "stride": 2, "ceil_mode": True}},
    {"conv": {"filters": 12, "kernel": 3, "groups": 3, "dilation": [1, 2], "padding": "same"}},
    {"gelu": "tanh"},
    {"avgpool": {"size": 2, "stride": 1, "padding": "same", "count_include_pad": False}},
    {"maxpool": {"size": 2, "padding": [[1, 0], [0, 0]], "ceil_mode": True}},
    "flatten",
    {"linear": 12},
    {"prelu": {"shared": True}},
    {"linear": 12},
    "gelu",
    {"linear": 10},
]
"""What not every runtime has."""

RESIDUAL: list[Any] = [
    {"conv": {"filters": 6, "kernel": 3, "padding": "same", "bias": False}},
    "batchnorm",
    "relu",
    {
        "residual": [
            {"conv": {"filters": 6, "kernel": 3, "padding": 1, "bias": False}},
            "batchnorm",
            "relu",
            {"dropout": 0.2},
            {"conv": {"filters": 6, "kernel": 3, "padding": 1}},
        ]
    },
    "relu",
    {
        "residual": [
            {"conv": {"filters": 9, "kernel": 3, "padding": "same", "stride": 2, "bias": False}},
            "batchnorm",
            "relu",
            {"conv": {"filters": 9, "kernel": 3, "padding": "same", "bias": False}},
            "batchnorm",
        ]
    },
    "batchnorm",
    "relu",
    "flatten",
    {"linear": 12},
    {"residual": [{"linear": 7}, "tanh", {"linear": 12}]},
    {"residual": [{"linear": 10}]},
]
"""Blocks whose shortcut is x itself, or a projection, of images and of vectors."""

GENERAL_KERAS: list[Any] = [
    {"conv": {"filters": 6, "kernel": 3, "dilation": 2, "padding": [[1, 0], [0, 2]]}},
    {"prelu": -0.5},
    {"conv": {"filters": 12, "kernel": 3, "groups": 6, "stride": 2, "padding": 1}},
    "silu",
    {"maxpool": {"size": 3, "stride": 2, "padding": "same"}},
    "flatten",
    {"prelu": 0.1},
    {"linear": 10},
    "gelu",
    {"linear": 10},
]

assert {
    name
    for layer in EVERY_LAYER + MEANS + GENERAL + RESIDUAL
    for name in ([layer] if isinstance(layer, str) else layer)
} == set(LAYERS)


def make_subject(
    layers: Any, shape: tuple[int, ...] = (1, 28, 28), classes: int = 10, *, seed: int = 0, **meta: Any
) -> Subject:
    """Return an untrained model whose parameters and running statistics are all random, ready to be written.

    Args:
        layers: as `build_network` takes them.
        shape: (C, H, W) of its images.
        classes: how many outputs it has.
        seed: of its random numbers.
        meta: further fields of its checkpoint, such as `calibration`.
    """
    rng = np.random.default_rng(seed)
    network = build_network(layers, shape, rng=rng)
    for name, parameter in network.parameters.named.items():
        if not name.endswith("weight"):
            parameter.value = rng.uniform(0.5, 1.5, parameter.shape) * rng.choice([-1, 1], parameter.shape)
    for name, buffer in network.buffers.items():
        buffer[...] = (
            rng.uniform(0.5, 2, buffer.shape) if name.endswith("var") else rng.normal(0, 0.3, buffer.shape)
        )
    names = tuple("0123456789"[:classes])
    found = {"config": {}, "input_shape": list(shape), "classes": list(names), **meta}
    normalize = (0.1307, 0.3081)
    return Subject(Model(network, names, normalize, "net", Path("net.npz"), "best", found), "net")


def make_config_subject(path: Path) -> Subject:
    """Return an untrained model of a config, as `make_subject` does."""
    return make_subject(load_config(path).model)


def digits(count: int, shape: tuple[int, ...] = (1, 28, 28)) -> Images:
    """Return drawn digits as a network with this input shape takes them."""
    images = draw_digits(np.arange(count) % 10, np.random.default_rng(5))[:, : shape[1], : shape[2]]
    return Images(
        images if shape[0] == 1 else np.stack([images, images // 2, 255 - images], axis=3), "drawn digits"
    )


def run_steps(folded: FoldedNetwork, images: Images) -> np.ndarray:
    """Return the logits (N, K) that the plain steps give, each computed by the layer whose formula it has."""
    return _run(folded.steps, to_input(images.pixels, folded.normalize, np.float64))


def _run(steps: tuple[Any, ...], x: np.ndarray) -> np.ndarray:
    for step in steps:
        assert x.shape[1:] == step.input_shape
        match step:
            case Convolution(weight=weight):
                channels, more = (
                    step.input_shape[0],
                    {"groups": step.groups, "dilation": step.dilation},
                )
                layer = Conv2D(
                    channels, weight.shape[0], weight.shape[2:], step.stride, dtype=np.float64, **more
                )
                layer.weight, layer.bias = weight, step.bias
                x = layer.forward(pad(x, step.pads))
            case Pooling(function="max"):
                x = MaxPool2D(step.size, step.stride).forward(pad(x, step.pads, -np.inf))
            case Pooling():
                x = AvgPool2D(step.size, step.stride).forward(pad(x, step.pads))
                x = x if step.scale is None else x * step.scale
            case Addition():
                x = _run(step.body, x) + _run(step.shortcut, x)
            case Dense():
                x = x @ step.weight.T.astype(np.float64) + step.bias
            case ScaleShift():
                wide = (-1, *[1] * (x.ndim - 2))
                x = x * step.scale.reshape(wide) + step.shift.reshape(wide)
            case GlobalMean():
                x = x.mean(axis=(2, 3))
            case Flattening():
                x = x.reshape(len(x), -1)
            case Activation(function="prelu"):
                x = np.where(x > 0, x, step.slopes.reshape(-1, *[1] * (x.ndim - 2)) * x)
            case Activation(function=function):
                formulas = {
                    "relu": lambda x: np.maximum(x, 0),
                    "leaky_relu": lambda x, slope=step.slope: np.where(x > 0, x, slope * x),
                    "tanh": np.tanh,
                    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
                    "silu": SiLU().forward,
                    "gelu": GELU().forward,
                    "gelu_tanh": GELU("tanh").forward,
                }
                x = formulas[function](x)
        assert x.shape[1:] == step.output_shape
    return x
