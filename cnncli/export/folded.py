"""The trained network as a list of plain steps, because other programs know no training and compute in few ways.

Dropout is gone. A batch normalization after a convolution or a dense layer is folded into its weights. Any other one is
a scale and a shift. "same" and "valid" have become numbers of pixels.

C channels in, F filters, H W image, KH KW kernel, K classes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from cnncli.errors import UsageError
from cnncli.nn.layers import (
    GELU,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Layer,
    LeakyReLU,
    Linear,
    MaxPool2D,
    Placed,
    PReLU,
    ReLU,
    Residual,
    Sigmoid,
    SiLU,
    Tanh,
)
from cnncli.nn.layers.windows import Pads, reach
from cnncli.nn.network import Network
from cnncli.options import Pair
from cnncli.training.model import Model
from cnncli.types import MeanStd, Shape

Weights = npt.NDArray[np.float32]
"""float32, in C order."""


@dataclass(frozen=True)
class Step:
    """One computation on one image.

    Attributes:
        name: of the layer that it comes from, such as "conv1"; no two steps share one.
        input_shape: (C, H, W) or (features,).
        output_shape: the same.
    """

    name: str
    input_shape: Shape
    output_shape: Shape


@dataclass(frozen=True)
class Convolution(Step):
    """y[f, a, b] = bias[f] + sum over c, i, j of weight[f, c, i, j] · x[c, a·SH + i·DH − top, b·SW + j·DW − left].

    Attributes:
        weight: (F, C/G, KH, KW): each of G groups of filters reads its own group of channels.
        bias: (F,); zeros if the layer has none.
        stride: (SH, SW), in pixels.
        pads: zeros around the image, ((top, bottom), (left, right)), in pixels. The two sides may differ.
        groups: G.
        dilation: (DH, DW), in pixels.
    """

    weight: Weights
    bias: Weights
    stride: Pair
    pads: Pads
    groups: int = 1
    dilation: Pair = (1, 1)

    @property
    def reach(self) -> Pair:
        """How many pixels a window spans, those that the dilation skips included."""
        KH, KW = self.weight.shape[2:]
        return reach((KH, KW), self.dilation)


@dataclass(frozen=True)
class Dense(Step):
    """y = weight · x + bias.

    Attributes:
        weight: (outputs, inputs). After a `Flattening` the inputs are in the order (C, H, W).
        bias: (outputs,); zeros if the layer has none.
    """

    weight: Weights
    bias: Weights


@dataclass(frozen=True)
class ScaleShift(Step):
    """y[c] = scale[c] · x[c] + shift[c], for each channel or feature c: a batch normalization that was not folded.

    Attributes:
        scale: (C,).
        shift: (C,).
    """

    scale: Weights
    shift: Weights


@dataclass(frozen=True)
class Pooling(Step):
    """The largest or the mean value of each window of each channel.

    Attributes:
        function: "max" ignores the padding. "mean" counts its zeros, so it divides by KH · KW everywhere.
        size: (KH, KW), in pixels.
        stride: (SH, SW), in pixels.
        pads: ((top, bottom), (left, right)), in pixels; each is below the size of the window.
        scale: (OH, OW), what each mean is multiplied by, where not all of its window counts; None where all does.
    """

    function: Literal["max", "mean"]
    size: Pair
    stride: Pair
    pads: Pads
    scale: Weights | None = None


@dataclass(frozen=True)
class GlobalMean(Step):
    """The mean of each channel: (C, H, W) -> (C,)."""


@dataclass(frozen=True)
class Activation(Step):
    """A function of each number.

    Attributes:
        function: as in a config; "gelu_tanh" is GELU by its approximation.
        slope: of "leaky_relu" for negative numbers; 0 for the others.
        slopes: (C,), those of "prelu" for each channel or feature; None for the others.
    """

    function: Literal["relu", "leaky_relu", "prelu", "tanh", "sigmoid", "silu", "gelu", "gelu_tanh"]
    slope: float = 0.0
    slopes: Weights | None = None


@dataclass(frozen=True)
class Flattening(Step):
    """(C, H, W) -> (C·H·W,), row by row of each channel in turn."""


@dataclass(frozen=True)
class Addition(Step):
    """A residual block: y = body(x) + shortcut(x).

    Attributes:
        body: the steps of the block.
        shortcut: those of its projection; without any it is x itself.
    """

    body: tuple[Step, ...]
    shortcut: tuple[Step, ...]


@dataclass(frozen=True)
class FoldedNetwork:
    """A trained network as plain steps, and how pixels go in and probabilities come out.

    Attributes:
        steps: in the order in which they run; the last one returns the K logits.
        input_shape: (C, H, W); C is 1 for gray and 3 for red, green and blue.
        classes: the name of each output.
        normalize: mean and standard deviation, or None; the first step takes (pixel / 255 − mean) / std.
        temperature: the logits divided by it go into the softmax; 1 if it was not fitted.
        unknown_threshold: an image whose largest logit is less than this above their mean is of no class, or None.
    """

    steps: tuple[Step, ...]
    input_shape: Shape
    classes: tuple[str, ...]
    normalize: MeanStd | None
    temperature: float
    unknown_threshold: float | None

    @property
    def pixel_scale(self) -> float:
        """The first step takes pixel · pixel_scale + pixel_shift, for a pixel in 0..255."""
        return 1 / 255 if self.normalize is None else 1 / (255 * self.normalize[1])

    @property
    def pixel_shift(self) -> float:
        """See `pixel_scale`."""
        return 0.0 if self.normalize is None else -self.normalize[0] / self.normalize[1]


def fold_model(model: Model) -> FoldedNetwork:
    """Return the plain steps of a trained model.

    Raises:
        UsageError: its inputs are no pictures.
    """
    shape = model.network.input_shape
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise UsageError(
            f"{model.name} takes inputs of shape {shape}, and only networks for pictures are exported"
        )
    temperature = model.calibration.temperature
    return FoldedNetwork(
        fold_steps(model.network),
        shape,
        model.classes,
        model.normalize,
        1.0 if temperature is None else temperature,
        model.calibration.unknown_threshold,
    )


def fold_steps(network: Network) -> tuple[Step, ...]:
    """Return the steps of a network in inference.

    Example:
        >>> from cnncli.nn import build_network
        >>> layers = [{"conv": {"filters": 4, "kernel": 3}}, "batchnorm", "relu", "flatten", {"linear": 10}]
        >>> network = build_network(layers, (1, 28, 28), rng=np.random.default_rng(0))
        >>> [step.name for step in fold_steps(network)]
        ['conv1', 'relu1', 'flatten1', 'linear1']
    """
    return _steps(placed for placed in network.walk() if "." not in placed.name)


def _steps(layers: Iterable[Placed]) -> tuple[Step, ...]:
    steps: list[Step] = []
    for name, layer, before, after in layers:
        if isinstance(layer, Dropout):
            continue
        if isinstance(layer, Residual):
            body, shortcut = (
                _steps(part._replace(name=f"{name}.{part.name}") for part in parts)
                for parts in (layer.body, layer.shortcut)
            )
            steps.append(Addition(name, before, after, body, shortcut))
        elif isinstance(layer, BatchNorm):
            step = _scale_shift(name, layer, before)
            if steps and isinstance(steps[-1], Convolution | Dense | ScaleShift):
                steps[-1] = _folded(steps[-1], step)
            else:
                steps.append(step)
        else:
            steps.append(_step(name, layer, before, after))
    return tuple(steps)


def _step(name: str, layer: Layer, before: Shape, after: Shape) -> Step:
    """Return the step of a layer other than dropout and batch normalization."""
    match layer:
        case Conv2D():
            pads = layer.pads(before)
            weights = _weight_and_bias(layer)
            return Convolution(
                name, before, after, *weights, layer.stride, pads, layer.groups, layer.dilation
            )
        case Linear():
            return Dense(name, before, after, *_weight_and_bias(layer))
        case MaxPool2D():
            return Pooling(name, before, after, "max", layer.pool_size, layer.stride, layer.pads(before))
        case AvgPool2D():
            counts = layer.counts(before)
            area = layer.pool_size[0] * layer.pool_size[1]
            scale = None if counts is None else _weights(area / counts)
            pads = layer.pads(before)
            return Pooling(name, before, after, "mean", layer.pool_size, layer.stride, pads, scale)
        case GlobalAvgPool():
            return GlobalMean(name, before, after)
        case Flatten():
            return Flattening(name, before, after)
        case LeakyReLU():
            return Activation(name, before, after, "leaky_relu", layer.slope)
        case PReLU():
            slopes = _weights(np.broadcast_to(layer.weight, before[:1]))
            return Activation(name, before, after, "prelu", slopes=slopes)
        case SiLU():
            return Activation(name, before, after, "silu")
        case GELU():
            return Activation(name, before, after, "gelu" if layer.approximate == "none" else "gelu_tanh")
        case ReLU():
            return Activation(name, before, after, "relu")
        case Tanh():
            return Activation(name, before, after, "tanh")
        case Sigmoid():
            return Activation(name, before, after, "sigmoid")
    raise UsageError(f"{name}: a layer of the kind {layer.kind} cannot be exported")


def _weight_and_bias(layer: Conv2D | Linear) -> tuple[Weights, Weights]:
    weight = layer.weight
    bias = layer.bias if "bias" in layer.parameters else np.zeros(len(weight), weight.dtype)
    return _weights(weight), _weights(bias)


def _scale_shift(name: str, layer: BatchNorm, shape: Shape) -> ScaleShift:
    """Return y = scale · x + shift, the same as gamma · (x − mean) / sqrt(variance + eps) + beta."""
    gamma, beta, mean, variance = (
        array.astype(np.float64) for array in (layer.gamma, layer.beta, layer.running_mean, layer.running_var)
    )
    scale = gamma / np.sqrt(variance + layer.eps)
    return ScaleShift(name, shape, shape, _weights(scale), _weights(beta - mean * scale))


def _folded(step: Convolution | Dense | ScaleShift, after: ScaleShift) -> Step:
    """Return one step that computes a step and then a scale and shift of its outputs."""
    scale, shift = after.scale.astype(np.float64), after.shift.astype(np.float64)
    if isinstance(step, ScaleShift):
        return replace(step, scale=_weights(scale * step.scale), shift=_weights(scale * step.shift + shift))
    wide = scale.reshape(-1, *[1] * (step.weight.ndim - 1))
    return replace(step, weight=_weights(step.weight * wide), bias=_weights(scale * step.bias + shift))


def _weights(array: npt.ArrayLike) -> Weights:
    return np.array(array, np.float32, order="C")
