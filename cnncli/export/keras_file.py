"""Writes a network as a .keras file, which Keras 3 loads as a model without any code of ours.

The file is a ZIP archive: the layers as JSON, and their weights as HDF5. Neither Keras nor TensorFlow is needed to
write it. Everything is in channels_last, which all of Keras' backends compute alike: kernels are (KH, KW, C, F), and
the rows of a dense layer after a flattening are in the order (H, W, C). Each padding is a layer of its own, because
"same" means another one elsewhere. Pixels go in as they are in a file, 0 to 255. Scaling, normalization and softmax
are layers.
"""

import json
import os
import re
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import numpy as np
import numpy.typing as npt

from cnncli.errors import UsageError
from cnncli.export.folded import (
    Activation,
    Addition,
    Convolution,
    Dense,
    Flattening,
    FoldedNetwork,
    GlobalMean,
    Pooling,
    ScaleShift,
    Step,
)
from cnncli.export.images import CHUNK, Images, pixels_of
from cnncli.export.subject import Subject
from cnncli.nn.layers.windows import Pads, same_pads
from cnncli.types import FloatArray, Shape

FORMAT_VERSION = "3.0.0"
"""The version of Keras from which on such files can be read."""

BACKENDS = {"tensorflow": "tensorflow", "torch": "torch", "jax": "jax"}
"""What Keras can compute with, and the module of each."""

NOT_NEGATIVE = ("relu", "sigmoid")

_NO_PADS: Pads = ((0, 0), (0, 0))


def write(subject: Subject) -> dict[str, bytes]:
    """Return the content of the file."""
    layers = _Layers(subject.folded)
    config = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": re.sub(r"\W", "_", subject.name), "layers": layers.configs},
        "registered_name": None,
    }
    facts = {key: value for key, value in subject.facts().items() if key != "config"}
    contents: dict[str, str | bytes] = {
        "metadata.json": json.dumps({"keras_version": FORMAT_VERSION, "date_saved": "1980-01-01@00:00:00"}),
        "config.json": json.dumps(config),
        "model.weights.h5": _to_hdf5(layers.weights),
        "assets/facts.json": json.dumps(facts),
    }
    buffer = BytesIO()
    with ZipFile(buffer, "w") as archive:
        for name, content in contents.items():
            archive.writestr(ZipInfo(name), content)
    return {".keras": buffer.getvalue()}


def answers(path: Path, subject: Subject, images: Images) -> FloatArray:
    """Return the logits that Keras computes, with the backend that it is set to, or the first one that is installed."""
    from importlib.util import find_spec

    installed = [name for name, module in BACKENDS.items() if find_spec(module) is not None]
    os.environ.setdefault("KERAS_BACKEND", next(iter(installed), "numpy"))
    import keras

    loaded = keras.saving.load_model(path)
    logits = keras.Model(loaded.inputs, loaded.get_layer(subject.folded.steps[-1].name).output)
    pixels = pixels_of(images).transpose(0, 2, 3, 1).astype(np.float32)
    pieces = [pixels[start : start + CHUNK] for start in range(0, len(pixels), CHUNK)]
    return np.concatenate([keras.ops.convert_to_numpy(logits([piece], training=False)) for piece in pieces])


class _Layers:
    """Collects the layers of a Sequential model, and their weights.

    Attributes:
        configs: each layer as in config.json.
        weights: the arrays of each layer, by the name of its group in the HDF5 file.
    """

    def __init__(self, folded: FoldedNetwork) -> None:
        self.configs: list[dict[str, Any]] = []
        self.weights: dict[str, list[npt.NDArray[np.float32]]] = {}
        self._kinds: Counter[str] = Counter()
        self._order: npt.NDArray[np.intp] | None = None  # which number of ours each one of Keras is
        self._shape = folded.input_shape
        shape = [None, *_channels_last(folded.input_shape)]
        self._add("InputLayer", "pixels", batch_shape=shape, dtype="float32")
        self._add("Rescaling", "normalized", scale=folded.pixel_scale, offset=folded.pixel_shift)
        for index, step in enumerate(folded.steps):
            self._add_step(step, folded.steps[:index], folded.steps[index + 1 :])
            self._shape = step.output_shape
        if folded.temperature != 1:
            self._add("Rescaling", "calibrated", scale=1 / folded.temperature, offset=0.0)
        self._add("Softmax", "probabilities")

    def _add_step(self, step: Step, before: tuple[Step, ...], after: tuple[Step, ...]) -> None:
        match step:
            case Convolution():
                self._add_convolution(step)
            case Dense():
                rows = step.weight.T if self._order is None else step.weight.T[self._order]
                self._order = None
                self._add("Dense", step.name, rows, step.bias, units=len(step.bias))
            case ScaleShift():
                scale, shift = (
                    array if self._order is None else array[self._order] for array in (step.scale, step.shift)
                )
                # the epsilon is added to a variance that makes the sum 1
                mean, variance = np.zeros_like(shift), np.full_like(scale, 1 - 1e-5)
                self._add(
                    "BatchNormalization", step.name, scale, shift, mean, variance, axis=-1, epsilon=1e-5
                )
            case Pooling():
                self._add_pooling(step, before)
            case GlobalMean():
                self._add("GlobalAveragePooling2D", step.name, data_format="channels_last")
            case Flattening():
                C, H, W = step.input_shape
                if any(isinstance(later, Dense) for later in after):
                    self._order = np.arange(C * H * W).reshape(C, H, W).transpose(1, 2, 0).ravel()
                else:
                    self._add("Permute", f"{step.name}_channels", dims=(3, 1, 2))
                self._add("Flatten", step.name)
            case Activation(function="leaky_relu"):
                self._add("LeakyReLU", step.name, negative_slope=step.slope)
            case Activation(function="prelu", slopes=slopes) if slopes is not None:
                image = len(step.input_shape) == 3
                wide = slopes.reshape(1, 1, -1) if image else slopes
                if self._order is not None:
                    wide = wide[self._order]
                self._add("PReLU", step.name, wide, shared_axes=[1, 2] if image else None)
            case Activation(function="gelu_tanh"):
                raise UsageError(
                    f"{step.name} cannot be written for Keras, whose files have no name for this approximation",
                    "use `gelu: none`, or another format, such as onnx or torch",
                )
            case Activation():
                self._add("Activation", step.name, activation=step.function)
            case Addition():
                raise UsageError(
                    f"{step.name} cannot be written for Keras, since the file is a list of layers without shortcuts",
                    "use another format, such as onnx or torch",
                )
            case _:
                raise UsageError(f"{step.name} cannot be written for Keras")

    def _add_convolution(self, step: Convolution) -> None:
        F, _, *kernel = step.weight.shape
        sizes: dict[str, Any] = {"kernel_size": kernel, "strides": step.stride}
        if step.dilation != (1, 1):
            if step.stride != (1, 1):
                raise UsageError(
                    f"{step.name} cannot be written for Keras, whose convolutions have no stride beside a dilation",
                    "use a stride of 1, no dilation, or another format, such as onnx or torch",
                )
            sizes["dilation_rate"] = step.dilation
        self._add_padding(step, step.pads)
        rest = {"padding": "valid", "data_format": "channels_last", **sizes}
        arrays = step.weight.transpose(2, 3, 1, 0), step.bias  # (KH, KW, C/G, F)
        self._add("Conv2D", step.name, *arrays, filters=F, groups=step.groups, **rest)

    def _add_pooling(self, step: Pooling, before: tuple[Step, ...]) -> None:
        sizes = {"pool_size": step.size, "strides": step.stride, "data_format": "channels_last"}
        _, H, W = step.input_shape
        if step.scale is not None:
            raise UsageError(
                f"{step.name} cannot be written for Keras, which has no mean that leaves out this padding",
                "use no ceil_mode and no padding, or another format, such as onnx or torch",
            )
        same = (same_pads(H, step.size[0], step.stride[0]), same_pads(W, step.size[1], step.stride[1]))
        if step.function == "mean":  # the zeros count, and those of "same" would not
            self._add_padding(step, step.pads)
            self._add("AveragePooling2D", step.name, padding="valid", **sizes)
        elif step.pads == _NO_PADS or step.pads != same:
            if step.pads != _NO_PADS and not _never_negative(before):
                raise UsageError(
                    f"{step.name} cannot be written for Keras, which has no padding of {step.pads} for it",
                    "put a relu before it, use no padding, or another format",
                )
            self._add_padding(step, step.pads)
            self._add("MaxPooling2D", step.name, padding="valid", **sizes)
        else:
            self._add("MaxPooling2D", step.name, padding="same", **sizes)

    def _add_padding(self, step: Step, pads: Pads) -> None:
        if pads != _NO_PADS:
            self._add("ZeroPadding2D", f"{step.name}_padding", padding=pads, data_format="channels_last")
            C, H, W = self._shape
            self._shape = (C, H + sum(pads[0]), W + sum(pads[1]))

    def _add(self, kind: str, name: str, *arrays: npt.NDArray[np.float32], **options: Any) -> None:
        config = {
            "module": "keras.layers",
            "class_name": kind,
            "config": {"name": name, **options},
            "registered_name": None,
        }
        if arrays:
            config["build_config"] = {"input_shape": [None, *_channels_last(self._shape)]}
        self.configs.append(config)
        number = self._kinds[kind]
        self._kinds[kind] += 1
        # in the file a layer has the name of its class in snake case, with a number from the second one on
        group = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", kind)).lower()
        if arrays:
            self.weights[f"{group}_{number}" if number else group] = [
                np.ascontiguousarray(array) for array in arrays
            ]


def _never_negative(steps: tuple[Step, ...]) -> bool:
    """Return whether the last of these steps never returns a negative number, so that zeros never win a maximum."""
    last = steps[-1] if steps else None
    if isinstance(last, Pooling):
        return _never_negative(steps[:-1])
    return isinstance(last, Activation) and last.function in NOT_NEGATIVE


def _channels_last(shape: Shape) -> list[int]:
    return [*shape[1:], shape[0]] if len(shape) == 3 else list(shape)


def _to_hdf5(weights: dict[str, list[npt.NDArray[np.float32]]]) -> bytes:
    import h5py

    buffer = BytesIO()
    with h5py.File(buffer, "w") as file:
        for group, arrays in weights.items():
            for number, array in enumerate(arrays):
                file[f"layers/{group}/vars/{number}"] = array
        file.require_group("vars")
    return buffer.getvalue()
