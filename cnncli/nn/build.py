"""From the layer list of a config to a network, refusing what cannot be built before memory is taken."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from cnncli.errors import ModelError, did_you_mean
from cnncli.memory import available_bytes
from cnncli.types import Shape

from .layers import LAYERS, Layer
from .network import Network, layer_names, located

VECTORS = 5  # values, gradients, where weight decay applies, and the two moments of Adam

LayerSpec = tuple[str, Mapping[str, Any]] | Mapping[str, Mapping[str, Any]]
"""(kind, options), or {kind: options} as `Network.spec` writes it."""


def build_network(
    model: Sequence[LayerSpec],
    input_shape: Shape,
    *,
    rng: np.random.Generator,
    dtype: npt.DTypeLike = np.float32,
) -> Network:
    """Build the network a layer list describes, each layer sized by what the one before it gives.

    Args:
        model: the layer list of a config, or what `Network.spec` returns.
        input_shape: of one sample, usually (C, H, W).
        rng: where the start weights are drawn from.
        dtype: float32, or float64 for checks.

    Raises:
        ModelError: names the layer, its input shape and the value found; its `place` is (index, option).

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
        if kind not in LAYERS:
            hint = did_you_mean(str(kind), list(LAYERS))
            raise ModelError(f"layer {index + 1}: unknown layer '{kind}'", hint, place=(index,))
        try:
            layer = LAYERS[kind].from_options(options, shape, rng=rng, dtype=dtype, place=(index,))
            shape = layer.output_shape(shape)
            memory.add(layer, shape)
        except ModelError as error:
            raise located(error, index, name) from None
        layers.append(layer)
    if len(shape) != 1:
        raise ModelError(
            f"layer {len(layers)} ({names[-1]}): the last layer must give one number for each class, "
            f"not {shape}",
            "end the list with flatten (or globalavgpool) and linear",
            place=(len(layers) - 1,),
        )
    return Network(layers, input_shape, dtype)


class _Memory:
    """Refuses a model that cannot be trained on this machine, while it still is nothing but shapes."""

    def __init__(self, itemsize: int) -> None:
        self.itemsize = itemsize
        self.available = available_bytes()
        self.parameters = 0
        self.activations = 0

    def add(self, layer: Layer, output_shape: Shape) -> None:
        """Count one more layer.

        Raises:
            ModelError: when the layers so far are too many numbers.
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
                f"with this layer one image fills {_gigabytes(needed)} on its way through the model, "
                f"and {_gigabytes(self.available)} are available",
                "use less padding, fewer filters or larger strides",
            )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"
