"""Writes a network as JSON, as assets/network.js reads it: layers with their options, and the bytes of all arrays.

F filters or outputs.
"""

import zlib
from base64 import b64encode
from typing import Any

import numpy as np

from cnncli.export.subject import DataType, Subject
from cnncli.nn.layers import (
    GELU,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Layer,
    LeakyReLU,
    MaxPool2D,
    Placed,
    Residual,
)
from cnncli.types import FloatArray, Shape

_LARGEST = 127
"""The largest weight in int8. -128 is not used, so that the range is symmetric."""


def network_document(subject: Subject) -> dict[str, Any]:
    """Return all that a page must know about a model."""
    model = subject.model
    facts = subject.facts()
    expected = model.preparation
    packed = Packed()
    return {
        "name": model.name,
        "classes": facts["classes"],
        "inputShape": facts["input_shape"],
        "mean": facts["mean"],
        "std": facts["std"],
        "temperature": facts["temperature"],
        "unknownThreshold": facts["unknown_threshold"],
        "knowsNone": bool(model.data_config.get("unknown")),
        "preparation": {
            "form": expected.form,
            "background": expected.background,
            "transpose": bool(model.data_config.get("transpose")),
            "invert": bool(model.data_config.get("invert")),
        },
        "layers": _layers(subject, packed),
        "weights": packed.to_base64(),
    }


def _layers(subject: Subject, packed: "Packed") -> list[dict[str, Any]]:
    network = subject.model.network
    return [
        _layer(placed, subject.options.dtype, packed)
        for placed in network.walk()
        if "." not in placed.name  # a layer inside a block is written with it
    ]


def _layer(placed: Placed, dtype: DataType, packed: "Packed") -> dict[str, Any]:
    name, layer, before, after = placed
    written = {"name": name, "kind": layer.kind, "outputShape": list(after), **_options(layer, before)}
    if isinstance(layer, Residual):
        inside = {
            key: [_layer(part._replace(name=f"{name}.{part.name}"), dtype, packed) for part in parts]
            for key, parts in (("body", layer.body), ("shortcut", layer.shortcut))
        }
        return {**written, "arrays": {}, **inside}
    arrays = {**_parameters(layer), **layer.buffers}
    return {**written, "arrays": {key: packed.add(array, dtype) for key, array in arrays.items()}}


def _parameters(layer: Layer) -> dict[str, FloatArray]:
    return {key: parameter.value for key, parameter in layer.parameters.items()}


def _options(layer: Layer, before: Shape) -> dict[str, Any]:
    """Return what a layer needs in inference, beside its arrays; the padding is in pixels."""
    match layer:
        case Conv2D():
            return {
                "stride": list(layer.stride),
                "pads": [list(pair) for pair in layer.pads(before)],
                "groups": layer.groups,
                "dilation": list(layer.dilation),
            }
        case MaxPool2D() | AvgPool2D():
            pads = [list(pair) for pair in layer.pads(before)]
            counts = layer.counts(before) if isinstance(layer, AvgPool2D) else None
            counted = {} if counts is None else {"counts": counts.ravel().tolist()}
            return {"size": list(layer.pool_size), "stride": list(layer.stride), "pads": pads, **counted}
        case BatchNorm():
            return {"eps": layer.eps}
        case LeakyReLU():
            return {"slope": layer.slope}
        case GELU():
            return {"approximate": layer.approximate}
    return {}


class Packed:
    """The bytes of arrays, one after the other. Each begins at a multiple of 4 bytes, as browsers want it.

    Example:
        >>> packed = Packed()
        >>> packed.add(np.array([1.0, 2.0]), "int8")
        {'shape': [2], 'dtype': 'float32', 'start': 0}
        >>> packed.add(np.array([[3.0, 4.0]]), "int8")
        {'shape': [1, 2], 'dtype': 'int8', 'scaleStart': 8, 'start': 12}
    """

    def __init__(self) -> None:
        self._content = bytearray()

    def add(self, array: FloatArray, dtype: DataType) -> dict[str, Any]:
        """Add an array, and return where it is. Vectors are always float32: they are few numbers, and each matters."""
        shape = list(array.shape)
        if dtype == "float32" or array.ndim == 1:
            return {"shape": shape, "dtype": "float32", "start": self._append(array, "<f4")}
        whole, scale = quantized(array)
        scale_start = self._append(scale, "<f4")
        return {
            "shape": shape,
            "dtype": "int8",
            "scaleStart": scale_start,
            "start": self._append(whole, "i1"),
        }

    def to_base64(self) -> str:
        """Return all bytes, compressed: of weights in int8 this saves a seventh."""
        return b64encode(zlib.compress(self._content, 9)).decode("ascii")

    def _append(self, array: FloatArray, dtype: str) -> int:
        self._content += bytes(-len(self._content) % 4)
        start = len(self._content)
        self._content += np.ascontiguousarray(array, dtype).tobytes()
        return start


def quantized(weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return weights as whole numbers from -127 to 127, and the scale of each filter: weight ≈ whole · scale.

    Args:
        weight: (F, ...).

    Returns:
        The whole numbers in the same shape, and the scales (F,), both float32.

    Example:
        >>> whole, scale = quantized(np.array([[0.5, -1.27], [0.0, 0.0]]))
        >>> whole.tolist()
        [[50.0, -127.0], [0.0, 0.0]]
    """
    rows = weight.reshape(len(weight), -1).astype(np.float64)
    largest = np.abs(rows).max(axis=1)
    scale = np.where(largest > 0, largest / _LARGEST, 1).astype(np.float32)
    # a scale that was rounded down would give 127.0001
    whole = np.rint(rows / scale[:, None]).clip(-_LARGEST, _LARGEST).astype(np.float32)
    return whole.reshape(weight.shape), scale


def rounded_state(state: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """Return the parameters and buffers that a page with weights in int8 computes with."""
    rounded = {}
    for name, array in state.items():
        if array.ndim > 1:
            whole, scale = quantized(array)
            array = whole * scale.reshape(-1, *[1] * (array.ndim - 1))
        rounded[name] = array
    return rounded
