"""The interface of every layer: its forward and backward pass, its shapes, and its options in a config."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Self, overload

import numpy as np
import numpy.typing as npt

from cnncli.errors import ModelError
from cnncli.nn.parameters import Parameter, copy_into
from cnncli.options import Pair, full_names, short_form
from cnncli.types import FloatArray, Shape


@dataclass(frozen=True)
class Mode:
    """How a forward pass runs.

    Args:
        training: use the training behavior of dropout and batch normalization.
        rng: the generator that dropout draws from in training; other layers ignore it.
        keep: keep what `backward` needs, also outside training (for example for a saliency map).

    Example:
        >>> Mode(training=True).for_backward, INFERENCE.for_backward
        (True, False)
    """

    training: bool = False
    rng: np.random.Generator | None = None
    keep: bool = False

    @property
    def for_backward(self) -> bool:
        """Whether a layer must keep what its `backward` needs."""
        return self.training or self.keep


INFERENCE = Mode()
"""A forward pass that no backward pass follows."""


class Window(NamedTuple):
    """The part of a layer's input that one output position depends on, for the receptive field.

    Attributes:
        kernel: how many pixels it spans, in each direction.
        stride: from window to window.
        padding: as `check_padding` takes it.
        dilation: the distance of the pixels that it reads.
    """

    kernel: Pair
    stride: Pair
    padding: object
    dilation: Pair = (1, 1)


class Placed(NamedTuple):
    """A layer and its place.

    Attributes:
        name: as in a network; that of a layer inside another one begins with the other's: "residual1.conv2".
        layer: the layer.
        input_shape: of one sample.
        output_shape: of one sample.
    """

    name: str
    layer: "Layer"
    input_shape: Shape
    output_shape: Shape


class Layer(ABC):
    """One step of a network. N is the batch size; a `Shape` is that of one sample, without N.

    A subclass sets `kind` (its name in a config) and `option_names` (from the name of each option in a config to
    the constructor's argument). It implements `forward` and `backward`, and overrides what differs from the
    defaults below.
    """

    kind: ClassVar[str]
    option_names: ClassVar[Mapping[str, str]] = {}
    main_option: ClassVar[str | None] = None
    per_sample: ClassVar[bool] = True
    """Whether the output for a sample depends on that sample alone. If not, the engine splits no batch into shards.
    BatchNorm is the exception: its kernel sums over all shards.
    """

    def __init__(self) -> None:
        self.parameters: dict[str, Parameter] = {}
        self.frozen = False  # see `Network.freeze`
        self._saved: Any = None

    @cached_property
    def buffers(self) -> dict[str, FloatArray]:
        """Arrays that belong to the layer but are not learned, by name. They are only written in place."""
        return {}

    @property
    def parts(self) -> tuple[Placed, ...]:
        """The layers inside this one, in the order in which they run; keys of `parameters` begin with their names."""
        return ()

    @abstractmethod
    def forward(self, x: FloatArray, mode: Mode = INFERENCE) -> FloatArray:
        """Return the layer's output.

        Args:
            x: (N, *input_shape). It is not changed.
            mode: training or inference.

        Returns:
            (N, *output_shape), in the dtype of x. It may be a strided view.
        """

    @abstractmethod
    def backward(self, dy: FloatArray) -> FloatArray:
        """Write the gradients of this layer's parameters and return the gradient of its input.

        It releases what `forward` kept, so a second call needs a second `forward`.

        Args:
            dy: (N, *output_shape), the gradient of the loss with respect to the output.

        Returns:
            dx, (N, *input_shape).
        """

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of one output sample.

        Raises:
            ModelError: the layer does not accept this input shape.
        """
        return input_shape

    def multiply_adds(self, input_shape: Shape) -> int:
        """Return how many multiply-adds one sample takes."""
        return 0

    def window(self) -> Window | None:
        """Return the window of one output position, or None when it depends on the whole input."""
        return Window((1, 1), (1, 1), 0)

    def options(self) -> dict[str, object]:
        """Return the options with which a config describes this layer."""
        values = {name: getattr(self, argument) for name, argument in self.option_names.items()}
        return {
            name: short_form(value) if isinstance(value, tuple) else value for name, value in values.items()
        }

    @classmethod
    def context(cls, input_shape: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> dict[str, Any]:
        """Return the constructor's arguments that do not come from a config, such as the number of input channels."""
        return {}

    @classmethod
    def from_options(
        cls,
        options: Mapping[str, object],
        input_shape: Shape,
        *,
        rng: np.random.Generator,
        dtype: npt.DTypeLike = np.float32,
    ) -> Self:
        """Build a layer from its options in a config.

        Args:
            options: option name -> value; the name "_" stands for the layer's main option (`linear: 10`).
            input_shape: the output shape of the layer before it.
            rng: the generator for the initial weights.
            dtype: of the parameters.

        Raises:
            ModelError: an option is unknown or missing, or its value is not valid.
        """
        given = full_names(cls.kind, options, cls.option_names, cls.main_option)
        constructor = inspect.signature(cls).parameters
        for name, argument in cls.option_names.items():
            if name not in given and constructor[argument].default is inspect.Parameter.empty:
                raise ModelError(
                    f"the option '{name}' is missing",
                    f"{cls.kind} takes: {', '.join(cls.option_names)}",
                    (name,),
                )
        arguments: dict[str, Any] = {cls.option_names[name]: value for name, value in given.items()}
        return cls(**arguments, **cls.context(input_shape, rng, dtype))

    def _take(self) -> Any:
        """Return what `forward` kept, and release it."""
        saved, self._saved = self._saved, None
        if saved is None:
            raise RuntimeError(f"{self.kind}: backward needs a forward with training or keep before it")
        return saved

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_saved": None}  # a copy or pickle has no activations

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.options().items())
        return f"{type(self).__name__}({options})"


LAYERS: dict[str, type[Layer]] = {}
"""Every kind that a config can name. The package fills it; it is here for the layers that have layers inside."""


class ArrayView:
    """Makes an attribute such as `layer.weight` the array of that parameter or buffer; assigning copies into it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, layer: None, owner: type) -> Self: ...
    @overload
    def __get__(self, layer: Layer, owner: type) -> FloatArray: ...
    def __get__(self, layer: Layer | None, owner: type) -> Self | FloatArray:
        return self if layer is None else self._array(layer)

    def __set__(self, layer: Layer, new: npt.ArrayLike) -> None:
        copy_into(self._array(layer), new)

    def _array(self, layer: Layer) -> FloatArray:
        if self.name in layer.parameters:
            return layer.parameters[self.name].value
        if self.name in layer.buffers:
            return layer.buffers[self.name]
        raise AttributeError(f"this {layer.kind} layer has no {self.name}")
