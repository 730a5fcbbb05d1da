"""Writes a network as a PyTorch program, which runs without any code of ours, and its weights as a state dict.

The program (.pt2) is what `torch.export` makes of plain modules. Pixels go in as they are in a file, 0 to 255. Scaling,
normalization and softmax are part of it. The state dict (.pt) has the weights as they were trained, for modules that
somebody else writes.
"""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from cnncli.checkpoint.torch_names import torch_name
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
from cnncli.export.subject import Subject
from cnncli.nn.layers.windows import Pads
from cnncli.types import FloatArray


def write(subject: Subject) -> dict[str, bytes]:
    """Return the program, and the state dict."""
    module = make_module(subject.folded)
    kind = getattr(torch, subject.options.input)
    # two images, because torch.export takes a batch of one for a batch that is always one
    pixels = torch.zeros((2, *subject.folded.input_shape), dtype=kind)
    program = torch.export.export(module, (pixels,), dynamic_shapes=({0: torch.export.Dim("N")},))
    weights = {torch_name(name): torch.from_numpy(array) for name, array in subject.weights().items()}
    contents = BytesIO(), BytesIO()
    torch.export.save(program, contents[0])
    torch.save(weights, contents[1])
    return {".pt2": contents[0].getvalue(), ".pt": contents[1].getvalue()}


def answers(path: Path, subject: Subject, images: Images) -> FloatArray:
    """Return the logits that PyTorch computes with the program.

    Raises:
        ValueError: the state dict beside it has other weights.
    """
    weights = torch.load(path.with_suffix(".pt"), weights_only=True)
    for name, array in subject.weights().items():
        if not np.array_equal(weights.pop(torch_name(name)).numpy(), array):
            raise ValueError(f"{name} is not what was written")
    module = torch.export.load(path).module()
    return run(module, pixels_of(images).astype(subject.options.input, copy=False))


def run(module: Any, pixels: npt.NDArray[Any]) -> FloatArray:
    """Return the logits (N, K) of a module for pixels (N, C, H, W)."""
    pieces = [torch.from_numpy(pixels[start : start + CHUNK]) for start in range(0, len(pixels), CHUNK)]
    with torch.no_grad():
        return np.concatenate([module(piece)[1].numpy() for piece in pieces])


def make_module(folded: FoldedNetwork) -> "Classifier":
    """Return a module that takes pixels (N, C, H, W), and returns probabilities and logits (N, K)."""
    module = Classifier(folded)
    module.eval()
    return module


class Classifier(nn.Module):
    """The steps of a network between the scaling of its pixels and the softmax.

    Args:
        folded: the network.
    """

    def __init__(self, folded: FoldedNetwork) -> None:
        super().__init__()
        self.scale, self.shift, self.temperature = folded.pixel_scale, folded.pixel_shift, folded.temperature
        layers = nn.Sequential()
        for step in folded.steps:
            layers.add_module(step.name, _module(step))
        self.layers = layers

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.layers(pixels.to(torch.float32) * self.scale + self.shift)
        return torch.softmax(logits / self.temperature, dim=1), logits


class Block(nn.Module):
    """y = body(x) + shortcut(x).

    Args:
        step: with the steps of both.
    """

    def __init__(self, step: Addition) -> None:
        super().__init__()
        self.body, self.shortcut = nn.Sequential(), nn.Sequential()
        for module, steps in ((self.body, step.body), (self.shortcut, step.shortcut)):
            for inner in steps:
                module.add_module(inner.name.partition(".")[2], _module(inner))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) + self.shortcut(x)


class Affine(nn.Module):
    """y = weight · x + bias, for each channel or feature.

    Args:
        step: with the numbers.
    """

    def __init__(self, step: ScaleShift) -> None:
        super().__init__()
        wide = (-1, *[1] * (len(step.input_shape) - 1))
        self.weight = nn.Parameter(torch.from_numpy(step.scale.reshape(wide)))
        self.bias = nn.Parameter(torch.from_numpy(step.shift.reshape(wide)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight + self.bias


class Scaled(nn.Module):
    """y = scale · x, for each position of an image.

    Args:
        scale: (OH, OW).
    """

    def __init__(self, scale: Weights) -> None:
        super().__init__()
        self.register_buffer("scale", torch.from_numpy(scale))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale


def _module(step: Step) -> nn.Module:
    """Return the module that computes a step."""
    match step:
        case Convolution():
            F, C, *kernel = step.weight.shape
            sizes = {"stride": step.stride, "dilation": step.dilation, "groups": step.groups}
            conv = nn.Conv2d(C * step.groups, F, tuple(kernel), **sizes)
            return _padded(_with_weights(conv, step), step.pads, 0)
        case Dense():
            return _with_weights(nn.Linear(*step.weight.shape[::-1]), step)
        case ScaleShift():
            return Affine(step)
        case Pooling(function="max"):
            return _padded(nn.MaxPool2d(step.size, step.stride), step.pads, float("-inf"))
        case Pooling():
            mean = _padded(nn.AvgPool2d(step.size, step.stride), step.pads, 0)
            return mean if step.scale is None else nn.Sequential(mean, Scaled(step.scale))
        case GlobalMean():
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case Flattening():
            return nn.Flatten()
        case Activation():
            return _activation(step)
        case Addition():
            return Block(step)
    raise UsageError(f"{step.name} cannot be written for PyTorch")


def _activation(step: Activation) -> nn.Module:
    match step.function:
        case "leaky_relu":
            return nn.LeakyReLU(step.slope)
        case "prelu":
            assert step.slopes is not None
            module = nn.PReLU(len(step.slopes))
            module.load_state_dict({"weight": torch.from_numpy(step.slopes)})
            return module
        case "gelu":
            return nn.GELU()
        case "gelu_tanh":
            return nn.GELU(approximate="tanh")
    return {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "silu": nn.SiLU}[step.function]()


def _with_weights(module: nn.Module, step: Convolution | Dense) -> nn.Module:
    module.load_state_dict({"weight": torch.from_numpy(step.weight), "bias": torch.from_numpy(step.bias)})
    return module


def _padded(module: nn.Module, pads: Pads, value: float) -> nn.Module:
    """Return a module behind one that pads; PyTorch's own paddings are the same on both sides."""
    (top, bottom), (left, right) = pads
    if pads == ((0, 0), (0, 0)):
        return module
    return nn.Sequential(nn.ConstantPad2d((left, right, top, bottom), value), module)
