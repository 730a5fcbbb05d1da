"""Explains one number of a layer: which numbers it was made of, and how.

C channels, H W maps that a layer reads, KH KW its window.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from cnncli.nn.layers import (
    GELU,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    GlobalAvgPool,
    Layer,
    LeakyReLU,
    Linear,
    MaxPool2D,
    Placed,
    PReLU,
    Residual,
)
from cnncli.nn.layers.activations import TANH_CUBE
from cnncli.nn.layers.windows import reach
from cnncli.nn.network import Network
from cnncli.options import Pair
from cnncli.types import FloatArray, Shape

from .activations import LayerOutput, as_batch, layer_outputs
from .position import INPUT, Position
from .receptive_field import receptive_fields, way_to

How = Literal["sum", "mean", "max", "scale", "function", "copy", "addition"]
"""How a value is made: of products and a bias, as a mean, as the largest, by the four numbers of a batch normalization,
by a function of one number, not at all, or by adding the two ways of a residual block."""

FLOAT32_STEP = 2.0**-24
"""The largest relative error of one rounding to float32."""

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class OneValue:
    """One number of the output of a layer, and what it was made of.

    Attributes:
        position: which number.
        kind: of the layer.
        value: the number, as the network computes it.
        how: how it is made.
        reads: the name of what the layer reads: the layer before it, or "input".
        inputs: the numbers that are read: (C, KH, KW) of a convolution, with the channels of its group, (KH, KW) of
            a pooling, (H, W) of a global one, (n,) of a linear layer, (2,) of a residual block, what its layers return
            and the shortcut, () of the others. Padding is 0, or −inf for a
            maximum.
        first: the index of the first of them in what is read; negative where the window begins in the padding.
        steps: the distance of the rows and columns that a window reads; above 1 for a dilated convolution.
        weights: what each is multiplied by, of the same shape; None where there are none.
        bias: what is added; None where there is none.
        numbers: for a batch normalization its mean, variance, eps, gamma and beta; for a function its parameters; for
            a mean that leaves out padding how many numbers count.
        exact: the value, computed in float64 without rounding in between.
        magnitude: the sum of the absolute values that were added: rounding errors are shares of it.
        box: the pixels of the input that the value depends on: left, top, right, bottom. None without images.
    """

    position: Position
    kind: str
    value: float
    how: How
    reads: str
    inputs: FloatArray
    first: Shape
    weights: FloatArray | None
    bias: float | None
    numbers: dict[str, float] = field(default_factory=dict)
    exact: float = 0.0
    magnitude: float = 0.0
    box: Box | None = None
    steps: Pair = (1, 1)

    @property
    def products(self) -> FloatArray | None:
        """Each input times its weight, in float64, where the product of two float32 is exact."""
        if self.weights is None:
            return None
        products: FloatArray = self.inputs.astype(np.float64) * self.weights
        return products

    @property
    def winner(self) -> Shape | None:
        """The place of the largest input of a maximum, in its window; None for anything else."""
        if self.how != "max":
            return None
        return tuple(int(at) for at in np.unravel_index(self.inputs.argmax(), self.inputs.shape))

    @property
    def decimals(self) -> int:
        """To how many decimals the value and the exact one agree; not more than float32 has."""
        return agreeing_decimals(self.exact, self.value, self.magnitude)


def agreeing_decimals(exact: float, value: float, magnitude: float = 0.0) -> int:
    """Return the largest number of decimals to which two numbers round to the same, as far as float32 has them.

    A network adds in float32, and in another order than one adds by hand. So its sum differs in the last digits, and
    digits in which both agree are the only ones worth showing.

    Args:
        exact: a sum without rounding.
        value: the same sum in float32.
        magnitude: the sum of the absolute values that were added.

    Example:
        >>> agreeing_decimals(0.73451209, 0.73451203)
        6
    """
    largest = max(abs(value), abs(exact), magnitude)
    if not (math.isfinite(exact) and math.isfinite(value)) or largest == 0:
        return 0 if largest else 1
    decimals = min(max(math.ceil(-math.log10(largest * FLOAT32_STEP)), 0), 15)
    while decimals and _rounded(exact, decimals) != _rounded(value, decimals):
        decimals -= 1
    return decimals


def _rounded(number: float, decimals: int) -> str:
    text = f"{number:.{decimals}f}"
    return text.lstrip("-") if not text.strip("-0.") else text


def explain_value(network: Network, x: FloatArray, position: Position) -> OneValue:
    """Return what one value of a layer was made of.

    Args:
        network: any.
        x: (C, H, W), normalized; one sample of whatever shape the network takes.
        position: from `read_position`.

    Returns:
        The value with its parts. `exact` is computed from them in float64: it is within float32's rounding of `value`.

    Example:
        >>> network = Network([Conv2D(1, 1, 2)], (1, 3, 3))
        >>> network.layers[0].weight, network.layers[0].bias = [[[[1, 2], [3, 4]]]], [5]
        >>> found = explain_value(network, np.arange(9.0).reshape(1, 3, 3), Position("conv1", (0, 1, 1)))
        >>> found.inputs.tolist(), found.products.tolist(), found.value
        ([[[4.0, 5.0], [7.0, 8.0]]], [[[4.0, 10.0], [21.0, 32.0]]], 72.0)
    """
    block, _, inner = position.layer.partition(".")
    index = network.names.index(block)
    layer = network.layers[index]
    before = LayerOutput(INPUT, INPUT, as_batch(network, x[np.newaxis]))
    for output in layer_outputs(network, x[np.newaxis]):
        if output.name == block:
            break
        before = output
    if inner:
        *way, last = way_to(layer, inner)
        for part in way:
            name = f"{block}.{part.name}"
            before = LayerOutput(name, part.layer.kind, part.layer.forward(before.values))
        layer = last.layer
        output = LayerOutput(position.layer, layer.kind, layer.forward(before.values))
    read = before.values[0]
    made = _made_of(layer, read, position.index)
    box: Box | None = None
    if len(network.input_shape) == 3:
        row, column = position.index[1:] if len(position.index) == 3 else (0, 0)
        left, top, right, bottom = receptive_fields(network, position.layer, row, column).tolist()
        box = left, top, right, bottom
        if layer.kind == "flatten" and read.ndim == 3:
            box = _box_of(network, index - 1, made.first)
    return OneValue(
        position,
        layer.kind,
        float(output.values[0][position.index]),
        made.how,
        before.name,
        made.inputs,
        made.first,
        made.weights,
        made.bias,
        made.numbers,
        *_exact(layer, made),
        box,
        made.steps,
    )


def _box_of(network: Network, before: int, place: Shape) -> Box:
    """Return the pixels that a value of a layer, or of the input (−1), depends on."""
    _, row, column = place
    if before < 0:
        return column, row, column + 1, row + 1
    left, top, right, bottom = receptive_fields(network, network.names[before], row, column).tolist()
    return left, top, right, bottom


@dataclass(frozen=True)
class _Made:
    how: How
    inputs: FloatArray
    first: Shape
    weights: FloatArray | None = None
    bias: float | None = None
    numbers: dict[str, float] = field(default_factory=dict)
    steps: Pair = (1, 1)


def _made_of(layer: Layer, read: FloatArray, index: Shape) -> _Made:
    """Return the parts of one value of a layer.

    Args:
        layer: the layer.
        read: what it reads, without the batch axis.
        index: of the value in its output.
    """
    if isinstance(layer, Conv2D):
        f, row, column = index
        pads = layer.pads(read.shape)
        top, left = row * layer.stride[0] - pads[0][0], column * layer.stride[1] - pads[1][0]
        bias = float(layer.bias[f]) if "bias" in layer.parameters else None
        channels = layer.weight.shape[1]
        start = f // (layer.out_channels // layer.groups) * channels
        (DH, DW), span = layer.dilation, reach(layer.kernel_size, layer.dilation)
        window = _window(read[start : start + channels], (top, left), span, 0.0)[:, ::DH, ::DW]
        return _Made("sum", window, (start, top, left), layer.weight[f], bias, steps=layer.dilation)
    if isinstance(layer, MaxPool2D | AvgPool2D):
        c, row, column = index
        pads = layer.pads(read.shape)
        top, left = row * layer.stride[0] - pads[0][0], column * layer.stride[1] - pads[1][0]
        largest = isinstance(layer, MaxPool2D)
        window = _window(read[c : c + 1], (top, left), layer.pool_size, -np.inf if largest else 0.0)[0]
        counts = None if isinstance(layer, MaxPool2D) else layer.counts(read.shape)
        counted = {} if counts is None else {"count": float(counts[row, column])}
        return _Made("max" if largest else "mean", window, (c, top, left), numbers=counted)
    if isinstance(layer, Residual):
        body, shortcut = (_run(parts, read)[index] for parts in (layer.body, layer.shortcut))
        return _Made("addition", np.stack([body, shortcut]), index)
    if isinstance(layer, GlobalAvgPool):
        return _Made("mean", read[index[0]], (index[0], 0, 0))
    if isinstance(layer, Linear):
        bias = float(layer.bias[index]) if "bias" in layer.parameters else None
        return _Made("sum", read, (0,), layer.weight[index[0]], bias)
    if isinstance(layer, BatchNorm):
        c = index[0]
        numbers = {
            "mean": float(layer.running_mean[c]),
            "variance": float(layer.running_var[c]),
            "eps": layer.eps,
            "gamma": float(layer.gamma[c]),
            "beta": float(layer.beta[c]),
        }
        return _Made("scale", read[index], index, numbers=numbers)
    if layer.kind == "flatten":
        place = tuple(int(at) for at in np.unravel_index(index[0], read.shape))
        return _Made("copy", read[place], place)
    if layer.kind == "dropout":
        return _Made("copy", read[index], index)
    numbers = {}
    if isinstance(layer, LeakyReLU):
        numbers = {"slope": layer.slope}
    elif isinstance(layer, PReLU):
        numbers = {"weight": float(layer.weight[0 if layer.shared else index[0]])}
    elif isinstance(layer, GELU) and layer.approximate == "tanh":
        numbers = {"cube": TANH_CUBE}
    return _Made("function", read[index], index, numbers=numbers)


def _run(parts: Sequence[Placed], values: FloatArray) -> FloatArray:
    """Return what some layers make of one sample."""
    batch = values[np.newaxis]
    for part in parts:
        batch = part.layer.forward(batch)
    result: FloatArray = batch[0]
    return result


def _window(read: FloatArray, corner: tuple[int, int], size: tuple[int, int], fill: float) -> FloatArray:
    """Return a window (C, KH, KW) of maps (C, H, W), filled where it lies in the padding."""
    (top, left), (KH, KW) = corner, size
    window = np.full((len(read), KH, KW), fill, read.dtype)
    rows = range(max(top, 0), min(top + KH, read.shape[1]))
    columns = range(max(left, 0), min(left + KW, read.shape[2]))
    if rows and columns:
        part = read[:, rows.start : rows.stop, columns.start : columns.stop]
        window[:, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = part
    return window


def _exact(layer: Layer, made: _Made) -> tuple[float, float]:
    """Return a value in float64, and the sum of the absolute values that were added for it."""
    numbers = made.inputs.astype(np.float64)
    if made.how == "sum":
        assert made.weights is not None
        terms = [*(numbers * made.weights).ravel().tolist(), made.bias or 0.0]
        return _sum(terms), _sum([abs(term) for term in terms])
    if made.how == "mean":
        count = made.numbers.get("count", numbers.size)
        return _sum(numbers.ravel().tolist()) / count, float(np.abs(numbers).sum() / count)
    if made.how == "max":
        return float(numbers.max()), 0.0
    if made.how == "addition":
        return float(numbers.sum()), float(np.abs(numbers).sum())
    number = float(numbers)
    if made.how == "scale":
        mean, variance, eps, gamma, beta = made.numbers.values()
        scale = gamma / math.sqrt(variance + eps)
        return scale * (number - mean) + beta, abs(scale) * (abs(number) + abs(mean)) + abs(beta)
    if made.how == "copy":
        return number, 0.0
    if isinstance(layer, PReLU):
        return number if number > 0 else made.numbers["weight"] * number, 0.0
    # the layer itself, in float64: a function of one number has no parts
    exact = float(layer.forward(np.full((1, 1), number))[0, 0])
    return exact, 0.0


def _sum(terms: Sequence[float]) -> float:
    """Return the correctly rounded sum, or what NumPy says where a term is not finite."""
    return math.fsum(terms) if all(map(math.isfinite, terms)) else float(np.sum(terms))
