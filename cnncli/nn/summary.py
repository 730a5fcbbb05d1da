"""What `cnn inspect` says about a network: one row a layer, for one sample."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from cnncli.types import Shape

from .checks import Pair
from .network import Network


@dataclass(frozen=True)
class LayerRow:
    """One layer.

    Attributes:
        name: kind and running number.
        kind: as in a config.
        output_shape: without the batch axis.
        parameters: how many numbers it learns.
        share: that number as a share of the network's, from 0 to 1.
        multiply_adds: multiplications (each with its addition) for one sample.
        activation_bytes: the size of its output for one sample.
        receptive_field: (height, width) in pixels of the network's input that one output position sees,
            borders not regarded; None once it sees the whole image.
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
        parameters: how many numbers the network learns.
        multiply_adds: for one sample.
        activation_bytes: the outputs of all layers for one sample.
    """

    parameters: int
    multiply_adds: int
    activation_bytes: int


def summarize(network: Network) -> list[LayerRow]:
    """Return one row for each layer.

    The receptive field starts at 1 pixel and grows with each layer by (kernel − 1) · (product of the strides
    before it).
    """
    rows = []
    everything = max(network.get_num_parameters(), 1)
    input_shape = network.input_shape
    field: Pair | None = (1, 1) if len(input_shape) == 3 else None
    step = (1, 1)  # how many input pixels apart two neighbouring positions are
    for name, layer, output_shape in zip(network.names, network.layers, network.shapes, strict=True):
        window = layer.window()
        if window is None or field is None:
            field = None
        else:
            field = (
                field[0] + (window.kernel[0] - 1) * step[0],
                field[1] + (window.kernel[1] - 1) * step[1],
            )
            step = (step[0] * window.stride[0], step[1] * window.stride[1])
        parameters = sum(parameter.size for parameter in layer.parameters.values())
        rows.append(
            LayerRow(
                name=name,
                kind=layer.kind,
                output_shape=output_shape,
                parameters=parameters,
                share=parameters / everything,
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
