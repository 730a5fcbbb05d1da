"""Runs the operations of a C program with NumPy, in float32: for the calibration of int8, and to test the plan.

N images, the others as in `plan`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from cnncli.export.c.plan import NO_PADS, Load, Operation, Plan, Pool, Product
from cnncli.export.folded import Activation, ScaleShift
from cnncli.nn.layers.windows import Pads
from cnncli.types import ByteArray, FloatArray

Numbers = npt.NDArray[Any]

CHUNK = 100
"""Images that go through an operation together."""

Watch = Callable[[Operation, int, FloatArray], None]
"""Is called with an operation, how many of its changes are done, and what its array holds then, (N, H, W, C)."""


def run_plan(
    plan: Plan, pixels: ByteArray, watch: Watch = lambda operation, changes, values: None
) -> FloatArray:
    """Return the logits (N, K).

    Args:
        plan: from `make_plan`.
        pixels: (N, H, W) or (N, H, W, 3), uint8.
        watch: sees what every array holds, for each chunk of images.
    """
    return np.concatenate(
        [_run(plan, pixels[start : start + CHUNK], watch) for start in range(0, len(pixels), CHUNK)]
    )


def _run(plan: Plan, pixels: ByteArray, watch: Watch) -> FloatArray:
    x: FloatArray = np.empty(0, np.float32)
    for operation in plan.operations:
        match operation:
            case Load():
                x = as_images(pixels) * np.float32(operation.scale) + np.float32(operation.shift)
            case Product():
                x = windows(pad(x, pads_of(operation)), operation) @ matrix(operation.weight) + operation.bias
                x = np.where(x > 0, x, np.float32(operation.slope) * x)
            case Pool():
                x = pool(x, operation)
            case _:
                x = in_channel_order(x)
        watch(operation, 0, x)
        for number, change in enumerate(operation.changes, start=1):
            x = changed(x, change)
            watch(operation, number, x)
    return x.reshape(len(pixels), -1)


def pads_of(operation: Operation) -> Pads:
    """Return the border of the array that an operation reads."""
    return NO_PADS if operation.source is None else operation.source.pads


def as_images(pixels: ByteArray) -> FloatArray:
    """Return pixels as (N, H, W, C), float32."""
    return pixels.reshape(*pixels.shape[:3], -1).astype(np.float32)


def pad(x: Numbers, pads: Pads, value: float = 0) -> Numbers:
    """Return images (N, H, W, C) with a border of one value."""
    return x if pads == NO_PADS else np.pad(x, ((0, 0), *pads, (0, 0)), constant_values=value)


def windows(x: Numbers, product: Product) -> Numbers:
    """Return what each window of the bordered images (N, H, W, C) sees: (N, OH, OW, KH·KW·C)."""
    if product.is_dense:
        return x.reshape(len(x), 1, 1, -1)
    height, width, _ = product.window
    seen = np.lib.stride_tricks.sliding_window_view(x, (height, width), (1, 2))
    seen = seen[:, :: product.stride[0], :: product.stride[1]].transpose(0, 1, 2, 4, 5, 3)
    return seen.reshape(*seen.shape[:3], -1)


def matrix(weight: Numbers) -> Numbers:
    """Return (F, KH, KW, C) as (KH·KW·C, F)."""
    return weight.reshape(len(weight), -1).T


def taps(x: Numbers, operation: Pool, outside: float) -> Numbers:
    """Return the values that each window of a pooling sees, (N, OH, OW, C, KH, KW)."""
    seen = np.lib.stride_tricks.sliding_window_view(pad(x, operation.pads, outside), operation.size, (1, 2))
    return seen[:, :: operation.stride[0], :: operation.stride[1]]


def pool(x: FloatArray, operation: Pool) -> FloatArray:
    """Return the largest or the mean value of each window."""
    if operation.function == "max":
        largest: FloatArray = taps(x, operation, -np.inf).max(axis=(4, 5))
        return largest
    mean: FloatArray = taps(x, operation, 0).mean(axis=(4, 5))
    return mean


def changed(x: FloatArray, change: Activation | ScaleShift) -> FloatArray:
    """Return what a step makes of each number."""
    if isinstance(change, ScaleShift):
        wide = x.reshape(len(x), -1, len(change.scale))
        return (wide * change.scale + change.shift).reshape(x.shape)
    match change.function:
        case "tanh":
            return np.tanh(x)
        case "sigmoid":
            return 1 / (1 + np.exp(-x))
    return np.where(x > 0, x, np.float32(change.slope) * x)


def in_channel_order(x: Numbers) -> Numbers:
    """Return images (N, H, W, C) as vectors in the order (C, H, W): (N, 1, 1, C·H·W)."""
    return x.transpose(0, 3, 1, 2).reshape(len(x), 1, 1, -1)
