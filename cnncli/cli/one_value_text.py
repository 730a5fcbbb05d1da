"""Prints what one value of a layer was made of: the window, the weights, the products, and their sum."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.text import Text

from cnncli.cli.drawing import side_by_side
from cnncli.inside import OneValue
from cnncli.inside.position import INPUT
from cnncli.types import FloatArray

if TYPE_CHECKING:
    from rich.console import Console

MOST_CHANNELS = 3
"""The most channels of a window that are shown; the others are one line."""

MOST_PRODUCTS = 10
"""The most products of a linear layer that are shown."""

LARGEST_WINDOW = 12
"""A wider or higher window is not printed as a table."""

EXTRA = 2
"""A number that is added up has so many decimals more than the sum."""

TABLE_DECIMALS = 4
"""The most decimals of a number in the table of a window."""

FUNCTIONS = {
    "relu": "max(x, 0)",
    "leaky_relu": "x if x > 0, else {slope:g} * x",
    "prelu": "x if x > 0, else {weight:g} * x",
    "silu": "x / (1 + exp(-x))",
    "gelu": "x * (1 + erf(x / sqrt(2))) / 2",
    "gelu by tanh": "x * (1 + tanh(sqrt(2 / pi) * (x + {cube:g} * x^3))) / 2",
    "tanh": "tanh(x)",
    "sigmoid": "1 / (1 + exp(-x))",
}

Term = tuple[str, float]
"""What is added up: a name and a number."""


def value_lines(found: OneValue, console: "Console") -> list[Text]:
    """Return the lines that explain a value.

    The numbers that are added up have two decimals more than the sum, so that those on the screen give the sum on the
    screen. The tables of a window are rounded to what fits, and say so.

    Args:
        found: from `explain_value`.
        console: where they will be printed.
    """
    decimals = summed_decimals(found)
    lines = [Text(f"{found.position} = {number_text(found.value, decimals)}", style="bold")]
    lines += [*map(Text, _where(found)), Text()]
    if found.how in ("copy", "function", "scale", "addition"):
        return lines + [Text(f"  {line}") for line in _formula(found, decimals)]
    if found.inputs.ndim >= 2:
        lines += _window_tables(found, console.width)
    if found.how == "max":
        assert found.winner is not None
        row, column = found.winner
        at = f"{found.reads}[{found.first[0]},{found.first[1] + row},{found.first[2] + column}]"
        return [*lines, Text(f"  the largest is {number_text(found.value, decimals)}, {at}")]
    return lines + [Text(f"  {line}") for line in _ledger(found, decimals)]


def value_json(found: OneValue) -> dict[str, Any]:
    """Return the parts of a value for a document, as whole float32 numbers, and as float64 where they are computed."""
    return {
        "at": str(found.position),
        "layer": found.position.layer,
        "type": found.kind,
        "index": found.position.index,
        "value": found.value,
        "exact": found.exact,
        "decimals": summed_decimals(found),
        "how": found.how,
        "reads": found.reads,
        "first": found.first,
        "inputs": found.inputs,
        "weights": found.weights,
        "products": found.products,
        "bias": found.bias,
        "numbers": found.numbers,
        "steps": found.steps,
        "box": found.box,
    }


def terms(found: OneValue) -> list[Term]:
    """Return what is added up for a sum: the largest parts, the rest as one, and the bias. Others have no terms."""
    products = found.products
    if products is None:
        return []
    sums = [math.fsum(group) for group in products.reshape(len(products), -1).tolist()]
    deep = products.ndim == 3
    order = np.argsort(-np.abs(sums), kind="stable").tolist()
    most = MOST_CHANNELS if deep else MOST_PRODUCTS
    kept, rest = order[:most], math.fsum(sums[k] for k in order[most:])
    others = len(order) - len(kept)
    if deep:
        each = products[0].size
        several = len(order) > 1
        parts = [
            ((f"channel {found.first[0] + c}, " if several else "") + _counted(each, "product"), sums[c])
            for c in kept
        ]
        other = f"{_counted(others, 'other channel')}, {_counted(others * each, 'product')}"
    else:
        assert found.weights is not None
        weights = found.weights
        parts = [(f"{found.reads}[{k}]: {found.inputs[k]:.6g} * {weights[k]:.6g}", sums[k]) for k in kept]
        other = _counted(others, "other product")
    parts += [(other, rest)] if others else []
    return parts if found.bias is None else [*parts, ("bias", found.bias)]


def summed_decimals(found: OneValue) -> int:
    """Return the decimals in which the network's value, the exact one and the sum of the printed terms agree."""
    decimals, parts = found.decimals, terms(found)
    if not (math.isfinite(found.exact) and math.isfinite(found.value)):
        return decimals
    while decimals and parts:
        printed = math.fsum(float(number_text(value, decimals + EXTRA)) for _, value in parts)
        if number_text(printed, decimals) == number_text(found.value, decimals):
            break
        decimals -= 1
    return decimals


def number_text(number: float, decimals: int) -> str:
    """Return a number with so many decimals, and without the sign of a zero.

    Example:
        >>> number_text(-0.0004, 3), number_text(-1.5, 3)
        ('0.000', '-1.500')
    """
    text = f"{number:.{decimals}f}"
    return text.lstrip("-") if not text.strip("-0.") else text


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}" + ("" if count == 1 else "s")


def _where(found: OneValue) -> list[str]:
    """Return which part of what the layer reads, and of the picture, the value comes from."""
    if found.how == "addition":
        reads = f"reads {found.reads}, by its layers and by its shortcut"
    elif found.kind == "globalavgpool":
        reads = f"reads the whole map {found.first[0]} of {found.reads}"
    elif found.inputs.ndim >= 2:
        _, top, left = found.first
        KH, KW = found.inputs.shape[-2:]
        deep = f"{found.inputs.shape[0]}x" if found.inputs.ndim == 3 else ""
        down, right = found.steps
        window = f"{_span('row', top, KH, down)}, {_span('column', left, KW, right)}"
        reads = f"reads a window of {deep}{KH}x{KW} of {found.reads}: {window}"
        if found.how != "sum":
            reads += f", of map {found.first[0]}"
    elif found.inputs.ndim == 1:
        reads = f"reads all {found.inputs.size:,} numbers of {found.reads}"
    else:
        reads = f"reads {_name_of_read(found)}"
    if found.box is None or found.reads == INPUT:
        return [reads]
    left, top, right, bottom = found.box
    if right <= left or bottom <= top:
        return [reads, "sees only padding"]
    return [
        reads,
        f"sees {_span('row', top, bottom - top)}, {_span('column', left, right - left)} of the picture",
    ]


def _name_of_read(found: OneValue) -> str:
    return f"{found.reads}[{','.join(map(str, found.first))}]"


def _span(axis: str, start: int, count: int, step: int = 1) -> str:
    """Return "row 3", "rows 3 to 5" or "rows 3 to 7 in steps of 2"."""
    if count == 1:
        return f"{axis} {start}"
    span = f"{axis}s {start} to {start + (count - 1) * step}"
    return span if step == 1 else f"{span} in steps of {step}"


def _formula(found: OneValue, decimals: int) -> list[str]:
    """Return how a value comes from a single number, or from the two of a residual block."""
    if found.how == "addition":
        body, shortcut = (number_text(float(each), decimals + EXTRA) for each in found.inputs)
        total = number_text(found.value, decimals)
        way = f"{found.reads}, or its projection"
        return [f"layers of the block  {body}", f"shortcut             {shortcut}  ({way})", f"sum  {total}"]
    x, y = (number_text(number, decimals) for number in (float(found.inputs), found.value))
    read = _name_of_read(found)
    if found.how == "copy":
        return [f"{read} = {x}, unchanged"]
    if found.how == "function":
        function = FUNCTIONS["gelu by tanh" if "cube" in found.numbers else found.kind]
        return [f"x = {read} = {found.inputs:.9g}", f"{function.format(**found.numbers)} = {y}"]
    scale = [f"{name:<9} {value:.9g}" for name, value in (("x", float(found.inputs)), *found.numbers.items())]
    return [*scale, "", f"gamma * (x - mean) / sqrt(variance + eps) + beta = {y}"]


def _ledger(found: OneValue, decimals: int) -> list[str]:
    """Return the terms of a sum or a mean below each other, and below them the sum."""
    has = "the network's value"
    if found.how == "mean":
        count = int(found.numbers.get("count", found.inputs.size))
        total = math.fsum(found.inputs.astype(np.float64).ravel().tolist())
        above: list[Term] = [(f"sum of {_counted(found.inputs.size, 'number')}", total)]
        below: list[Term] = [(f"divided by {count:,}", found.exact), (has, found.value)]
    else:
        above, below = terms(found), [("sum", found.exact), (has, found.value)]
    upper = [number_text(value, decimals + EXTRA) for _, value in above]
    lower = [number_text(value, decimals) for _, value in below]
    # the points of all numbers are below each other; without decimals the longer ones have a point of their own
    longer = EXTRA + (decimals == 0)
    width = max(*(len(text) for text in upper), *(len(text) + longer for text in lower))
    name_width = max(len(name) for name, _ in [*above, *below])
    lines = [f"{name:<{name_width}}  {text:>{width}}" for (name, _), text in zip(above, upper, strict=True)]
    lines.append(" " * name_width + "  " + "-" * width)
    for (name, _), text in zip(below, lower, strict=True):
        lines.append(f"{name:<{name_width}}  {text:>{width - longer}}")
    return lines


def _window_tables(found: OneValue, width: int) -> list[Text]:
    """Return the inputs of a window, with the weights and products, as tables beside or below each other."""
    if max(found.inputs.shape[-2:]) > LARGEST_WINDOW:
        return []
    products, weights = found.products, found.weights
    if products is None or weights is None:
        return [*_tables([("inputs", found.inputs)], width), Text()]
    lines: list[Text] = []
    sums = np.abs(products.sum(axis=(1, 2)))
    for channel in np.argsort(-sums, kind="stable")[:MOST_CHANNELS].tolist():
        if len(products) > 1:
            lines.append(Text(f"  channel {found.first[0] + channel}", style="bold"))
        three = [("inputs", found.inputs), ("weights", weights), ("products", products)]
        lines += [*_tables([(name, each[channel]) for name, each in three], width), Text()]
    return lines


def _tables(tables: Sequence[tuple[str, FloatArray]], width: int) -> list[Text]:
    """Return tables of numbers (KH, KW), each with its name above, with as many decimals as fit."""
    for beside in (True, False):
        for decimals in range(TABLE_DECIMALS, 1 if beside else -1, -1):
            blocks = [_table(name, numbers, decimals) for name, numbers in tables]
            widths = [max(line.cell_len for line in block) for block in blocks]
            if 2 + (sum(widths) + 3 * (len(blocks) - 1) if beside else max(widths)) <= width:
                if beside:
                    return [Text("  ").append_text(line) for line in side_by_side(blocks, 3)]
                return [Text("  ").append_text(line) for block in blocks for line in block]
    return []


def _table(name: str, numbers: FloatArray, decimals: int) -> list[Text]:
    cells = [[number_text(float(number), decimals) for number in row] for row in numbers]
    widest = max(len(cell) for row in cells for cell in row)
    rows = [Text(" ".join(f"{cell:>{widest}}" for cell in row)) for row in cells]
    return [Text(name, style="dim"), *rows]
