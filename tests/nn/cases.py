"""The cases on which every layer is tested: one list per entry of LAYERS.

A new layer needs a list here (a test fails without it), and is then checked against finite differences, for
its shapes, dtypes and options, and through save and load. Shapes are those of a whole batch, (N, C, H, W) or
(N, features), and small, because the oracles are slow.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, product
from typing import Any, NamedTuple

import numpy as np

from cnncli.nn.layers import LAYERS, Layer


class Case(NamedTuple):
    """One layer on one batch shape."""

    kind: str
    shape: tuple[int, ...]
    options: dict[str, Any]

    def __str__(self) -> str:
        options = ",".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.kind}({options})-{'x'.join(map(str, self.shape))}".replace(" ", "")

    def layer(self, dtype: Any = np.float64, seed: int = 0) -> Layer:
        """Return the layer with parameters and buffers that are not at their start values."""
        rng = np.random.default_rng(seed)
        layer = LAYERS[self.kind].from_options(self.options, self.shape[1:], rng=rng, dtype=dtype)
        for parameter in layer.parameters.values():
            parameter.value = rng.uniform(-1, 1, parameter.shape)
        for buffer in layer.buffers.values():
            buffer[...] = rng.uniform(0.5, 1.5, buffer.shape)
        return layer

    def x(self, dtype: Any = np.float64) -> np.ndarray:
        """Return a batch whose numbers are all different, evenly spaced and none of them zero.

        So no finite difference steps over the kink of a ReLU or swaps the maximum of a window.
        """
        size = int(np.prod(self.shape))
        values = (np.arange(size) - size // 2 + 0.5) / max(size, 2) * 4
        return np.random.default_rng(1).permutation(values).reshape(self.shape).astype(dtype)

    def dy(self, y: np.ndarray) -> np.ndarray:
        """Return a gradient for the output y."""
        return np.random.default_rng(2).uniform(-1, 1, y.shape).astype(y.dtype)


@contextmanager
def named(case: Case) -> Iterator[None]:
    """Say which case it was when an assertion fails: a test goes through all cases of a kind."""
    try:
        yield
    except Exception as error:
        error.add_note(str(case))
        raise


# batch 1, one channel, one pixel, one row, one column, wide and tall
IMAGES = [
    (1, 1, 1, 1), (1, 1, 5, 5), (2, 3, 4, 4), (3, 1, 6, 4), (1, 4, 3, 7), (4, 2, 2, 2), (2, 2, 1, 9),
    (2, 2, 9, 1), (5, 3, 1, 1), (1, 7, 2, 3), (2, 1, 7, 7), (3, 2, 5, 3), (1, 2, 8, 5), (6, 1, 3, 3),
    (2, 5, 3, 2), (1, 1, 1, 6), (1, 1, 6, 1), (2, 3, 5, 6), (7, 1, 2, 5), (1, 3, 7, 4),
]  # fmt: skip
VECTORS = [
    (1, 1), (1, 2), (2, 1), (2, 2), (3, 3), (1, 7), (7, 1), (4, 5), (5, 4), (2, 9), (9, 2), (3, 8), (8, 3),
    (6, 6), (1, 16), (16, 1), (4, 10), (10, 4), (2, 13), (13, 2),
]  # fmt: skip
EVERYTHING = [*IMAGES, *VECTORS]
FEW = [
    (1, 1, 1, 1), (2, 3, 4, 4), (1, 4, 3, 7), (2, 2, 9, 1), (5, 3, 1, 1), (4, 2, 2, 2), (1, 1), (1, 7), (4, 5), (13, 2),
]  # fmt: skip


def dealt(kind: str, shapes: list[tuple[int, ...]], *options: dict[str, Any]) -> list[Case]:
    """Cases of a layer that takes any shape, its options dealt out in turn."""
    return [Case(kind, shape, some) for shape, some in zip(shapes, cycle(options or ({},)), strict=False)]


def elementwise(kind: str, *options: dict[str, Any]) -> list[Case]:
    """Cases of a layer that treats each number alone: one that is right on these shapes is right on all."""
    return dealt(kind, FEW, *options)


def convolutions() -> list[Case]:
    """All kernels with all strides and paddings, on images used in turn, and then some edge cases."""
    kernels = [1, 2, 3, 5, (1, 3), (3, 1), (2, 4)]
    moves = [
        {}, {"padding": "same"}, {"stride": 2, "padding": 1}, {"stride": 3, "padding": "same"},
        {"stride": 2, "padding": "valid"}, {"stride": (1, 2), "padding": (2, 0)}, {"padding": 3},
    ]  # fmt: skip
    images = cycle([(1, 1, 5, 5), (2, 2, 6, 5), (1, 3, 5, 8), (3, 1, 7, 6), (2, 1, 5, 9)])
    made = [
        Case("conv", shape, {"filters": 1 + i % 3, "kernel": kernel, **move})
        for i, ((kernel, move), shape) in enumerate(zip(product(kernels, moves), images, strict=False))
    ]
    odd: list[tuple[tuple[int, ...], dict[str, Any]]] = [
        ((1, 1, 1, 1), {"filters": 1, "kernel": 1}),
        ((2, 1, 1, 1), {"filters": 2, "kernel": 3, "padding": "same"}),
        ((1, 2, 1, 1), {"filters": 2, "kernel": 3, "padding": 3}),  # some windows see only padding
        ((2, 2, 3, 4), {"filters": 3, "kernel": (3, 4)}),  # the kernel is the image
        ((1, 1, 2, 2), {"filters": 1, "kernel": 5, "padding": 2}),  # the kernel is larger than the image
        ((2, 3, 4, 4), {"filters": 2, "kernel": 3, "bias": False}),
        ((2, 3, 4, 4), {"filters": 2, "kernel": 3, "padding": 1, "init": "glorot"}),
        ((1, 2, 7, 7), {"filters": 2, "kernel": 3, "stride": 3}),  # an unseen border row and column
        ((1, 1, 8, 8), {"filters": 1, "kernel": 2, "stride": 3}),  # unseen pixels between windows
        ((2, 1, 6, 6), {"filters": 2, "kernel": 3, "stride": 5, "padding": 2}),
        ((1, 2, 6, 7), {"filters": 1, "kernel": (5, 2), "stride": (2, 3), "padding": "same"}),
        ((2, 2, 1, 8), {"filters": 2, "kernel": (1, 3), "padding": "same"}),
        # groups: depthwise, with two filters a channel, and groups of several channels
        ((2, 3, 5, 4), {"filters": 3, "kernel": 3, "padding": 1, "groups": 3}),
        ((1, 2, 6, 5), {"filters": 4, "kernel": (2, 3), "stride": 2, "groups": 2, "bias": False}),
        ((2, 4, 5, 5), {"filters": 6, "kernel": 3, "padding": "same", "groups": 2}),
        ((1, 6, 4, 4), {"filters": 3, "kernel": 1, "stride": (1, 2), "groups": 3}),
        # dilation
        ((1, 2, 7, 8), {"filters": 2, "kernel": 3, "dilation": 2}),
        ((2, 1, 6, 9), {"filters": 3, "kernel": (2, 3), "dilation": (3, 2), "padding": "same"}),
        ((1, 2, 9, 7), {"filters": 2, "kernel": 3, "stride": 2, "dilation": (1, 3), "padding": (0, 3)}),
        ((2, 4, 6, 6), {"filters": 4, "kernel": 3, "dilation": 2, "padding": 2, "groups": 4}),
        ((1, 1, 8, 8), {"filters": 1, "kernel": 2, "stride": 3, "dilation": 4, "padding": ((1, 0), (0, 2))}),
        # each side by itself
        ((2, 2, 4, 5), {"filters": 2, "kernel": 3, "padding": ((1, 0), (0, 2))}),
        ((1, 1, 5, 4), {"filters": 2, "kernel": (2, 3), "stride": 2, "padding": ((0, 3), (2, 1))}),
    ]
    return made + [Case("conv", shape, options) for shape, options in odd]


def poolings(kind: str) -> list[Case]:
    """Windows with strides and paddings: overlapping, adjacent and with gaps."""
    windows: list[dict[str, Any]] = [
        {"_": 2}, {"size": 2}, {"size": 3}, {"size": 1}, {"size": (2, 3)}, {"size": (3, 1)},
        {"size": 4, "stride": 2}, {"size": 2, "stride": 1}, {"size": 3, "stride": 1},
        {"size": 3, "stride": 2}, {"size": 2, "stride": 3}, {"size": 2, "padding": 1},
        {"size": 3, "stride": 2, "padding": 1}, {"size": 3, "stride": 1, "padding": 1},
        {"size": 3, "stride": (1, 2), "padding": (1, 0)}, {"size": 5, "stride": 3, "padding": 2},
        {"size": (2, 4), "stride": (3, 1), "padding": (1, 2)},
        # padding > window / 2
        {"size": 3, "stride": 2, "padding": 2}, {"size": 4, "stride": 1, "padding": 3},
        {"size": (1, 5), "stride": 1, "padding": (0, 4)},
    ]  # fmt: skip
    images = [(1, 1, 5, 5), (2, 3, 4, 7), (3, 2, 6, 6)]
    made = [Case(kind, images[i % 3], options) for i, options in enumerate(windows)]
    made += [Case(kind, images[(i + 1) % 3], options) for i, options in enumerate(windows)]
    odd: list[tuple[tuple[int, ...], dict[str, Any]]] = [
        ((1, 1, 1, 1), {"size": 1}),
        ((1, 2, 1, 1), {"size": 3, "padding": 1}),
        ((2, 1, 3, 4), {"size": (3, 4)}),  # the window is the image
        ((2, 1, 9, 2), {"size": 2, "stride": 4}),
        ((1, 1, 1, 8), {"size": (1, 2)}),
        ((1, 2, 5, 6), {"size": 2, "padding": "same"}),
        ((2, 1, 7, 5), {"size": 3, "stride": 2, "padding": "same"}),
        ((1, 1, 4, 6), {"size": (2, 4), "stride": 1, "padding": "same"}),
        ((1, 2, 6, 5), {"size": 2, "padding": "valid"}),
        ((2, 1, 6, 7), {"size": 3, "stride": 2, "ceil_mode": True}),
        ((1, 1, 5, 8), {"size": 2, "stride": 3, "padding": 1, "ceil_mode": True}),
        ((1, 2, 6, 6), {"size": (3, 2), "stride": (2, 3), "padding": (1, 0), "ceil_mode": True}),
        ((1, 1, 2, 9), {"size": 1, "stride": 2, "ceil_mode": True}),
        ((1, 1, 5, 6), {"size": 3, "stride": 2, "padding": ((2, 0), (0, 1))}),
        ((2, 1, 6, 4), {"size": 2, "stride": 2, "padding": ((1, 0), (0, 1)), "ceil_mode": True}),
    ]
    if kind == "avgpool":
        off = {"count_include_pad": False}
        odd += [
            ((1, 2, 5, 5), {"size": 3, "stride": 2, "padding": 1, **off}),
            ((1, 1, 6, 7), {"size": (2, 4), "stride": 1, "padding": "same", **off}),
            ((2, 1, 6, 5), {"size": 3, "stride": 2, "ceil_mode": True, **off}),
            ((1, 1, 5, 8), {"size": 2, "stride": 3, "padding": ((1, 0), (0, 1)), "ceil_mode": True, **off}),
            ((1, 2, 4, 4), {"size": 2, **off}),
        ]
    return made + [Case(kind, shape, options) for shape, options in odd]


def dense() -> list[Case]:
    """Vectors that are wide and narrow, each with all options."""
    options: list[dict[str, Any]] = [
        {"_": 3},
        {"units": 1},
        {"units": 5, "bias": False},
        {"units": 2, "init": "glorot"},
    ]
    shapes = [(1, 1), (4, 5), (2, 13), (13, 2)]
    return [Case("linear", shape, some) for shape, some in product(shapes, options)]


def blocks() -> list[Case]:
    """Residual blocks whose shortcut is x itself, or a projection with and without a batch normalization."""

    def conv(filters: int, **options: Any) -> dict[str, Any]:
        return {"conv": {"filters": filters, "kernel": 3, "padding": "same", **options}}

    made: list[tuple[tuple[int, ...], list[Any]]] = [
        ((2, 2, 5, 4), [conv(2)]),
        ((2, 3, 4, 4), [conv(2), "relu", conv(3)]),
        ((3, 2, 4, 5), [conv(2, bias=False), "batchnorm", "relu", conv(2, bias=False), "batchnorm"]),
        ((3, 2, 6, 5), [conv(4, stride=2, bias=False), "batchnorm", "relu", conv(4), "batchnorm"]),
        ((2, 2, 5, 5), [conv(3, stride=(2, 1)), "tanh"]),
        ((1, 2, 3, 3), [conv(4), "prelu"]),
        ((2, 2, 4, 4), ["batchnorm", "relu", conv(2), "batchnorm", "relu", conv(2)]),
        ((2, 1, 6, 6), [{"avgpool": 2}, conv(2)]),
        ((2, 4, 3, 3), [conv(4, groups=4), {"conv": {"filters": 4, "kernel": 1}}]),
        ((4, 5), [{"linear": 7}, "relu", {"linear": 5}]),
        ((4, 5), [{"linear": 3}, "sigmoid"]),
        ((5, 3), [{"linear": 4}, "batchnorm", "silu"]),
    ]
    return [Case("residual", shape, {"layers": layers}) for shape, layers in made]


CASES: dict[str, list[Case]] = {
    "conv": convolutions(),
    "maxpool": poolings("maxpool"),
    "avgpool": poolings("avgpool"),
    "globalavgpool": [Case("globalavgpool", shape, {}) for shape in IMAGES],
    "relu": elementwise("relu"),
    "leaky_relu": elementwise("leaky_relu", {}, {"slope": 0.2}, {"_": 0.5}, {"slope": 0}),
    "prelu": elementwise("prelu", {}, {"slope": -0.5}, {"shared": True}, {"_": 0, "shared": True}),
    "silu": elementwise("silu"),
    "gelu": elementwise("gelu", {}, {"approximate": "tanh"}, {"_": "none"}),
    "tanh": elementwise("tanh"),
    "sigmoid": elementwise("sigmoid"),
    "flatten": elementwise("flatten"),
    "linear": dense(),
    "batchnorm": dealt(
        "batchnorm", EVERYTHING, {}, {"momentum": 0.3}, {"eps": 1e-3}, {"momentum": 1, "eps": 0.1}
    ),
    "dropout": elementwise("dropout", {"_": 0.5}, {"rate": 0.1}, {"rate": 0}, {"rate": 0.9}),
    "residual": blocks(),
}

FIRST_CASES = [case for cases in CASES.values() for case in (cases[5], cases[-1])]
"""Two of each kind, for what does not depend on the shape."""
