"""Says which pixels of the input one position of a layer depends on.

Derivation: docs/backward-passes.md#the-receptive-field.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cnncli.nn.layers import Layer, Placed, Residual, Window
from cnncli.nn.layers.windows import check_padding, pads_of
from cnncli.nn.network import Network
from cnncli.options import Pair
from cnncli.types import IntArray, Shape

Span = tuple[IntArray, IntArray]
"""From and to the first behind, in positions of a layer; arrays of one shape."""


@dataclass(frozen=True)
class Geometry:
    """Where the windows of a layer lie in the input; each attribute is a pair (vertical, horizontal), in pixels.

    The window of position p begins at `start + p · jump`. It may reach beyond the border, where padding was.

    Attributes:
        window: the size of the part of the input that one position depends on.
        jump: the distance of the windows of two neighboring positions.
        start: where the window of position 0 begins; negative where there is padding.
    """

    window: Pair
    jump: Pair
    start: Pair

    def center(self, position: Pair) -> tuple[float, float]:
        """Return the center of the window of a position (row, column), in pixels; 0 is the center of the first pixel.

        Example:
            >>> Geometry((4, 4), (2, 2), (-1, -1)).center((0, 3))
            (0.5, 6.5)
        """
        row, column = (
            self.start[axis] + position[axis] * self.jump[axis] + (self.window[axis] - 1) / 2
            for axis in (0, 1)
        )
        return row, column


def geometry(network: Network) -> dict[str, Geometry | None]:
    """Return the geometry of each layer by its name.

    It is None for a layer whose positions depend on the whole input, such as a linear one.

    Example:
        >>> from cnncli.nn.layers import Conv2D, MaxPool2D
        >>> geometry(Network([Conv2D(1, 2, 3, padding=1), MaxPool2D(2)], (1, 8, 8)))["maxpool1"]
        Geometry(window=(4, 4), jump=(2, 2), start=(-1, -1))
    """
    found: dict[str, Geometry | None] = {}
    now = Geometry((1, 1), (1, 1), (0, 0)) if len(network.input_shape) == 3 else None
    shape = network.input_shape
    for name, layer, output in zip(network.names, network.layers, network.shapes, strict=True):
        window = layer.window()
        if now is None or window is None or len(output) != 3:
            now = None
        else:
            pads = pads_of(check_padding(window.padding), shape, window.kernel, window.stride)
            sizes, jumps, starts = (
                tuple(
                    (
                        now.window[axis] + (window.kernel[axis] - 1) * now.jump[axis],
                        now.jump[axis] * window.stride[axis],
                        now.start[axis] - pads[axis][0] * now.jump[axis],
                    )[which]
                    for axis in (0, 1)
                )
                for which in range(3)
            )
            now = Geometry((sizes[0], sizes[1]), (jumps[0], jumps[1]), (starts[0], starts[1]))
        found[name] = now
        shape = output
    return found


def receptive_fields(
    network: Network, layer: str, rows: npt.ArrayLike = 0, columns: npt.ArrayLike = 0
) -> IntArray:
    """Return the smallest box that holds every pixel of the input that positions of a layer depend on.

    It is followed back through the layers and clipped in each, so that no padding is in it. Where a stride skips
    pixels, the box also holds the skipped ones.

    Args:
        network: takes images, (C, H, W).
        layer: its name, such as "conv2" or "residual1.conv2". One that has no maps has one position, and reads all of
            the maps before it.
        rows, columns: of the positions, from 0; numbers or arrays of one shape S.

    Returns:
        (*S, 4): left, top, right, bottom in pixels; right and bottom are the first pixels behind the box. A window
        that lies in the padding has an empty box.

    Example:
        >>> from cnncli.nn.layers import Conv2D, MaxPool2D
        >>> network = Network([Conv2D(1, 2, 3, padding=1), MaxPool2D(2)], (1, 8, 8))
        >>> receptive_fields(network, "maxpool1", 0, 2).tolist()
        [3, 0, 7, 3]
    """
    block, _, inner = layer.partition(".")
    index = network.names.index(block)
    way = way_to(network.layers[index], inner) if inner else ()
    spans = []
    for axis, places in ((0, rows), (1, columns)):
        first = np.asarray(places, np.int64)
        span: tuple[IntArray, IntArray] = (
            first,
            first + 1,
        )  # from and to the first behind, in positions of the layer
        for part in reversed(way):
            span = _read_by(part.layer, part.input_shape, part.output_shape, axis, span)
        for step in range(index - bool(inner), -1, -1):
            before = network.shapes[step - 1] if step else network.input_shape
            span = _read_by(network.layers[step], before, network.shapes[step], axis, span)
        spans.append(span)
    (top, bottom), (left, right) = spans
    return np.stack(np.broadcast_arrays(left, top, right, bottom), axis=-1)


def way_to(block: Layer, name: str) -> tuple[Placed, ...]:
    """Return the layers inside a block from its input to the one with a name, that one included."""
    assert isinstance(block, Residual)
    parts = next(each for each in (block.body, block.shortcut) if name in [part.name for part in each])
    return parts[: [part.name for part in parts].index(name) + 1]


def _read_by(layer: Layer, before: Shape, after: Shape, axis: int, span: Span) -> Span:
    """Return from where to where a layer reads, for positions from `span`.

    Args:
        layer: the layer.
        before: the shape of what it reads, for one sample.
        after: that of its output.
        axis: 0 for rows, 1 for columns.
        span: of positions of the output.
    """
    if isinstance(layer, Residual):
        spans = []
        for parts in (layer.body, layer.shortcut):
            inner = span
            for part in reversed(parts):
                inner = _read_by(part.layer, part.input_shape, part.output_shape, axis, inner)
            spans.append(inner)
        return _union(*spans)
    if len(before) != 3:
        return span
    size, window = before[1 + axis], layer.window()
    if window is None or len(after) != 3:
        return np.zeros_like(span[0]), np.full_like(span[0], size)
    padding = pads_of(check_padding(window.padding), before, window.kernel, window.stride)[axis][0]
    if window.dilation[axis] > 1:
        return _dilated_span(window, axis, padding, span, size)
    empty = span[1] <= span[0]
    start = span[0] * window.stride[axis] - padding
    end = (span[1] - 1) * window.stride[axis] - padding + window.kernel[axis]
    start = np.clip(start, 0, size)
    return start, np.where(empty, start, np.clip(end, start, size))


def _union(one: Span, other: Span) -> Span:
    """Return from where to where two spans reach together."""
    start = np.where(one[1] > one[0], one[0], other[0])
    start = np.where(other[1] > other[0], np.minimum(start, other[0]), start)
    return start, np.maximum(start, np.maximum(one[1], other[1]))


def _dilated_span(window: Window, axis: int, padding: int, span: Span, size: int) -> Span:
    """Return from where to where the windows of some positions read, where they skip pixels.

    Args:
        window: of the layer.
        axis: 0 for rows, 1 for columns.
        padding: before the image.
        span: the positions, from and to the first behind.
        size: of the image.
    """
    stride, dilation = window.stride[axis], window.dilation[axis]
    start, end = np.full_like(span[0], size), np.zeros_like(span[0])
    for offset in range(-padding, window.kernel[axis] - padding, dilation):  # of one tap
        # the first and the last position at which this tap is inside the image
        first = np.maximum(span[0], -(offset // stride))
        last = np.minimum(span[1] - 1, (size - 1 - offset) // stride)
        reads = first <= last
        start = np.where(reads, np.minimum(start, first * stride + offset), start)
        end = np.where(reads, np.maximum(end, last * stride + offset + 1), end)
    return np.minimum(start, end), end
