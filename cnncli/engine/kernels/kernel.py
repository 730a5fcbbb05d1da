"""What a kernel is: one step of a plan, which runs one layer or several fused layers, forward and backward.

A plan is built once and then runs for many training steps. While it is built, the `record_...` methods of its kernels
compute nothing: they append NumPy calls to a tape. A training step replays the tape (see tape.py).

Axis letters: N images of a micro-batch, C channels, H W image.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from cnncli.engine.kernels.arrays import Scratch
from cnncli.engine.kernels.layout import (
    Layout,
    image_major,
    record_copy,
    single_block,
    split_columns,
    transposed,
)
from cnncli.engine.kernels.node import Node
from cnncli.engine.kernels.tape import Tape
from cnncli.nn.layers import Layer
from cnncli.types import FloatArray, Shape


@dataclass(frozen=True)
class Workload:
    """How much a kernel has to hold.

    A shard's images pass through a kernel in micro-batches, small enough for the cache. What backward needs of each
    micro-batch is kept in a slot of its own.

    Attributes:
        images: N, the images of one micro-batch.
        slots: how many micro-batches are kept between forward and backward.
        training: whether backward will run.
        needs_dx: whether a layer before this kernel has parameters, so that dx is needed.
        scratch: memory that all kernels share.
        image_major: whether the convolution that reads this kernel's output wants it image by image.
        blocks: what the kernels of each residual block keep for each other, by the number of the block.
    """

    images: int
    slots: int
    training: bool
    needs_dx: bool
    scratch: Scratch
    image_major: bool = False
    blocks: dict[int, Any] = field(default_factory=dict)

    @property
    def input_slots(self) -> int:
        """How many micro-batches a kernel keeps the input of: all in training, one in inference."""
        return self.slots if self.training else 1

    def layout(self, flat: FloatArray, shape: Shape) -> Layout:
        """Return the layout of a flat array that the next kernel prefers.

        Args:
            flat: all numbers of the micro-batch.
            shape: (H, W, N, C), or (N, features), for which there is only one layout.
        """
        if len(shape) == 2:
            return single_block(flat.reshape(shape))
        return image_major(flat, shape) if self.image_major else split_columns(flat, shape)


LayerGenerators = Callable[[int], np.random.Generator]
"""Where a kernel gets its random numbers for one step: layer index -> generator, the same for all its slots."""


class Kernel(ABC):
    """Runs the layers it covers.

    A kernel owns the memory of its input and of dx. It writes its output into the next kernel's input.

    In every training step the plan calls `prepare`, replays the tape, and calls `collect`.

    Args:
        nodes: the layers it covers.
        workload: how much it has to hold.
    """

    description: ClassVar[str]
    """A one-line description, for `cnn inspect --plan`."""

    layer: ClassVar[type[Layer]]
    """The only layer that this kernel covers; needed where `match` is not overridden."""

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        """Return how many of the first nodes this kernel can cover, or 0."""
        return int(isinstance(nodes[0].layer, cls.layer))

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        self.nodes = tuple(nodes)
        self.workload = workload

    def prepare(self, generators: LayerGenerators) -> None:  # noqa: B027 - most kernels have nothing to prepare
        """Copy the present values of the parameters into the arrays that the tape reads."""

    def input_layout(self, slot: int) -> Layout:
        """Return where the previous kernel writes the input of this slot."""
        raise AssertionError("a kernel that overrides record_input is the first of its plan")

    def record_input(self, tape: Tape, slot: int, x: FloatArray) -> None:
        """Record copying x (N, C, H, W) or (N, features) into this slot; for the first kernel of the plan."""
        record_copy(tape, single_block(transposed(x)), self.input_layout(slot))

    @abstractmethod
    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        """Record the forward pass of one slot: reads the slot's input, writes the output of the layers to `out`."""

    @abstractmethod
    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        """Record the backward pass of one slot: reads dy, adds to the kernel's sums of parameter gradients.

        Returns:
            where dx will be, valid until the next slot's backward pass; an empty tuple where nothing needs dx.
        """

    def collect(self, gradients: Mapping[str, FloatArray], *, add: bool) -> None:  # noqa: B027 - as above
        """Write the sums of parameter gradients out, in the shapes of the parameters, and set them to zero.

        Args:
            gradients: an array for every parameter's name.
            add: add to what is there instead of writing over it.
        """


def of_slot(arrays: FloatArray, slot: int) -> FloatArray:
    """Return a slot's array of `Workload.input_slots` arrays: its own in training, the only one in inference."""
    array: FloatArray = arrays[slot % len(arrays)]
    return array


def write_gradient(destination: FloatArray, value: FloatArray, *, add: bool) -> None:
    """Write a gradient, or add it to what is there."""
    if add:
        destination += value
    else:
        destination[...] = value
