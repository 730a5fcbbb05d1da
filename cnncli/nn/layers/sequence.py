"""Builds layers one after the other from their specs: those of a network, or of a block inside it."""

import reprlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cnncli.errors import ModelError
from cnncli.options import MAIN_OPTION, inside, look_up
from cnncli.types import Shape

from .base import LAYERS, Layer

FORMS = (
    "a layer is 'relu', {'maxpool': 2}, {'conv': {'filters': 32, 'kernel': 3}} or ('linear', {'units': 10})"
)

LayerSpec = str | tuple[str, Any] | Mapping[str, Any]
"""One layer as a config writes it: "relu", {"maxpool": 2} or {"conv": {"filters": 32, ...}}; or a pair such as
("linear", {"units": 10})."""


def build_layers(
    model: object,
    input_shape: Shape,
    *,
    rng: np.random.Generator,
    dtype: npt.DTypeLike = np.float32,
    check: Callable[[Layer, Shape], None] = lambda layer, shape: None,
) -> list[Layer]:
    """Build the layers of a list. The input size of each follows from the layer before it.

    Args:
        model: a list in any form of `LayerSpec`.
        input_shape: of one sample.
        rng: the generator for the initial weights.
        dtype: of the parameters.
        check: is called with each layer and its output shape; it may refuse them with a `ModelError`.

    Raises:
        ModelError: names the layer, its input shape and the value found. Its key path is (index, option).
    """
    if isinstance(model, str | Mapping) or not isinstance(model, Sequence):
        raise ModelError(f"expected a list of layers, found {reprlib.repr(model)}", FORMS)
    pairs = [_read_spec(index, spec) for index, spec in enumerate(model)]
    names = layer_names([kind for kind, _ in pairs])
    layers: list[Layer] = []
    for index, ((kind, options), name) in enumerate(zip(pairs, names, strict=True)):
        with inside(f"layer {index + 1}", index):
            layer_class = look_up(LAYERS, "layer", kind, key_path=())
        with inside(f"layer {index + 1} ({name})", index):
            layer = layer_class.from_options(options, input_shape, rng=rng, dtype=dtype)
            input_shape = layer.output_shape(input_shape)
            check(layer, input_shape)
        layers.append(layer)
    return layers


def layer_names(kinds: Sequence[str]) -> tuple[str, ...]:
    """Return the kind of each layer with a running number per kind: conv1, relu1, conv2, ..."""
    seen: Counter[str] = Counter()
    names = []
    for kind in kinds:
        seen[kind] += 1
        names.append(f"{kind}{seen[kind]}")
    return tuple(names)


def _read_spec(index: int, spec: object) -> tuple[str, Mapping[str, Any]]:
    """Return the kind and the options of a layer in any form of `LayerSpec`."""
    if isinstance(spec, str):
        spec = (spec, {})
    elif isinstance(spec, Mapping) and len(spec) == 1:
        spec = next(iter(spec.items()))
    if not isinstance(spec, tuple) or len(spec) != 2 or not isinstance(spec[0], str):
        found = reprlib.repr(spec)
        raise ModelError(f"layer {index + 1}: expected a layer, found {found}", FORMS, (index,))
    kind, options = spec
    if not isinstance(options, Mapping):
        options = {} if options is None else {MAIN_OPTION: options}
    return kind, options
