"""Reads which value of which layer a user means, such as `conv1[3,14,10]`."""

import re
from dataclasses import dataclass

from cnncli.errors import UsageError
from cnncli.names import did_you_mean
from cnncli.nn.network import Network
from cnncli.types import Shape

AXES = {3: ("channel", "row", "column"), 1: ("number",)}
"""What the axes of an output are called, by how many there are."""

INPUT = "input"
"""What the first layer reads."""

_FORM = re.compile(r"\s*(?P<layer>[^\[\]\s]+)\s*(?:\[(?P<index>[^\[\]]*)\]\s*)?")


@dataclass(frozen=True)
class Position:
    """One value of the output of a layer.

    Attributes:
        layer: its name.
        index: (channel, row, column), or (number,), from 0.
    """

    layer: str
    index: Shape

    def __str__(self) -> str:
        return f"{self.layer}[{','.join(map(str, self.index))}]"


def read_position(network: Network, text: str) -> Position:
    """Return the value that a text names: a layer, and an index for each axis of its output, from 0.

    Raises:
        UsageError: there is no such layer, or no such value in it; the hint has what there is.

    Example:
        >>> from cnncli.nn.layers import Conv2D
        >>> read_position(Network([Conv2D(1, 4, 3)], (1, 8, 8)), "conv1[3, 0, 5]")
        Position(layer='conv1', index=(3, 0, 5))
    """
    parts = _FORM.fullmatch(text)
    if parts is None:
        raise UsageError(f"{text!r} names no value of a layer", f"write {_example(network, 0)}")
    layer = parts["layer"]
    if layer == INPUT:
        raise UsageError(
            "the input is computed by no layer",
            f"a value of the first layer shows what it reads of it: {_example(network, 0)}",
        )
    shapes = {placed.name: placed.output_shape for placed in network.walk()}
    if layer not in shapes:
        raise UsageError(f"the network has no layer {layer!r}", did_you_mean(layer, list(shapes)))
    shape = shapes[layer]
    axes, size = AXES[len(shape)], "x".join(map(str, shape))
    words = [word.strip() for word in (parts["index"] or "").split(",")]
    if len(words) != len(axes) or not all(re.fullmatch(r"-?[0-9]{1,9}", word) for word in words):
        raise UsageError(
            f"{text!r} names no value of {layer}, whose output is {size}",
            f"write {layer}[{','.join(axes)}], such as {_middle(layer, shape)}",
        )
    index = tuple(map(int, words))
    if not all(0 <= at < length for at, length in zip(index, shape, strict=True)):
        ranges = ", ".join(f"{axis} 0 to {length - 1}" for axis, length in zip(axes, shape, strict=True))
        raise UsageError(f"{text!r} is outside of {layer}, whose output is {size}", f"{layer} has {ranges}")
    return Position(layer, index)


def _example(network: Network, place: int) -> str:
    """Return the position in the middle of a layer."""
    return _middle(network.names[place], network.shapes[place])


def _middle(layer: str, shape: Shape) -> str:
    return str(Position(layer, tuple(length // 2 for length in shape)))
