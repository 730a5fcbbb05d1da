"""Writes a network as an ONNX file that every runtime computes in the same way.

What may be in such a file is decided by what runtimes disagree about: docs/interop.md lists it. Pixels go in as they
are in a file, 0 to 255. Scaling, normalization and softmax are part of the graph.

N images, C channels, H W pixels, K classes.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnncli._version import __version__
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
    Weights,
)
from cnncli.export.images import CHUNK, Images, pixels_of
from cnncli.export.subject import InputType, Subject
from cnncli.nn.layers.activations import TANH_CUBE, TANH_SCALE
from cnncli.nn.layers.windows import Pads
from cnncli.types import FloatArray

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 17
"""The version of the operators. Older runtimes know it, and onnx2torch knows none after 20."""

IR_VERSION = 8
"""The version of the file format that belongs to that opset. onnx writes its newest one if it is not told."""

INPUT, PROBABILITIES, LOGITS = "pixels", "probabilities", "logits"

FUNCTIONS = {"relu": "Relu", "leaky_relu": "LeakyRelu", "tanh": "Tanh", "sigmoid": "Sigmoid"}


def write(subject: Subject) -> dict[str, bytes]:
    """Return the content of the file."""
    return {".onnx": make_onnx(subject).SerializeToString()}


def make_onnx(subject: Subject) -> "ModelProto":
    """Return the ONNX model, checked by onnx.

    Its input `pixels` is (N, C, H, W). Its first output `probabilities` and its second output `logits` are (N, K).
    """
    import onnx

    graph = _Graph(subject.folded, subject.options.input)
    model = onnx.helper.make_model(
        graph.finish(subject.name),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="cnncli",
        producer_version=__version__,
    )
    facts = {key: value for key, value in subject.facts().items() if key != "config"}
    facts["pixels"] = "0 to 255, " + ("gray" if subject.folded.input_shape[0] == 1 else "red, green, blue")
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in facts.items()}
    onnx.helper.set_model_props(model, texts)
    onnx.checker.check_model(model, full_check=True)
    return model


def answers(path: Path, subject: Subject, images: Images) -> FloatArray:
    """Return the logits that onnxruntime computes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    pixels = pixels_of(images).astype(subject.options.input, copy=False)
    pieces = [pixels[start : start + CHUNK] for start in range(0, len(pixels), CHUNK)]
    return np.concatenate([session.run([LOGITS], {INPUT: piece})[0] for piece in pieces])


class _Graph:
    """Collects the nodes of a graph, each with the value of the one before as its input."""

    def __init__(self, folded: FoldedNetwork, input_type: InputType) -> None:
        self.folded = folded
        self.input_type = input_type
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.value = INPUT

    def finish(self, name: str) -> Any:
        """Return the whole graph."""
        from onnx import TensorProto, helper

        self._add_preprocessing()
        for step in self.folded.steps:
            self._add_step(step)
        self.nodes[-1].output[0] = self.value = LOGITS
        self._add_probabilities()
        shape: list[str | int | None] = ["N", *self.folded.input_shape]
        kind = TensorProto.UINT8 if self.input_type == "uint8" else TensorProto.FLOAT
        outputs = [
            helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", len(self.folded.classes)])
            # OpenCV's classic engine returns the first one
            for output in (PROBABILITIES, LOGITS)
        ]
        inputs = [helper.make_tensor_value_info(INPUT, kind, shape)]
        return helper.make_graph(self.nodes, name, inputs, outputs, self.initializers)

    def _add_preprocessing(self) -> None:
        from onnx import TensorProto

        if self.input_type == "uint8":
            self._add("Cast", "cast", to=TensorProto.FLOAT)
        self._add("Mul", "scaled", np.float32(self.folded.pixel_scale))
        if self.folded.pixel_shift:
            self._add("Add", "normalized", np.float32(self.folded.pixel_shift))

    def _add_probabilities(self) -> None:
        if self.folded.temperature != 1:
            self._add("Mul", "calibrated", np.float32(1 / self.folded.temperature))
        self._add("Softmax", PROBABILITIES, axis=1)

    def _add_step(self, step: Step) -> None:
        from onnx import helper

        match step:
            case Convolution():
                weight, pads = _with_small_padding(step)
                sizes = {"kernel_shape": weight.shape[2:], "strides": step.stride, "pads": _pads(pads)}
                more: dict[str, Any] = {"dilations": step.dilation, "group": step.groups}
                self._add("Conv", step.name, weight, step.bias, **more, **sizes)
            case Dense():
                self._add("Gemm", step.name, step.weight, step.bias, alpha=1.0, beta=1.0, transA=0, transB=1)
            case ScaleShift():
                self._add_scale_shift(step)
            case Pooling():
                self._add_pooling(step)
            case GlobalMean():
                self._add("GlobalAveragePool", f"{step.name}.pooled")
                self._add("Flatten", step.name, axis=1)
            case Flattening():
                self._add("Flatten", step.name, axis=1)
            case Addition():
                before = self.value
                for inner in step.body:
                    self._add_step(inner)
                body, self.value = self.value, before
                for inner in step.shortcut:
                    self._add_step(inner)
                self.nodes.append(helper.make_node("Add", [body, self.value], [step.name], name=step.name))
                self.value = step.name
            case Activation(function="prelu", slopes=slopes) if slopes is not None:
                self._add("PRelu", step.name, slopes.reshape(-1, *[1] * (len(step.input_shape) - 1)))
            case Activation(function="silu" | "gelu" | "gelu_tanh"):
                self._add_gate(step)
            case Activation():
                options = {"alpha": step.slope} if step.function == "leaky_relu" else {}
                self._add(FUNCTIONS[step.function], step.name, **options)
            case _:
                raise UsageError(f"{step.name} cannot be written as ONNX")

    def _add_scale_shift(self, step: ScaleShift) -> None:
        if len(step.input_shape) == 1:
            self._add("Mul", f"{step.name}.scaled", step.scale)
            self._add("Add", step.name, step.shift)
            return
        # a convolution of each channel alone: ncnn takes channels for rows in a Mul after other arithmetic, and OpenCV
        # moves a BatchNormalization after a Tanh to before it
        sizes = {"kernel_shape": (1, 1), "strides": (1, 1), "pads": (0, 0, 0, 0)}
        weight = step.scale.reshape(-1, 1, 1, 1)
        self._add("Conv", step.name, weight, step.shift, dilations=(1, 1), group=len(weight), **sizes)

    def _add_pooling(self, step: Pooling) -> None:
        sizes = {"kernel_shape": step.size, "strides": step.stride, "ceil_mode": 0}
        if step.function == "max":
            self._add("MaxPool", step.name, pads=_pads(step.pads), **sizes)
            return
        if step.pads != ((0, 0), (0, 0)):
            # runtimes disagree about counting the padding, so the zeros become pixels before
            (top, bottom), (left, right) = step.pads
            border = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
            self._add("Pad", f"{step.name}.padded", border, np.float32(0), mode="constant")
        if step.scale is None:
            self._add("AveragePool", step.name, pads=(0, 0, 0, 0), count_include_pad=0, **sizes)
        else:
            self._add("AveragePool", f"{step.name}.mean", pads=(0, 0, 0, 0), count_include_pad=0, **sizes)
            self._add("Mul", step.name, step.scale[np.newaxis, np.newaxis])

    def _add_gate(self, step: Activation) -> None:
        """Add y = x · share(x), from operators that are older than Gelu and Swish."""
        from onnx import helper

        x, name = self.value, step.name
        if step.function == "silu":
            self._add("Sigmoid", f"{name}.share")
        else:
            if step.function == "gelu":
                self._add("Mul", f"{name}.scaled", np.float32(np.sqrt(0.5)))
                self._add("Erf", f"{name}.height")
            else:  # scale · x + scale · cube · x³ = (scale + scale · cube · x²) · x
                self.nodes.append(helper.make_node("Mul", [x, x], [f"{name}.square"], name=f"{name}.square"))
                self.value = f"{name}.square"
                self._add("Mul", f"{name}.cube", np.float32(TANH_SCALE * TANH_CUBE))
                self._add("Add", f"{name}.sum", np.float32(TANH_SCALE))
                self._multiply(x, f"{name}.inner")
                self._add("Tanh", f"{name}.height")
            self._add("Add", f"{name}.above", np.float32(1))
            self._add("Mul", f"{name}.share", np.float32(0.5))
        self._multiply(x, name)

    def _multiply(self, factor: str, output: str) -> None:
        """Add the product of the current value and another one."""
        from onnx import helper

        self.nodes.append(helper.make_node("Mul", [self.value, factor], [output], name=output))
        self.value = output

    def _add(self, kind: str, output: str, *constants: Any, **attributes: Any) -> None:
        """Add a node that reads the current value and constants, and writes the next one."""
        from onnx import helper, numpy_helper

        names = [f"{output}.{number}" for number in range(len(constants))]
        if kind in ("Conv", "Gemm"):
            names = [f"{output}.weight", f"{output}.bias"]
        for name, constant in zip(names, constants, strict=True):
            self.initializers.append(numpy_helper.from_array(np.asarray(constant, order="C"), name))
        self.nodes.append(helper.make_node(kind, [self.value, *names], [output], name=output, **attributes))
        self.value = output


def _with_small_padding(step: Convolution) -> tuple[Weights, Pads]:
    """Return weight and padding of a convolution, the kernel with a border of zeros where runtimes need it.

    The border makes the kernel and the padding larger and changes no result. OpenVINO 2026.4 is wrong if one channel
    has a padding larger than the kernel, and if a kernel of 1x1 has a padding.
    """
    KH, KW = step.reach
    DH, DW = step.dilation
    (top, bottom), (left, right) = step.pads
    most = max(max(top, bottom) - KH, max(left, right) - KW)
    border = max(most, 1 if (KH, KW) == (1, 1) and max(top, bottom, left, right) else 0, 0)
    weight = np.pad(step.weight, ((0, 0), (0, 0), (border, border), (border, border)))
    more = border * DH, border * DW
    return weight, ((top + more[0], bottom + more[0]), (left + more[1], right + more[1]))


def _pads(pads: Pads) -> tuple[int, int, int, int]:
    """Return a padding in the order of ONNX: top, left, bottom, right."""
    (top, bottom), (left, right) = pads
    return top, left, bottom, right
