"""What every layer has in common: how it is called, asked about its shapes, and made from a config."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Self, overload

import numpy as np
import numpy.typing as npt

from cnncli.errors import ModelError, did_you_mean
from cnncli.nn.checks import Pair
from cnncli.nn.parameters import Parameter
from cnncli.types import FloatArray, Shape

MAIN = "_"  # the option's name when a config says only `maxpool: 2`


class Window(NamedTuple):
    """What one output position sees of the layer's input, for the receptive field."""

    kernel: Pair
    stride: Pair
    padding: object


class Layer(ABC):
    """One step of a network. N is the batch; shapes given to and by its questions are those of one sample.

    A subclass says its `kind` (the name in a config) and its `option_names` (the name of each option in a
    config -> the argument of its constructor), and writes `forward`, `backward` and what else differs.
    """

    kind: ClassVar[str]
    option_names: ClassVar[Mapping[str, str]] = {}
    main_option: ClassVar[str | None] = None
    per_sample: ClassVar[bool] = True
    """Whether a sample's output depends on that sample alone; if not, a batch may not be cut into shards."""

    def __init__(self) -> None:
        self.parameters: dict[str, Parameter] = {}
        self._saved: Any = None

    @cached_property
    def buffers(self) -> dict[str, FloatArray]:
        """What belongs to the layer without being learnt, by name; written in place only."""
        return {}

    @abstractmethod
    def forward(
        self,
        x: FloatArray,
        *,
        training: bool = False,
        rng: np.random.Generator | None = None,
        keep: bool = False,
    ) -> FloatArray:
        """Return the layer's output.

        Args:
            x: (N, *input_shape).
            training: behave as in training, and keep what `backward` needs.
            rng: where dropout draws from; the other layers do not look at it.
            keep: keep what `backward` needs in evaluation too (for a saliency map, say).

        Returns:
            (N, *output_shape), in the dtype of x, maybe as a strided view. x itself is left as it is.
        """

    @abstractmethod
    def backward(self, dy: FloatArray) -> FloatArray:
        """Write the gradients of this layer's parameters and return the gradient of its input.

        What `forward` kept is let go, so that a second call needs a second `forward`.

        Args:
            dy: (N, *output_shape), the gradient of the loss with respect to the output.

        Returns:
            (N, *input_shape).
        """

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of one output sample.

        Raises:
            ModelError: when the layer cannot take such an input.
        """
        return input_shape

    def multiply_adds(self, input_shape: Shape) -> int:
        """Return how many multiplications, each with its addition, one sample takes."""
        return 0

    def window(self) -> Window | None:
        """Return what one output position sees of the input, or None when it sees all of it."""
        return Window((1, 1), (1, 1), 0)

    def options(self) -> dict[str, object]:
        """Return the options with which a config would ask for this layer."""
        return {}

    @classmethod
    def context(cls, input_shape: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> dict[str, Any]:
        """Return the constructor's arguments that no config says because they follow from the place."""
        return {}

    @classmethod
    def from_options(
        cls,
        options: Mapping[str, object],
        input_shape: Shape,
        *,
        rng: np.random.Generator,
        dtype: npt.DTypeLike = np.float32,
        place: tuple[int | str, ...] = (),
    ) -> Self:
        """Make a layer from what a config says.

        Args:
            options: option name -> value; the name "_" stands for the layer's main option (`linear: 10`).
            input_shape: what the layer before it gives.
            rng: where the start weights are drawn from.
            dtype: of the parameters.
            place: where the layer stands in the config; starts the `place` of an error.

        Raises:
            ModelError: when an option is unknown, missing or has a value that makes no sense.
        """
        try:
            arguments = cls._arguments(options)
            return cls(**arguments, **cls.context(input_shape, rng, dtype))
        except ModelError as error:
            error.place = (*place, *error.place)
            raise

    @classmethod
    def _arguments(cls, options: Mapping[str, object]) -> dict[str, Any]:
        known = list(cls.option_names)
        all_of_them = f"{cls.kind} takes: {', '.join(known)}" if known else f"{cls.kind} takes no options"
        arguments: dict[str, Any] = {}
        for given, value in options.items():
            name = cls.main_option if given == MAIN else given
            if name is None:
                raise ModelError(f"{cls.kind} has no main option that {value!r} could be", all_of_them)
            if name not in cls.option_names:
                hint = did_you_mean(str(name), known) if known else all_of_them
                raise ModelError(f"unknown option '{name}'", hint, place=(name,))
            if cls.option_names[name] in arguments:
                raise ModelError(f"the option '{name}' is given twice", place=(name,))
            arguments[cls.option_names[name]] = value
        constructor = inspect.signature(cls).parameters
        for name, argument in cls.option_names.items():
            if argument not in arguments and constructor[argument].default is inspect.Parameter.empty:
                raise ModelError(f"the option '{name}' is missing", all_of_them)
        return arguments

    def _take(self) -> Any:
        """Hand over what `forward` kept, and let go of it."""
        saved, self._saved = self._saved, None
        if saved is None:
            raise RuntimeError(
                f"{self.kind}: backward needs a forward with training=True (or keep=True) before it"
            )
        return saved

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_saved": None}  # activations do not travel with a copy

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.options().items())
        return f"{type(self).__name__}({options})"


class ParameterView:
    """`layer.weight` is the parameter's array; assigning copies into it, so that no view is ever detached."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, layer: None, owner: type) -> Self: ...
    @overload
    def __get__(self, layer: Layer, owner: type) -> FloatArray: ...
    def __get__(self, layer: Layer | None, owner: type) -> Self | FloatArray:
        if layer is None:
            return self
        if self.name not in layer.parameters:
            raise AttributeError(f"this {layer.kind} layer has no {self.name}")
        return layer.parameters[self.name].value

    def __set__(self, layer: Layer, new: npt.ArrayLike) -> None:
        if self.name not in layer.parameters:
            raise AttributeError(f"this {layer.kind} layer has no {self.name}")
        layer.parameters[self.name].value = new


class BufferView:
    """`layer.running_mean` is the buffer's array; assigning copies into it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, layer: None, owner: type) -> Self: ...
    @overload
    def __get__(self, layer: Layer, owner: type) -> FloatArray: ...
    def __get__(self, layer: Layer | None, owner: type) -> Self | FloatArray:
        return self if layer is None else layer.buffers[self.name]

    def __set__(self, layer: Layer, new: npt.ArrayLike) -> None:
        new, buffer = np.asarray(new), layer.buffers[self.name]
        if new.shape != buffer.shape:
            raise ValueError(f"expected an array of shape {buffer.shape}, found {new.shape}")
        np.copyto(buffer, new, casting="same_kind")
