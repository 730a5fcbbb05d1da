"""Turns the operations of a network into operations on bytes, so that it fits into a microcontroller.

An activation is a byte: value = (byte − zero) · scale. Its range is that of 500 training images. A weight is a signed
byte with one scale for each filter. Products are added up as whole numbers, and become a byte again by one
multiplication: floor(sum · scale + bias + zero + 0.5).

The letters are those of `plan`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cnncli.errors import UsageError
from cnncli.export.c.plan import Load, Operation, Plan, Pool, Product
from cnncli.export.c.run import changed, run_plan
from cnncli.export.folded import Activation, ScaleShift, Weights
from cnncli.types import ByteArray, FloatArray

CALIBRATION_IMAGES = 500

BRIGHTEST = 255
LARGEST_WEIGHT = 127
LARGEST_SUM = (1 << 31) - 1


def no_bytes() -> npt.NDArray[np.int8]:
    return np.zeros(0, np.int8)


def no_weights() -> Weights:
    return np.zeros(0, np.float32)


class Level(NamedTuple):
    """What a byte of an array stands for: value = (byte − zero) · scale + rest.

    Attributes:
        scale: of one step.
        zero: the byte that stands for 0.
        rest: what is lost since `zero` is a whole number; only pixels have one.
    """

    scale: float
    zero: int
    rest: float = 0.0

    @property
    def offset(self) -> np.float32:
        """What is added to value / scale before it is cut off to a byte."""
        return np.float32(self.zero + 0.5)

    def value(self, bytes_: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the numbers that bytes stand for."""
        return (np.asarray(bytes_, np.float64) - self.zero) * self.scale + self.rest


@dataclass
class Change:
    """What changes an array of bytes in place: a table with a byte for each byte, or a scale and a shift.

    Attributes:
        step: where it comes from.
        source, target: what the bytes stand for, before and after.
        table: (256,), uint8; None for a scale and a shift.
        scale, shift: of (byte − zero), so that the result is value / scale of the target.
    """

    step: Activation | ScaleShift
    source: Level
    target: Level
    table: ByteArray | None = None
    scale: Weights = field(default_factory=no_weights)
    shift: Weights = field(default_factory=no_weights)


@dataclass
class ByteOperation:
    """An operation on bytes.

    Attributes:
        operation: the same in float32.
        source: what the bytes stand for that it reads; None for pixels.
        target: what the bytes stand for that it fills; None if it fills the logits, which are floats.
        weight: (F, KH, KW, C), int8; empty for what is no product.
        scale, bias: of the sum, so that the result is value / scale of the target. (F,), or (1,) for a pool of means.
        changes: what follows on bytes. What follows on logits is in the operation itself.
    """

    operation: Operation
    source: Level | None
    target: Level | None
    weight: npt.NDArray[np.int8] = field(default_factory=no_bytes)
    scale: Weights = field(default_factory=no_weights)
    bias: Weights = field(default_factory=no_weights)
    changes: list[Change] = field(default_factory=list)

    @property
    def last(self) -> Level | None:
        """What the bytes of the target stand for after the changes."""
        return self.changes[-1].target if self.changes else self.target


@dataclass(frozen=True)
class BytePlan:
    """A network whose arrays are bytes.

    Attributes:
        plan: the same in float32, with the places in the memory.
        operations: in the order in which they run.
    """

    plan: Plan
    operations: tuple[ByteOperation, ...]


def quantize(plan: Plan, pixels: ByteArray) -> BytePlan:
    """Return the operations on bytes.

    Args:
        plan: from `make_plan`.
        pixels: training images, (N, H, W) or (N, H, W, 3).

    Raises:
        UsageError: a layer adds up so many products that a sum may not fit into 32 bits.
    """
    ranges: dict[tuple[int, int], tuple[float, float]] = {}
    numbers = {id(operation): number for number, operation in enumerate(plan.operations)}

    def widen(operation: Operation, changes: int, values: FloatArray) -> None:
        key = numbers[id(operation)], changes
        low, high = ranges.get(key, (0.0, 0.0))
        ranges[key] = min(low, float(values.min())), max(high, float(values.max()))

    run_plan(plan, pixels, widen)
    return BytePlan(plan, tuple(_byte_operations(plan, ranges)))


def _byte_operations(
    plan: Plan, ranges: dict[tuple[int, int], tuple[float, float]]
) -> Iterator[ByteOperation]:
    source: Level | None = None
    for number, operation in enumerate(plan.operations):
        target = _level(*ranges[number, 0]) if operation.target.offset is not None else None
        match operation:
            case Load():
                made = ByteOperation(operation, None, _pixel_level(operation))
            case Product():
                made = _byte_product(operation, source, target)
            case Pool(function="max"):
                made = ByteOperation(operation, source, source)
            case Pool():
                count = operation.size[0] * operation.size[1]
                assert source is not None
                unit = target.scale if target else 1.0
                factors = np.array([[source.scale / count], [source.rest]]) / unit
                made = ByteOperation(operation, source, target, no_bytes(), *factors.astype(np.float32))
            case _:
                made = ByteOperation(operation, source, None)
        if made.target is not None:
            for position, step in enumerate(operation.changes, start=1):
                assert made.last is not None
                made.changes.append(_change(step, made.last, _level(*ranges[number, position])))
        source = made.last
        yield made


def _level(low: float, high: float) -> Level:
    """Return the level of numbers from `low` to `high`; 0 is one of them."""
    scale = (high - low) / BRIGHTEST or 1.0
    return Level(scale, round(-low / scale))


def _pixel_level(load: Load) -> Level:
    exact = -load.shift / load.scale
    zero = min(max(round(exact), 0), BRIGHTEST)
    return Level(load.scale, zero, (zero - exact) * load.scale)


def _byte_product(product: Product, source: Level | None, target: Level | None) -> ByteOperation:
    assert source is not None
    rows = product.weight.reshape(len(product.weight), -1).astype(np.float64)
    if rows.shape[1] * LARGEST_WEIGHT * BRIGHTEST > LARGEST_SUM:
        raise UsageError(
            f"{product.name} adds up {rows.shape[1]:,} products, too many for sums of 32 bits",
            "write it in float32",
        )
    largest = np.abs(rows).max(axis=1)
    steps = np.where(largest > 0, largest, 1) / LARGEST_WEIGHT
    weight = np.rint(rows / steps[:, None]).astype(np.int8)
    unit = target.scale if target else 1.0
    bias = product.bias + source.rest * steps * weight.sum(axis=1, dtype=np.int64)
    return ByteOperation(
        product,
        source,
        target,
        weight.reshape(product.weight.shape),
        (source.scale * steps / unit).astype(np.float32),
        (bias / unit).astype(np.float32),
    )


def _change(step: Activation | ScaleShift, source: Level, target: Level) -> Change:
    if isinstance(step, ScaleShift):
        scale, shift = step.scale.astype(np.float64), step.shift + source.rest * step.scale.astype(np.float64)
        return Change(
            step,
            source,
            target,
            scale=(scale * source.scale / target.scale).astype(np.float32),
            shift=(shift / target.scale).astype(np.float32),
        )
    values = changed(source.value(np.arange(256)), step)
    table = np.clip(np.floor(values / target.scale + target.zero + 0.5), 0, BRIGHTEST)
    return Change(step, source, target, table=table.astype(np.uint8))
