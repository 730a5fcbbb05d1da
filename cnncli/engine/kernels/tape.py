"""A list of NumPy calls with their operands, recorded once and replayed at every training step.

A kernel makes the same calls on the same views of the same arrays at every step. Only the numbers in the arrays
change. Slicing those views in Python costs as much as a short call itself. So kernels compute nothing while the plan
is built. They record their calls:

    tape = Tape()
    tape.maximum(top, bottom, out=top)     # computes nothing yet
    tape.replay()                          # top = maximum(top, bottom)
"""

import operator
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Tape:
    """Recorded calls, in the order in which they are replayed. All methods but `lines` and `replay` record one call."""

    def __init__(self) -> None:
        self._calls: list[partial[object]] = []

    def __len__(self) -> int:
        return len(self._calls)

    def lines(self) -> list[str]:
        """Return every recorded call as a line of text, with the shapes of its arrays.

        Example:
            >>> tape = Tape()
            >>> tape.matmul(np.ones((784, 9)), np.ones((9, 32)), out=np.ones((784, 32)))
            >>> tape.lines()
            ['matmul (784, 9) @ (9, 32) -> (784, 32)']
        """
        return [_line(call) for call in self._calls]

    def replay(self) -> None:
        """Make all recorded calls."""
        deque(map(operator.call, self._calls), maxlen=0)  # `map` runs no Python code between two calls

    def record(self, function: Callable[..., object], *arguments: object) -> None:
        """Record function(*arguments), for what none of the methods below covers."""
        self._calls.append(partial(function, *arguments))

    def copy(self, source: Array, out: Array) -> None:
        """out = source, converted to out's type."""
        self.record(np.copyto, out, source)

    def fill(self, out: Array, value: float) -> None:
        """out = value."""
        self.record(out.fill, value)

    def add(self, a: Array, b: Array | np.generic, out: Array) -> None:
        """out = a + b."""
        self.record(np.add, a, b, out)

    def subtract(self, a: Array, b: Array, out: Array) -> None:
        """out = a - b."""
        self.record(np.subtract, a, b, out)

    def multiply(self, a: Array, b: Array | np.generic, out: Array) -> None:
        """out = a · b."""
        self.record(np.multiply, a, b, out)

    def negative(self, a: Array, out: Array) -> None:
        """out = -a."""
        self.record(np.negative, a, out)

    def maximum(self, a: Array, b: Array | np.generic, out: Array) -> None:
        """out = the larger of a and b."""
        self._calls.append(partial(np.maximum, a, b, out=out))  # NumPy deprecates a positional out here

    def minimum(self, a: Array, b: Array | np.generic, out: Array) -> None:
        """out = the smaller of a and b."""
        self._calls.append(partial(np.minimum, a, b, out=out))

    def greater(self, a: Array, b: Array, out: Array) -> None:
        """out = a > b."""
        self.record(np.greater, a, b, out)

    def equal(self, a: Array, b: Array | np.generic, out: Array) -> None:
        """out = (a == b)."""
        self.record(np.equal, a, b, out)

    def logical_and(self, a: Array, b: Array, out: Array) -> None:
        """out = a and b."""
        self.record(np.logical_and, a, b, out)

    def logical_xor(self, a: Array, b: Array, out: Array) -> None:
        """out = a or b, but not both."""
        self.record(np.logical_xor, a, b, out)

    def matmul(self, a: Array, b: Array, out: Array) -> None:
        """out = a @ b."""
        self.record(np.matmul, a, b, out)


_SIGNS = {"matmul": "@", "add": "+", "subtract": "-", "multiply": "*", "greater": ">", "equal": "=="}


def _line(call: "partial[object]") -> str:
    """Return one call as text."""
    function, arguments = call.func, [_text(value) for value in (*call.args, *call.keywords.values())]
    owner, name = getattr(function, "__self__", None), function.__name__
    if isinstance(function, np.ufunc):
        sign = f" {_SIGNS[name]} " if name in _SIGNS else ", "
        return f"{name} {sign.join(arguments[:-1])} -> {arguments[-1]}"
    if function is np.copyto:
        return f"copy {arguments[1]} -> {arguments[0]}"
    if isinstance(owner, np.ndarray):
        return f"{name} {', '.join(arguments)} -> {owner.shape}"
    return f"{function.__qualname__} {', '.join(arguments)}".rstrip()


def _text(value: object) -> str:
    """Return an argument as text: the shape of an array, the shapes of a layout, a number as it is."""
    if isinstance(value, np.ndarray):
        return str(value.shape)
    if isinstance(value, tuple):  # a layout, or one array of it with the columns that it holds
        arrays = [value.array] if hasattr(value, "array") else value
        return " and ".join(_text(array) for array in arrays)
    return str(value) if isinstance(value, int | float | np.generic) else type(value).__name__
