"""Residual blocks: some layers, and a shortcut around them.

Derivation: docs/backward-passes.md#residual-blocks.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from cnncli.errors import ModelError
from cnncli.nn.parameters import Parameter
from cnncli.options import Pair, full_names
from cnncli.types import FloatArray, Shape

from .base import INFERENCE, Layer, Mode, Placed, Window
from .batchnorm import BatchNorm
from .conv import Conv2D
from .linear import Linear
from .sequence import build_layers, layer_names
from .windows import check_padding, pads_of


class Residual(Layer):
    """y = F(x) + x, where F is a list of layers. An activation after the sum is a layer of its own.

    Where F changes the shape, x goes through a projection: y = F(x) + P(x). P is a 1x1 convolution with the stride of F
    (for vectors a linear layer), followed by a batch normalization if F has one.

    Args:
        layers: F, from the input of the block to the sum. Their names are those of a network, such as conv1 and
            conv2, behind that of the block: "residual1.conv2". The shortcut has the names "projection" and
            "projection_norm".
        input_shape: of one sample.
        rng: the generator for the initial weights of the projection; None for a fresh one.
        dtype: of its parameters.

    Raises:
        ModelError: there are no layers, one is a block itself, or a projection cannot have the shape that F returns.

    Source: He et al., Deep Residual Learning for Image Recognition (2015), section 3.2 and option B of section 3.3.

    Example:
        >>> block = Residual([Conv2D(4, 8, 3, stride=2, padding=1)], (4, 6, 6))
        >>> block.output_shape((4, 6, 6)), list(block.parameters)
        ((8, 3, 3), ['conv1.weight', 'conv1.bias', 'projection.weight', 'projection.bias'])
    """

    kind = "residual"
    option_names: ClassVar[Mapping[str, str]] = {"layers": "layers"}
    main_option = "layers"

    def __init__(
        self,
        layers: Sequence[Layer],
        input_shape: Shape,
        *,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        if not layers:
            raise ModelError("a residual block needs layers", "give a list such as [conv: {...}, batchnorm]")
        if any(isinstance(layer, Residual) for layer in layers):
            hint = "put one after the other instead"
            raise ModelError("a residual block cannot be inside another one", hint)
        self.input_shape: Shape = tuple(input_shape)
        names = layer_names([layer.kind for layer in layers])
        self.body = tuple(_placed(zip(names, layers, strict=True), self.input_shape))
        projection = self._projection(self.body[-1].output_shape, rng, dtype)
        self.shortcut = tuple(_placed(projection, self.input_shape))
        self.parameters: dict[str, Parameter] = {
            f"{part.name}.{key}": parameter
            for part in self.parts
            for key, parameter in part.layer.parameters.items()
        }

    @property
    def parts(self) -> tuple[Placed, ...]:
        return self.body + self.shortcut

    @property
    def buffers(self) -> dict[str, FloatArray]:
        """The arrays of the layers inside that are not learned."""
        return {
            f"{part.name}.{key}": buffer for part in self.parts for key, buffer in part.layer.buffers.items()
        }

    def _projection(
        self, output_shape: Shape, rng: np.random.Generator | None, dtype: npt.DTypeLike
    ) -> list[tuple[str, Layer]]:
        """Return the layers of the shortcut, none where the shapes are the same."""
        before = self.input_shape
        if output_shape == before:
            return []
        if len(output_shape) != len(before):
            raise ModelError(
                f"the layers turn {before} into {output_shape}, and no shortcut leads there",
                "put flatten and globalavgpool after the block",
            )
        has_norm = any(isinstance(part.layer, BatchNorm) for part in self.body)
        layer: Layer
        if len(before) == 1:
            layer = Linear(before[0], output_shape[0], bias=not has_norm, rng=rng, dtype=dtype)
        else:
            stride = self._jump()
            channels = before[0], output_shape[0]
            layer = Conv2D(*channels, 1, stride, bias=not has_norm, rng=rng, dtype=dtype)
            if layer.output_shape(before) != output_shape:
                raise ModelError(
                    f"the layers turn {before} into {output_shape}, and a 1x1 convolution with their stride of "
                    f"{stride[0]}x{stride[1]} gives {layer.output_shape(before)}",
                    "use `padding: same` in the block, so that only strides change the size",
                )
        made: list[tuple[str, Layer]] = [("projection", layer)]
        if has_norm:
            made.append(("projection_norm", BatchNorm(output_shape[0], dtype=dtype)))
        return made

    def forward(self, x: FloatArray, mode: Mode = INFERENCE) -> FloatArray:
        y = shortcut = x
        for part in self.body:
            y = part.layer.forward(y, mode)
        for part in self.shortcut:
            shortcut = part.layer.forward(shortcut, mode)
        self._saved = mode.for_backward or None
        return y + shortcut

    def backward(self, dy: FloatArray) -> FloatArray:
        self._take()
        dx = dshortcut = dy
        for part in reversed(self.body):
            dx = part.layer.backward(dx)
        for part in reversed(self.shortcut):
            dshortcut = part.layer.backward(dshortcut)
        return dx + dshortcut

    def output_shape(self, input_shape: Shape) -> Shape:
        if tuple(input_shape) != self.input_shape:
            raise ModelError(
                f"is made for the shape {self.input_shape}, but its input has shape {input_shape}"
            )
        return self.body[-1].output_shape

    def multiply_adds(self, input_shape: Shape) -> int:
        return sum(part.layer.multiply_adds(part.input_shape) for part in self.parts)

    def _jump(self) -> Pair:
        """Return the distance of neighboring outputs, in positions of the input."""
        windows = [part.layer.window() for part in self.body]
        vertical = horizontal = 1
        for window in windows:
            if window is not None:
                vertical, horizontal = vertical * window.stride[0], horizontal * window.stride[1]
        return vertical, horizontal

    def window(self) -> Window | None:
        """Return the window of F; that of the shortcut, one pixel, is inside it."""
        size, jump, before = [1, 1], [1, 1], [0, 0]
        for part in self.body:
            window = part.layer.window()
            if window is None or len(part.input_shape) != 3:
                return None
            padding = check_padding(window.padding)
            pads = pads_of(padding, part.input_shape, window.kernel, window.stride)
            for axis in (0, 1):
                size[axis] += (window.kernel[axis] - 1) * jump[axis]
                before[axis] += pads[axis][0] * jump[axis]
                jump[axis] *= window.stride[axis]
        return Window((size[0], size[1]), (jump[0], jump[1]), [[before[0], 0], [before[1], 0]])

    def options(self) -> dict[str, object]:
        return {"layers": [{part.layer.kind: part.layer.options()} for part in self.body]}

    @classmethod
    def from_options(
        cls,
        options: Mapping[str, object],
        input_shape: Shape,
        *,
        rng: np.random.Generator,
        dtype: npt.DTypeLike = np.float32,
    ) -> Self:
        """Build a block from the list of its layers; see `Layer.from_options`."""
        given = full_names(cls.kind, options, cls.option_names, cls.main_option)
        if "layers" not in given:
            raise ModelError("the option 'layers' is missing", "residual takes: layers", ("layers",))
        layers = build_layers(given["layers"], input_shape, rng=rng, dtype=dtype)
        return cls(layers, input_shape, rng=rng, dtype=dtype)


def _placed(
    layers: Iterator[tuple[str, Layer]] | Sequence[tuple[str, Layer]], shape: Shape
) -> Iterator[Placed]:
    """Yield layers with their shapes."""
    for name, layer in layers:
        after = layer.output_shape(shape)
        yield Placed(name, layer, shape, after)
        shape = after
