"""The table of `cnn inspect`: one row per layer, with shapes, parameters and costs for one sample."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from cnncli.options import Pair
from cnncli.types import Shape

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
    """Return one row per layer.

    The receptive field is derived in docs/backward-passes.md#the-receptive-field.
    """
    rows = []
    all_parameters = max(network.get_num_parameters(), 1)
    input_shape = network.input_shape
    field: Pair | None = (1, 1) if len(input_shape) == 3 else None
    jump = (1, 1)  # the distance of two neighboring positions, in pixels of the input
    for name, layer, output_shape in zip(network.names, network.layers, network.shapes, strict=True):
        window = layer.window()
        if window is None or field is None:
            field = None
        else:
            field = (
                field[0] + (window.kernel[0] - 1) * jump[0],
                field[1] + (window.kernel[1] - 1) * jump[1],
            )
            jump = (jump[0] * window.stride[0], jump[1] * window.stride[1])
        parameters = sum(parameter.size for parameter in layer.parameters.values())
        rows.append(
            LayerRow(
                name=name,
                kind=layer.kind,
                output_shape=output_shape,
                parameters=parameters,
                share=parameters / all_parameters,
                multiply_adds=layer.multiply_adds(input_shape),
                activation_bytes=prod(output_shape) * network.dtype.itemsize,
                receptive_field=field,
            )
        )
        input_shape = output_shape
    return rows


def totals(rows: Sequence[LayerRow]) -> Totals:
    """Return the sums over all rows."""
    return Totals(
        parameters=sum(row.parameters for row in rows),
        multiply_adds=sum(row.multiply_adds for row in rows),
        activation_bytes=sum(row.activation_bytes for row in rows),
    )
