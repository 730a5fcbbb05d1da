"""Runs the operations on bytes with NumPy, to the bit as the C program does: the program is checked against it.

The letters are those of `plan`.
"""

import numpy as np

from cnncli.export.c.plan import Load, Pool, Product
from cnncli.export.c.quantize import BRIGHTEST, ByteOperation, BytePlan, Change, Level
from cnncli.export.c.run import (
    CHUNK,
    as_images,
    changed,
    in_channel_order,
    matrix,
    pad,
    pads_of,
    taps,
    windows,
)
from cnncli.types import ByteArray, FloatArray


def run_bytes(plan: BytePlan, pixels: ByteArray) -> FloatArray:
    """Return the logits (N, K) that the program computes, to the last bit if its compiler joins no operations.

    Args:
        plan: from `quantize`.
        pixels: (N, H, W) or (N, H, W, 3), uint8.
    """
    return np.concatenate(
        [_run(plan, pixels[start : start + CHUNK]) for start in range(0, len(pixels), CHUNK)]
    )


def _run(plan: BytePlan, pixels: ByteArray) -> FloatArray:
    x = as_images(pixels)
    for each in plan.operations:
        operation = each.operation
        match operation:
            case Load():
                pass
            case Product():
                x = _product(each, operation, x)
            case Pool(function="max"):
                x = np.max(taps(x, operation, 0), axis=(4, 5))
            case Pool():
                x = _mean(each, operation, x)
            case _:
                assert each.source is not None
                level = each.source
                x = in_channel_order((x - level.zero) * np.float32(level.scale) + np.float32(level.rest))
        for change in each.changes:
            x = _changed(change, x)
        if each.target is None:
            for step in operation.changes:
                x = changed(x, step)
    return x.reshape(len(pixels), -1)


def _product(each: ByteOperation, product: Product, x: FloatArray) -> FloatArray:
    assert each.source is not None
    # whole numbers below 2**53 are exact in float64, and its products are faster than those of integers
    seen = windows(pad(x, pads_of(product), each.source.zero) - each.source.zero, product).astype(np.float64)
    sums = (seen @ matrix(each.weight).astype(np.float64)).astype(np.float32)
    value = sums * each.scale + each.bias
    value = np.where(value > 0, value, np.float32(product.slope) * value).astype(np.float32)
    return value if each.target is None else _to_bytes(value, each.target)


def _mean(each: ByteOperation, pool: Pool, x: FloatArray) -> FloatArray:
    assert each.source is not None
    sums = (taps(x, pool, each.source.zero) - each.source.zero).sum(axis=(4, 5))
    value = sums.astype(np.float32) * each.scale + each.bias
    return value if each.target is None else _to_bytes(value, each.target)


def _changed(change: Change, x: FloatArray) -> FloatArray:
    if change.table is not None:
        return change.table[x.astype(np.uint8)].astype(np.float32)
    wide = x.reshape(len(x), -1, len(change.scale))
    value = (wide - change.source.zero) * change.scale + change.shift
    shaped: FloatArray = _to_bytes(value, change.target).reshape(x.shape)
    return shaped


def _to_bytes(value: FloatArray, level: Level) -> FloatArray:
    """Return floor(value + zero + 0.5) in 0..255, as float32."""
    bytes_: FloatArray = np.floor(np.clip(value + level.offset, 0, BRIGHTEST)).astype(np.float32)
    return bytes_
