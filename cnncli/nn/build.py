"""Builds a network from the layer list of a config. What cannot be built is refused before memory is allocated."""

import reprlib
from collections.abc import Sequence
from math import prod

import numpy as np
import numpy.typing as npt

from cnncli.errors import ModelError
from cnncli.memory import available_bytes
from cnncli.options import integer
from cnncli.types import Shape

from .layers import Layer
from .layers.sequence import LayerSpec, build_layers, layer_names
from .network import Network

_SMALL = (
    32 << 20
)  # bytes that fit on any machine; asking the system for more takes as long as building the network
VECTORS = 5  # vectors with one value per parameter: values, gradients, decay mask, the two moments of Adam


def build_network(
    model: Sequence[LayerSpec],
    input_shape: Shape,
    *,
    rng: np.random.Generator,
    dtype: npt.DTypeLike = np.float32,
) -> Network:
    """Build the network that a layer list describes. The input size of each layer follows from the layer before it.

    Args:
        model: the layer list of a config, in any form of `LayerSpec`, or what `Network.spec` returns.
        input_shape: of one sample, usually (C, H, W).
        rng: the generator for the initial weights.
        dtype: float32, or float64 for checks.

    Raises:
        ModelError: names the layer, its input shape and the value found. Its key path is (index, option).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> build_network(["flatten", {"linear": 10}], (1, 28, 28), rng=rng).output_shape
        (10,)
    """
    itemsize = np.dtype(dtype).itemsize
    parameters = activations = 0
    shape = _read_shape(input_shape)

    def check(layer: Layer, output_shape: Shape) -> None:
        nonlocal parameters, activations, shape
        shape = output_shape
        parameters += sum(parameter.size for parameter in layer.parameters.values())
        activations += prod(output_shape) + sum(prod(part.output_shape) for part in layer.parts)
        _check_memory(parameters, activations, itemsize)

    layers = build_layers(model, shape, rng=rng, dtype=dtype, check=check)
    if not layers:
        raise ModelError("the model has no layers", "give a list such as [flatten, linear: 10]")
    if len(shape) != 1:
        name = layer_names([layer.kind for layer in layers])[-1]
        raise ModelError(
            f"layer {len(layers)} ({name}): the last layer must have one output per class, not {shape}",
            "end the list with flatten (or globalavgpool) and linear",
            key_path=(len(layers) - 1,),
        )
    return Network(layers, input_shape, dtype)


def _read_shape(shape: object) -> Shape:
    sizes = tuple(shape) if isinstance(shape, Sequence | np.ndarray) and not isinstance(shape, str) else ()
    if len(sizes) not in (1, 3):
        expected = "(channels, height, width) or (features,)"
        raise ModelError(f"input_shape: expected {expected}, found {reprlib.repr(shape)}")
    return tuple(integer("input_shape", size) for size in sizes)


def _check_memory(parameters: int, activations: int, itemsize: int) -> None:
    """Refuse a model that does not fit into memory, from its shapes alone.

    Args:
        parameters: their number in the layers so far.
        activations: the number of outputs of the layers so far, for one image.
        itemsize: bytes per number.

    Raises:
        ModelError: the layers so far do not fit.
    """
    needed = parameters * VECTORS * itemsize
    if max(needed, activations * itemsize) < _SMALL:
        return
    available = available_bytes()
    if needed > available:
        raise ModelError(
            f"with this layer the model has {parameters:,} parameters; training them takes "
            f"{_gigabytes(needed)}, and {_gigabytes(available)} are available",
            "use fewer filters or units, or pool before the first linear layer",
        )
    needed = activations * itemsize
    if needed > available:
        raise ModelError(
            f"with this layer the activations of one image take {_gigabytes(needed)}, "
            f"and {_gigabytes(available)} are available",
            "use less padding, fewer filters or larger strides",
        )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"
