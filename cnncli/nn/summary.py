"""The table of `cnn inspect`: one row per layer, with shapes, parameters and costs for one sample."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from cnncli.options import Pair
from cnncli.types import Shape

from .layers import Layer, Placed
from .network import Network


@dataclass(frozen=True)
class LayerRow:
    """One layer.

    Attributes:
        name: kind and running number.
        kind: as in a config.
        output_shape: without the batch axis.
        parameters: the number of trainable values.
        share: that number as a share of all parameters of the network, from 0 to 1.
        multiply_adds: for one sample.
        activation_bytes: the size of the output for one sample.
        receptive_field: (height, width) in pixels of the part of the network's input that one output position
            depends on, without regard to the borders. None when it depends on the whole image.
    """

    name: str
    kind: str
    output_shape: Shape
    parameters: int
    share: float
    multiply_adds: int
    activation_bytes: int
    receptive_field: Pair | None


@dataclass(frozen=True)
class Totals:
    """The sums over all layers.

    Attributes:
        parameters: the number of trainable values.
        multiply_adds: for one sample.
        activation_bytes: the outputs of all layers for one sample.
    """

    parameters: int
    multiply_adds: int
    activation_bytes: int


def summarize(network: Network) -> list[LayerRow]:
    """Return one row per layer. The layers inside a block come before it.

    The receptive field is derived in docs/backward-passes.md#the-receptive-field.
    """
    everything = max(network.get_num_parameters(), 1)
    field: Field = ((1, 1), (1, 1)) if len(network.input_shape) == 3 else None
    rows: list[LayerRow] = []
    shape = network.input_shape
    for name, layer, output_shape in zip(network.names, network.layers, network.shapes, strict=True):
        inner = field  # of the layers inside, one after the other; a projection begins where the block does
        for part in layer.parts:
            inner = _grown(field if part.name == "projection" else inner, part.layer)
            rows.append(_row(part._replace(name=f"{name}.{part.name}"), inner, everything, network))
        field = _grown(field, layer)
        rows.append(_row(Placed(name, layer, shape, output_shape), field, everything, network))
        shape = output_shape
    return rows


Field = tuple[Pair, Pair] | None
"""The receptive field and the jump, the distance of two neighboring positions, in pixels of the network's input."""


def _grown(field: Field, layer: Layer) -> Field:
    """Return the receptive field after a layer."""
    window = layer.window()
    if window is None or field is None:
        return None
    size, jump = field
    return (
        (
            size[0] + (window.kernel[0] - 1) * jump[0],
            size[1] + (window.kernel[1] - 1) * jump[1],
        ),
        (jump[0] * window.stride[0], jump[1] * window.stride[1]),
    )


def _row(placed: Placed, field: Field, everything: int, network: Network) -> LayerRow:
    """Return the row of a layer. That of a block counts only what its parts have not."""
    layer = placed.layer
    own = {} if layer.parts else layer.parameters
    parameters = sum(parameter.size for parameter in own.values())
    return LayerRow(
        name=placed.name,
        kind=layer.kind,
        output_shape=placed.output_shape,
        parameters=parameters,
        share=parameters / everything,
        multiply_adds=0 if layer.parts else layer.multiply_adds(placed.input_shape),
        activation_bytes=prod(placed.output_shape) * network.dtype.itemsize,
        receptive_field=None if field is None else field[0],
    )


def totals(rows: Sequence[LayerRow]) -> Totals:
    """Return the sums over all rows."""
    return Totals(
        parameters=sum(row.parameters for row in rows),
        multiply_adds=sum(row.multiply_adds for row in rows),
        activation_bytes=sum(row.activation_bytes for row in rows),
    )
