"""A list of NumPy calls, written down once with their operands, and made again at every step.

What a kernel computes for a slot never changes: the same calls on the same views of the same workspaces, only with
other numbers in them. Slicing those views costs as much as a short call itself. So kernels do not compute; they write
their calls into such a list while the plan is built, and a training step only goes through it:

    tape = Tape()
    tape.maximum(top, bottom, out=top)     # nothing happens yet
    tape.run()                             # top = maximum(top, bottom)
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
    """Tape in the order in which they are made; the methods below write one down each."""

    def __init__(self) -> None:
        self._calls: list[Callable[[], object]] = []

    def __len__(self) -> int:
        return len(self._calls)

    def run(self) -> None:
        """Make all calls; through `map`, so that between two of them nothing of Python runs."""
        deque(map(operator.call, self._calls), maxlen=0)

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Write down function(*arguments), for whatever is no single NumPy operation."""
        self._calls.append(partial(function, *arguments))

    def copy(self, source: Array, out: Array) -> None:
        """out = source, converted to out's type."""
        self.call(np.copyto, out, source)

    def fill(self, out: Array, value: float) -> None:
        """out = value."""
        self.call(out.fill, value)

    def add(self, a: Array, b: Array | np.generic, out: Array) -> None:
        """out = a + b."""
        self.call(np.add, a, b, out)

    def subtract(self, a: Array, b: Array, out: Array) -> None:
        """out = a - b."""
        self.call(np.subtract, a, b, out)

    def multiply(self, a: Array, b: Array | np.generic, out: Array) -> None:
        """out = a · b."""
        self.call(np.multiply, a, b, out)

    def negative(self, a: Array, out: Array) -> None:
        """out = -a."""
        self.call(np.negative, a, out)

    def maximum(self, a: Array, b: Array | np.generic, out: Array) -> None:
        """out = the larger of a and b."""
        self._calls.append(partial(np.maximum, a, b, out=out))  # NumPy wants the name here

    def greater(self, a: Array, b: Array, out: Array) -> None:
        """out = a > b."""
        self.call(np.greater, a, b, out)

    def equal(self, a: Array, b: Array | np.generic, out: Array) -> None:
        """out = (a == b)."""
        self.call(np.equal, a, b, out)

    def both(self, a: Array, b: Array, out: Array) -> None:
        """out = a and b."""
        self.call(np.logical_and, a, b, out)

    def either(self, a: Array, b: Array, out: Array) -> None:
        """out = a or b, but not both."""
        self.call(np.logical_xor, a, b, out)

    def matmul(self, a: Array, b: Array, out: Array) -> None:
        """out = a @ b."""
        self.call(np.matmul, a, b, out)
