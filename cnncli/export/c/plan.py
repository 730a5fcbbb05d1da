"""Turns the plain steps of a network into operations of a C program, and gives each array a place in its memory.

Images are stored as (H, W, C): the values of one pixel are neighbors, so that all loops run over neighbors. A
convolution reads an array that has the padding around it already. What follows on each number alone changes the array
in place.

C channels, F filters, H W image, KH KW kernel, SH SW stride.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from cnncli.errors import UsageError
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
    Step,
    Weights,
)
from cnncli.nn.layers.windows import Pads
from cnncli.options import Pair
from cnncli.types import Shape

NO_PADS: Pads = ((0, 0), (0, 0))

RECTIFIERS = ("relu", "leaky_relu")
FUNCTIONS = (*RECTIFIERS, "tanh", "sigmoid")


@dataclass
class Array:
    """An array of the program: an image with a border around it, or a vector, an image of one pixel.

    Attributes:
        height, width, channels: of the image without the border.
        pads: the border ((top, bottom), (left, right)), in pixels.
        offset: where it begins in the memory, in values; None for the logits, which the caller of the program owns.
    """

    height: int
    width: int
    channels: int
    pads: Pads = NO_PADS
    offset: int | None = 0

    @property
    def row(self) -> int:
        """How many values a row has, the border included."""
        return (self.width + sum(self.pads[1])) * self.channels

    @property
    def size(self) -> int:
        """How many values it has, the border included."""
        return (self.height + sum(self.pads[0])) * self.row

    @property
    def inside(self) -> int:
        """How many values come before the first pixel of the image."""
        return self.pads[0][0] * self.row + self.pads[1][0] * self.channels

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the image without the border."""
        return self.height, self.width, self.channels


@dataclass
class Operation:
    """What one call of the program does: it fills an array, then changes it in place.

    Attributes:
        name: of the layer that it comes from.
        source: what it reads; None for the pixels.
        target: what it fills.
        changes: the steps that change the target in place afterwards, with weights in its order.
    """

    name: str
    source: Array | None
    target: Array
    changes: list[Activation | ScaleShift] = field(default_factory=list)


@dataclass
class Load(Operation):
    """Reads the pixels, as value = pixel · scale + shift, and surrounds them with zeros."""

    scale: float = 1.0
    shift: float = 0.0


@dataclass
class Product(Operation):
    """A convolution, or a dense layer, whose window is all that there is.

    Attributes:
        weight: (F, KH, KW, C).
        bias: (F,).
        stride: (SH, SW), in pixels.
        slope: negative results are multiplied by it: 0 for ReLU, 1 for no activation.
        activation: the name of the layer that the slope comes from, or None.
    """

    weight: Weights = field(default_factory=lambda: np.zeros((1, 1, 1, 1), np.float32))
    bias: Weights = field(default_factory=lambda: np.zeros(1, np.float32))
    stride: Pair = (1, 1)
    slope: float = 1.0
    activation: str | None = None

    @property
    def is_dense(self) -> bool:
        """Whether there is one window, and it is the whole source."""
        return self.source is not None and self.weight[0].size == self.source.size

    @property
    def window(self) -> tuple[int, int, int]:
        """(KH, KW, C)."""
        _, height, width, channels = self.weight.shape
        return height, width, channels


@dataclass
class Pool(Operation):
    """The largest or the mean value of each window of each channel; `pads` as for `Pooling`, outside of the source."""

    function: str = "max"
    size: Pair = (1, 1)
    stride: Pair = (1, 1)
    pads: Pads = NO_PADS

    @property
    def is_global(self) -> bool:
        """Whether there is one window, and it is the whole source."""
        return self.source is not None and self.size == self.source.shape[:2] and self.pads == NO_PADS


@dataclass
class Store(Operation):
    """Copies (H, W, C) to the logits, in the order (C, H, W)."""


@dataclass
class Plan:
    """The operations in the order in which they run.

    Attributes:
        operations: the first one is a `Load`; the last one fills the logits.
        memory: how many values all arrays need together, since arrays that are never in use at the same time share it.
    """

    operations: list[Operation]
    memory: int


def make_plan(folded: FoldedNetwork) -> Plan:
    """Return the operations of a network."""
    steps = _rectify_early(folded.steps)
    operations = list(_operations(steps, folded))
    for operation, after in pairwise(operations):
        after.source = operation.target
    low, memory = True, 0
    for operation in operations:
        source, target = operation.source, operation.target
        if target.offset is not None:
            memory = max(memory, target.size + (source.size if source else 0))
    for operation in operations:
        if operation.target.offset is not None:
            operation.target.offset = 0 if low else memory - operation.target.size
            low = not low
    return Plan(operations, memory)


def _rectify_early(steps: Sequence[Step]) -> list[Step]:
    """Return the steps with a rectifier before a maximum pooling, which gives the same and joins a convolution."""
    made: list[Step] = []
    for step in steps:
        pool = made[-1] if made else None
        before = made[-2] if len(made) > 1 else None
        if (
            isinstance(step, Activation)
            and step.function in RECTIFIERS
            and isinstance(pool, Pooling)
            and pool.function == "max"
            and isinstance(before, Convolution)
        ):
            earlier = replace(step, input_shape=pool.input_shape, output_shape=pool.input_shape)
            made[-1:] = [earlier, pool]
        else:
            made.append(step)
    return made


def _operations(steps: Sequence[Step], folded: FoldedNetwork) -> Iterator[Operation]:
    """Yield the operations, without their sources and places."""
    shape: Shape = folded.input_shape
    current: Operation = Load(
        "pixels", None, _array(shape), scale=folded.pixel_scale, shift=folded.pixel_shift
    )
    flattened: Shape | None = None  # the image whose values are a vector now, still as (H, W, C)
    for step in steps:
        match step:
            case Activation(function=function) if function not in FUNCTIONS:
                raise UsageError(
                    f"{step.name} cannot be written in C, which has {', '.join(FUNCTIONS)}",
                    "use one of them, or another format, such as onnx or html",
                )
            case Addition():
                raise UsageError(
                    f"{step.name} cannot be written in C, since the program keeps no array beside the next one",
                    "use another format, such as onnx or html",
                )
            case Flattening():
                flattened = step.input_shape
                continue
            case Activation(function=function) if (
                function in RECTIFIERS
                and isinstance(current, Product)
                and not current.changes
                and current.activation is None
            ):
                current.slope, current.activation = step.slope, step.name
                continue
            case Activation():
                current.changes.append(step)
                continue
            case ScaleShift():
                current.changes.append(_reordered(step, flattened))
                continue
        target = _array(step.output_shape)
        match step:
            case Convolution():
                current.target = replace(current.target, pads=step.pads)
                weight = _ordered(_dense_kernel(step).transpose(0, 2, 3, 1))
                made: Operation = Product(
                    step.name, None, target, weight=weight, bias=step.bias, stride=step.stride
                )
            case Dense():
                made = Product(step.name, None, target, weight=_dense_weight(step, flattened), bias=step.bias)
            case Pooling(scale=scale) if scale is not None:
                raise UsageError(
                    f"{step.name} cannot be written in C, which counts the padding in every mean",
                    "use no ceil_mode and count_include_pad, or another format, such as onnx or html",
                )
            case Pooling():
                made = Pool(
                    step.name,
                    None,
                    target,
                    function=step.function,
                    size=step.size,
                    stride=step.stride,
                    pads=step.pads,
                )
            case GlobalMean():
                _, height, width = step.input_shape
                size = (height, width)
                made = Pool(step.name, None, target, function="mean", size=size, stride=size)
            case _:
                raise UsageError(f"{step.name} cannot be written in C")
        flattened = None
        yield current
        current = made
    direct = isinstance(current, Product | Pool) and current.target.height == current.target.width == 1
    if direct and not (isinstance(current, Pool) and current.function == "max"):
        current.target.offset = None
        yield current
    else:
        yield current
        yield Store("logits", None, Array(1, 1, len(folded.classes), offset=None))


def _array(shape: Shape) -> Array:
    """Return the array of an image (C, H, W) or a vector."""
    channels, height, width = (*shape, 1, 1)[:3]
    return Array(height, width, channels)


def _dense_kernel(step: Convolution) -> Weights:
    """Return the weight (F, C, KH, KW) of the same convolution without groups and dilation: the rest is zeros."""
    F, channels, KH, KW = step.weight.shape
    G, (DH, DW) = step.groups, step.dilation
    weight = np.zeros((G, F // G, G, channels, *step.reach), np.float32)
    for group, own in enumerate(step.weight.reshape(G, F // G, channels, KH, KW)):
        weight[group, :, group, :, ::DH, ::DW] = own
    return weight.reshape(F, G * channels, *step.reach)


def _dense_weight(step: Dense, flattened: Shape | None) -> Weights:
    """Return (F, 1, 1, inputs), the inputs in the order in which they are stored."""
    weight = step.weight
    if flattened is not None:
        weight = weight.reshape(len(weight), *flattened).transpose(0, 2, 3, 1)
    return _ordered(weight.reshape(len(weight), 1, 1, -1))


def _reordered(step: ScaleShift, flattened: Shape | None) -> ScaleShift:
    if flattened is None:
        return step
    scale, shift = (
        _ordered(each.reshape(flattened).transpose(1, 2, 0).reshape(-1)) for each in (step.scale, step.shift)
    )
    return replace(step, scale=scale, shift=shift)


def _ordered(array: Weights) -> Weights:
    return np.ascontiguousarray(array)
