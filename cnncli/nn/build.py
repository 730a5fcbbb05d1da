"""Builds a network from the layer list of a config. What cannot be built is refused before memory is allocated."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from cnncli.errors import ModelError
from cnncli.memory import available_bytes
from cnncli.options import inside, look_up
from cnncli.types import Shape

from .layers import LAYERS, Layer
from .network import Network, layer_names

VECTORS = 5  # vectors with one value per parameter: values, gradients, decay mask, the two moments of Adam

LayerSpec = tuple[str, Mapping[str, Any]] | Mapping[str, Mapping[str, Any]]
"""One layer: (kind, options), or {kind: options} as `Network.spec` returns it."""


def build_network(
    model: Sequence[LayerSpec],
    input_shape: Shape,
    *,
    rng: np.random.Generator,
    dtype: npt.DTypeLike = np.float32,
) -> Network:
    """Build the network that a layer list describes. The input size of each layer follows from the layer before it.

    Args:
        model: the layer list of a config, or what `Network.spec` returns.
        input_shape: of one sample, usually (C, H, W).
        rng: the generator for the initial weights.
        dtype: float32, or float64 for checks.

    Raises:
        ModelError: names the layer, its input shape and the value found. Its key path is (index, option).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> build_network([("flatten", {}), ("linear", {"units": 10})], (1, 28, 28), rng=rng).output_shape
        (10,)
    """
    if not model:
        raise ModelError("the model has no layers", "give a list such as [flatten, linear: 10]")
    pairs = [spec if isinstance(spec, tuple) else next(iter(spec.items())) for spec in model]
    names = layer_names([kind for kind, _ in pairs])
    shape: Shape = tuple(input_shape)
    layers: list[Layer] = []
    memory = _Memory(np.dtype(dtype).itemsize)
    for index, ((kind, options), name) in enumerate(zip(pairs, names, strict=True)):
        with inside(f"layer {index + 1}", index):
            layer_class = look_up(LAYERS, "layer", kind, key_path=())
        with inside(f"layer {index + 1} ({name})", index):
            layer = layer_class.from_options(options, shape, rng=rng, dtype=dtype)
            shape = layer.output_shape(shape)
            memory.add(layer, shape)
        layers.append(layer)
    if len(shape) != 1:
        raise ModelError(
            f"layer {len(layers)} ({names[-1]}): the last layer must have one output per class, not {shape}",
            "end the list with flatten (or globalavgpool) and linear",
            key_path=(len(layers) - 1,),
        )
    return Network(layers, input_shape, dtype)


class _Memory:
    """Refuses a model that does not fit into memory, from its shapes alone."""

    def __init__(self, itemsize: int) -> None:
        self.itemsize = itemsize
        self.available = available_bytes()
        self.parameters = 0
        self.activations = 0

    def add(self, layer: Layer, output_shape: Shape) -> None:
        """Count one more layer.

        Raises:
            ModelError: the layers so far do not fit into memory.
        """
        self.parameters += sum(parameter.size for parameter in layer.parameters.values())
        self.activations += prod(output_shape)
        needed = self.parameters * VECTORS * self.itemsize
        if needed > self.available:
            raise ModelError(
                f"with this layer the model has {self.parameters:,} parameters; training them takes "
                f"{_gigabytes(needed)}, and {_gigabytes(self.available)} are available",
                "use fewer filters or units, or pool before the first linear layer",
            )
        needed = self.activations * self.itemsize
        if needed > self.available:
            raise ModelError(
                f"with this layer the activations of one image take {_gigabytes(needed)}, "
                f"and {_gigabytes(self.available)} are available",
                "use less padding, fewer filters or larger strides",
            )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"
