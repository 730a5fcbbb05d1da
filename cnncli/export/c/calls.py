"""The parts of a C program that are written layer by layer: calls with their arguments, and constants."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cnncli.export.c.constants import array, number
from cnncli.export.c.plan import Array, Pool, Product

Row = str | tuple[str, str]
"""Arguments of a call, and perhaps what they are."""


@dataclass
class Body:
    """What is written so far.

    Attributes:
        calls: the text of the function that computes the logits.
        constants: the text of the arrays.
        constant_bytes: how much flash these take.
        used: the names of the functions that are called.
        window: how many numbers the largest window of a convolution of bytes sees.
    """

    calls: list[str] = field(default_factory=list)
    constants: list[str] = field(default_factory=list)
    constant_bytes: int = 0
    used: set[str] = field(default_factory=set)
    window: int = 0

    def constant(self, name: str, values: npt.NDArray[np.generic], dtype: str, note: str = "") -> str:
        """Add an array, and return its name."""
        self.constants.append(array(f"net_{name}", values, dtype, note))
        self.constant_bytes += values.size * np.dtype(dtype).itemsize
        return f"net_{name}"

    def call(self, function: str, *rows: Row) -> None:
        """Add the call of a function, its arguments in rows."""
        self.used.add(function)
        pairs = [(row, "") if isinstance(row, str) else row for row in rows]
        texts = [f"{text}," for text, _ in pairs[:-1]] + [f"{pairs[-1][0]});"]
        width = max((len(text) for text, (_, note) in zip(texts, pairs, strict=True) if note), default=0)
        self.calls.append(f"    net_{function}(")
        for text, (_, note) in zip(texts, pairs, strict=True):
            self.calls.append(f"        {text:<{width}}  /* {note} */" if note else f"        {text}")


def place(array: Array, inside: int) -> str:
    if array.offset is None:
        return "logits"
    return f"net_memory + {array.offset + inside}"


def inside(array: Array) -> str:
    """Return where the first pixel of an array is."""
    return place(array, array.inside)


def rows_of(array: Array) -> str:
    """Return how many rows an array has, how far they are apart, and how many values of each are in the image."""
    if not sum(map(sum, array.pads)):
        return f"1, {array.size}, {array.size}"
    return f"{array.height}, {array.row}, {array.width * array.channels}"


def geometry(product: Product) -> list[Row]:
    target, (height, width, channels) = product.target, product.window
    if product.is_dense:
        assert product.source is not None
        height, width, channels = 1, 1, product.source.size
    return [
        (f"{target.height}, {target.width}, {target.channels}", "result: height, width, filters"),
        (f"{height}, {width}, {channels}", "window: height, width, channels"),
        (f"{product.stride[0]}, {product.stride[1]}", "steps of the window down and right"),
    ]


def slope_of(product: Product) -> Row:
    meaning = {0.0: "ReLU", 1.0: "no activation"}.get(product.slope, "slope of what is negative")
    return number(product.slope), meaning


def pool_geometry(pool: Pool) -> list[Row]:
    target = pool.target
    return [
        (f"{target.height}, {target.width}, {target.channels}", "result: height, width, channels"),
        (f"{pool.size[0]}, {pool.size[1]}", "window: height, width"),
        (f"{pool.stride[0]}, {pool.stride[1]}", "steps of the window down and right"),
        (f"{pool.pads[0][0]}, {pool.pads[1][0]}", "padding above and left"),
    ]
