"""What a kernel is: a step of a plan that runs one or more layers forward and backward for a micro-batch."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from cnncli.engine.kernels.layout import Layout, by_image, pairs, split, whole
from cnncli.engine.kernels.node import Node
from cnncli.engine.kernels.tape import Tape
from cnncli.nn.aligned import ALIGNMENT, aligned_empty, aligned_zeros
from cnncli.types import BoolArray, FloatArray, Shape

FLOAT = np.dtype(np.float32)
_SCRATCH = 64_000_000  # bytes; what is not touched costs nothing
_RUN = 2_048  # numbers; an operation on shorter runs spends its time on going from one to the next
_shared_zeros: FloatArray = np.zeros(0, FLOAT)


class Scratch:
    """Memory for what kernels need only while they work on a slot: they all get the same, so that it stays in cache."""

    def __init__(self) -> None:
        self._arena = aligned_empty(_SCRATCH, np.uint8)
        self._used = 0
        self._turns = [aligned_empty(0, FLOAT), aligned_empty(0, FLOAT)]

    def begin(self) -> None:
        """Start again for the next kernel."""
        self._used = 0

    def __call__(self, *shape: int) -> FloatArray:
        """Return a float32 array that nothing has been written to, or that another kernel has."""
        return self._take(shape, FLOAT)

    def flags(self, *shape: int) -> BoolArray:
        """Return an array of truth values likewise."""
        return self._take(shape, np.bool_)

    def in_turn(self, *shape: int) -> FloatArray:
        """Return one of two arrays by turns: for what is needed until the next kernel that asks has its own."""
        self._turns.reverse()
        size = math.prod(shape)
        if size > self._turns[0].size:
            self._turns[0] = aligned_empty(size, FLOAT)
        array: FloatArray = self._turns[0][:size].reshape(shape)
        return array

    def _take(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        start, size = self._used, math.prod(shape) * np.dtype(dtype).itemsize
        if start + size > self._arena.size:
            return aligned_empty(shape, dtype)
        self._used += -(-size // ALIGNMENT) * ALIGNMENT
        array: npt.NDArray[Any] = self._arena[start : start + size].view(dtype).reshape(shape)
        return array


@dataclass(frozen=True)
class Workload:
    """How much a kernel has to hold.

    Attributes:
        images: N, the images of one micro-batch.
        slots: how many micro-batches are kept between forward and backward.
        training: whether backward will be called.
        needs_dx: whether anything before this kernel has parameters, so that dx is wanted.
        scratch: hands out memory that other kernels use too.
        by_image: whether what comes behind reads images that lie image by image.
    """

    images: int
    slots: int
    training: bool
    needs_dx: bool
    scratch: Scratch
    by_image: bool = False

    def layout(self, flat: FloatArray, shape: Shape) -> Layout:
        """Return the parts of a flat array that holds images in the way that suits what comes behind."""
        return by_image(flat, shape) if self.by_image else split(flat, shape)


Draws = Callable[[int], np.random.Generator]
"""Where a kernel gets its random numbers for one step: layer index -> generator, the same for all its slots."""


class Kernel(ABC):
    """Runs the layers it covers. It owns what it reads, and writes into what its neighbours own.

    `feed`, `forward` and `backward` compute nothing: while the plan is built, they write down in `do` the calls that
    will, slot by slot. The kernel in front writes into `target(slot)`; what `forward` writes down reads that and
    writes to `out`; what `backward` writes down reads dy and leaves dx in the parts that it returns, valid until the
    next slot's turn.

    In every step, `prepare` is called before the first slot's calls are made, and `collect` after the last one's.

    Args:
        nodes: the layers it covers.
        workload: how much it has to hold.
    """

    pattern: ClassVar[str]
    """One line for people: what this kernel does."""

    @classmethod
    @abstractmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        """Return how many of the first nodes this kernel can cover, or 0."""

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        self.nodes = tuple(nodes)
        self.workload = workload

    def prepare(self, draws: Draws) -> None:  # noqa: B027 - most kernels have nothing to prepare
        """Take the parameters' present values, once a step, into arrays that stay where they are."""

    @abstractmethod
    def target(self, slot: int) -> Layout:
        """Return where the input of this slot is to be written."""

    def feed(self, tape: Tape, slot: int, x: FloatArray) -> None:
        """Take x (N, C, H, W) or (N, features) as the input of this slot; for the first kernel of the plan."""
        for image, own in pairs(whole(x.transpose(2, 3, 0, 1) if x.ndim == 4 else x), self.target(slot)):
            tape.copy(image, out=own)

    @abstractmethod
    def forward(self, tape: Tape, slot: int, out: Layout) -> None:
        """Read this slot's input and write the output of the covered layers to `out`."""

    @abstractmethod
    def backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        """Add this slot's parameter gradients to the kernel's own sums, and return where dx will be.

        An empty tuple when nobody needs dx.
        """

    def collect(self, gradients: Mapping[str, FloatArray], *, add: bool) -> None:  # noqa: B027 - as above
        """Give the parameter gradients away, in the canonical layout, and start again from zero.

        Args:
            gradients: an array for every parameter's name.
            add: add to what is there instead of writing over it.
        """


class ChannelRow:
    """One number for each channel, repeated, so that operations with it have long runs.

    Args:
        pixels: how many times the channels follow each other in the arrays it meets.
        channels: C.
    """

    def __init__(self, pixels: int, channels: int) -> None:
        times = next(
            k for k in range(1, pixels + 1) if pixels % k == 0 and (k * channels >= _RUN or k == pixels)
        )
        self.row = empty(times * channels)
        self._by_channel = self.row.reshape(times, channels)

    def set(self, values: npt.ArrayLike) -> None:
        """Take numbers (C,)."""
        self._by_channel[...] = values

    def across(self, array: FloatArray) -> FloatArray:
        """Return an array (.., C) without gaps as rows that this one can be added to."""
        return array.reshape(-1, self.row.size)


def write_gradient(destination: FloatArray, value: FloatArray, *, add: bool) -> None:
    """Write or add a gradient."""
    if add:
        destination += value
    else:
        destination[...] = value


def zeros(*shape: int) -> FloatArray:
    """Return a float32 array of zeros."""
    return aligned_zeros(shape, FLOAT)


def shared_zeros(*shape: int) -> FloatArray:
    """Return zeros that nobody may write to: views of one array, which stays in cache for all who compare with it."""
    global _shared_zeros
    size = math.prod(shape)
    if size > _shared_zeros.size:
        _shared_zeros = aligned_zeros(size, FLOAT)
        _shared_zeros.flags.writeable = False
    return _shared_zeros[:size].reshape(shape)


def shared_zeros_like(array: FloatArray) -> FloatArray:
    """Return such zeros with an array's shape, and its axes in the same order in memory: so NumPy has long runs."""
    axes = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    return shared_zeros(*(array.shape[axis] for axis in axes)).transpose(np.argsort(axes))


def record_copy(tape: Tape, own: Layout, out: Layout, *, relu: bool) -> None:
    """Write down the way of an image to the next kernel, through a ReLU or as it is."""
    for image, view in pairs(own, out):
        if relu:
            tape.maximum(image, shared_zeros_like(image), out=view)
        else:
            tape.copy(image, out=view)


def record_masked_copy(tape: Tape, dy: Layout, own: Layout, kept: Layout | None) -> None:
    """Write down the way of a gradient into an image of ours, times a mask that lies like it where there is one."""
    if kept is None:
        record_copy(tape, dy, own, relu=False)
        return
    for (view, mine), (_, mask) in zip(pairs(dy, own), pairs(dy, kept), strict=True):
        tape.multiply(view, mask, out=mine)


def empty(*shape: int) -> FloatArray:
    """Return a float32 array that nothing has been written to."""
    return aligned_empty(shape, FLOAT)


def ones(*shape: int) -> FloatArray:
    """Return a float32 array of ones."""
    array = aligned_empty(shape, FLOAT)
    array.fill(1)
    return array


def flags(*shape: int) -> BoolArray:
    """Return an array of truth values that nothing has been written to."""
    return aligned_empty(shape, np.bool_)
