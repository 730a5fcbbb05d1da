"""Trainable parameters: named arrays that are views into one flat vector."""

import math
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from typing import Any

import numpy as np
import numpy.typing as npt

from cnncli.errors import CheckpointError
from cnncli.nn.aligned import aligned_zeros
from cnncli.types import FloatArray, Shape

Array = npt.NDArray[Any]


class Parameter:
    """A trainable array and its gradient.

    Assigning to `value` or `grad` copies into the array and never replaces it. A view that an optimizer or another
    process holds therefore stays valid.

    Args:
        value: the initial value, which is copied.
        decay: whether weight decay applies. It does not apply to biases and to gamma and beta of BatchNorm.

    Attributes:
        frozen: whether training leaves the value as it is; see `FlatParameters.freeze`.

    Example:
        >>> p = Parameter(np.zeros(2, np.float32))
        >>> before = p.value
        >>> p.value = np.array([1, 2])
        >>> before
        array([1., 2.], dtype=float32)
    """

    def __init__(self, value: FloatArray, decay: bool = True) -> None:
        value = np.array(value)
        self.shape: Shape = value.shape
        self.dtype: np.dtype[Any] = value.dtype
        self.decay = decay
        self.frozen = False
        self._draw: Callable[[], FloatArray] | None = None
        self._value: FloatArray | None = value
        self._grad: FloatArray | None = None

    @classmethod
    def drawn(
        cls, shape: Shape, dtype: npt.DTypeLike, draw: Callable[[], FloatArray], decay: bool = True
    ) -> "Parameter":
        """Return a parameter that allocates its memory when its value is first used.

        The size of a whole model is therefore known, and can be refused, before anything is allocated.

        Args:
            shape: of the array that `draw` returns.
            dtype: of the array that `draw` returns.
            draw: returns the initial value. It is called at most once.
            decay: whether weight decay applies.
        """
        parameter = cls.__new__(cls)
        parameter.shape, parameter.dtype, parameter.decay = shape, np.dtype(dtype), decay
        parameter.frozen = False
        parameter._draw, parameter._value, parameter._grad = draw, None, None
        return parameter

    @property
    def size(self) -> int:
        """The number of values."""
        return math.prod(self.shape)

    @property
    def value(self) -> FloatArray:
        if self._value is None:
            assert self._draw is not None
            self._value, self._draw = self._draw(), None
        return self._value

    @value.setter
    def value(self, new: npt.ArrayLike) -> None:
        copy_into(self.value, new)

    @property
    def grad(self) -> FloatArray:
        if self._grad is None:
            self._grad = np.zeros(self.shape, self.dtype)
        return self._grad

    @grad.setter
    def grad(self, new: npt.ArrayLike) -> None:
        copy_into(self.grad, new)

    def twin(self) -> "Parameter":
        """Return a parameter that shares the value array and has a gradient of its own."""
        twin = copy(self)
        twin._value, twin._draw, twin._grad = self.value, None, None
        return twin

    def _bind(self, value_view: FloatArray, grad_view: FloatArray) -> None:
        """Copy the content into memory that an owner provides, and use that memory from now on."""
        value_view[...] = self.value if self._draw is None else self._draw()
        grad_view[...] = 0 if self._grad is None else self._grad
        self._draw, self._value, self._grad = None, value_view, grad_view


def copy_into(array: FloatArray, new: npt.ArrayLike) -> None:
    """Copy new values of the same shape into an array.

    Raises:
        ValueError: the shape is another one.
    """
    new = np.asarray(new)
    if new.shape != array.shape:
        raise ValueError(f"expected an array of shape {array.shape}, found {new.shape}")
    np.copyto(array, new, casting="same_kind")


def check_arrays(
    what: str, own: Mapping[str, Array], found: Mapping[str, Array], hint: str | None = None
) -> None:
    """Compare saved arrays with those that they are to be copied into.

    Raises:
        CheckpointError: they do not fit; one sentence for each kind of difference.
    """
    both = {name: (array, np.asarray(found[name])) for name, array in own.items() if name in found}
    differences = {
        "Missing": [name for name in own if name not in found],
        "Not expected": [name for name in found if name not in own],
        "Of another shape": [
            f"{name} {new.shape} instead of {old.shape}"
            for name, (old, new) in both.items()
            if new.shape != old.shape
        ],
        "Not numbers": [
            f"{name} ({new.dtype})"
            for name, (old, new) in both.items()
            if not np.can_cast(new.dtype, old.dtype, "same_kind")
        ],
    }
    sentences = [f" {kind}: {', '.join(names)}." for kind, names in differences.items() if names]
    if sentences:
        raise CheckpointError(f"the saved arrays do not fit {what}." + "".join(sentences), hint)


class FlatParameters:
    """All parameters of a network as named views into one flat vector, and their gradients as views into another.

    An optimizer step is then a few vector operations, and the sum of gradients over workers is one sum.

    Args:
        named: the parameters, in the order in which they are packed without gaps.
        dtype: of a network without parameters. Otherwise the dtype is that of the parameters.

    Attributes:
        values, grads: vectors of length `size` that start on a 64-byte boundary.
        slices: the slice of each parameter in them.
        decay: a vector of length `size`: 1 where weight decay applies, 0 elsewhere.
    """

    def __init__(self, named: Mapping[str, Parameter], dtype: npt.DTypeLike | None = None) -> None:
        self.named = dict(named)
        dtypes: set[np.dtype[Any]] = {parameter.dtype for parameter in self.named.values()}
        if dtype is not None or not dtypes:
            dtypes.add(np.dtype(np.float32 if dtype is None else dtype))
        if len(dtypes) > 1:
            raise ValueError(f"one network, one dtype; found {', '.join(sorted(map(str, dtypes)))}")
        (self.dtype,) = dtypes
        self.slices: dict[str, slice] = {}
        self.size = 0
        for name, parameter in self.named.items():
            self.slices[name] = slice(self.size, self.size + parameter.size)
            self.size += parameter.size
        self.decay: FloatArray = np.zeros(self.size, self.dtype)
        for name, parameter in self.named.items():
            self.decay[self.slices[name]] = parameter.decay and not parameter.frozen
        self.move_to(aligned_zeros(self.size, self.dtype), aligned_zeros(self.size, self.dtype))

    def move_to(self, values: FloatArray, grads: FloatArray) -> None:
        """Copy everything into these two vectors and rebind every view to them, for example in shared memory.

        Args:
            values: (size,) of this dtype, contiguous.
            grads: the same.

        Raises:
            ValueError: a vector has another shape or dtype, or is not contiguous.
        """
        for vector in (values, grads):
            if vector.shape != (self.size,) or vector.dtype != self.dtype or not vector.flags.c_contiguous:
                raise ValueError(
                    f"expected a contiguous vector of {self.size} {self.dtype}, "
                    f"found shape {vector.shape} of {vector.dtype}"
                )
        for name, parameter in self.named.items():
            where = self.slices[name]
            parameter._bind(values[where].reshape(parameter.shape), grads[where].reshape(parameter.shape))
        self.values, self.grads = values, grads

    @property
    def frozen(self) -> list[slice]:
        """The slices of the frozen parameters."""
        return [self.slices[name] for name, parameter in self.named.items() if parameter.frozen]

    def freeze(self, names: Iterable[str]) -> None:
        """Let training leave these parameters as they are: executors set their gradients to 0, and they do not decay.

        An optimizer then changes nothing, because its averages of their gradients stay 0. It must not have made a step
        before.
        """
        for name in names:
            self.named[name].frozen = True
            self.decay[self.slices[name]] = 0

    def clear_frozen(self, gradients: FloatArray) -> None:
        """Set the gradients of the frozen parameters to 0 in a vector (size,)."""
        for where in self.frozen:
            gradients[where] = 0

    def __getstate__(self) -> dict[str, object]:
        # A copy or a pickle of a view is not a view: only the parameters are copied, and packed again in the copy.
        return {"named": self.named, "dtype": self.dtype}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__init__(**state)  # type: ignore[misc]
