"""Residual blocks as three kernels in the chain of all others: where a block begins, branches, and ends.

    Fork     x -> the first layer of the block; keeps x
    Branch   the output of the layers is kept; x, which the fork keeps, -> the projection. Only where there is one
    Add      y = what comes in + what was kept: x, or the output of the layers. With the ReLU after it

So a plan stays a list of kernels that each write to the next one:

    Fork  conv1 batchnorm1 relu1  conv2 batchnorm2  [Branch  projection projection_norm]  Add relu

The backward pass runs through the same list. Add keeps dy for the other way into the sum, Branch hands it to the layers
and keeps the gradient that the projection returns, and Fork adds up both.

The three may be in different stages, whose micro-batches are of different size. So what one keeps, another reads in
pieces.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from cnncli.engine.kernels.arrays import empty
from cnncli.engine.kernels.fused_relu import FusedReLU
from cnncli.engine.kernels.kernel import Kernel, Workload, of_slot
from cnncli.engine.kernels.layout import (
    Layout,
    matching_columns,
    record_copy,
    select_images,
    transposed_shape,
)
from cnncli.engine.kernels.node import Node, count_with_relu
from cnncli.engine.kernels.tape import Tape
from cnncli.nn.layers import Residual
from cnncli.types import FloatArray, Shape


class Kept:
    """Images of all slots that another kernel of the block reads, perhaps with another size of micro-batch.

    Args:
        shape: of one sample.
        images: of one slot.
        slots: how many slots are kept.
        layout: where the columns of the images lie in a flat array of a shape (H, W, N, C).
    """

    def __init__(
        self, shape: Shape, images: int, slots: int, layout: Callable[[FloatArray, Shape], Layout]
    ) -> None:
        self.shape, self.images, self._layout = transposed_shape(shape, images), images, layout
        self._arrays = empty(slots, math.prod(self.shape))

    def slot(self, slot: int) -> Layout:
        """Return the images of a slot."""
        return self._layout(of_slot(self._arrays, slot), self.shape)

    def pieces(self, images: int, slot: int) -> Iterator[tuple[slice, Layout]]:
        """Yield what a slot of a kernel with so many images reads: which of its images, and where they are."""
        first = slot * images
        if images <= self.images:
            start = first % self.images
            held = slice(0, self.images)
            yield (
                slice(0, images),
                select_images(self.slot(first // self.images), held, slice(start, start + images)),
            )
            return
        for piece in range(images // self.images):
            start = piece * self.images
            yield slice(start, start + self.images), self.slot(first // self.images + piece)

    def part(self, images: int, slot: int) -> Layout:
        """Return what a slot of a kernel with at most as many images reads."""
        ((_, layout),) = self.pieces(images, slot)
        return layout


@dataclass
class Block:
    """What the kernels of one block keep for each other.

    Attributes:
        x: the input of the block.
        body: the output of its layers, where there is a projection.
        dy: the gradient of the sum.
        dx: the gradient of x by way of the projection, where there is one.
    """

    x: Kept | None = None
    body: Kept | None = None
    dy: Kept | None = None
    dx: Kept | None = None


class _BlockKernel(Kernel):
    """A kernel of a block.

    Attributes:
        block: what it shares with the others.
        projected: whether the block has a projection.
    """

    role: ClassVar[str]

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        return int(nodes[0].role == cls.role)

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        layer = nodes[0].layer
        assert isinstance(layer, Residual) and nodes[0].block is not None
        self.block: Block = workload.blocks.setdefault(nodes[0].block, Block())
        self.projected = bool(layer.shortcut)
        self.images = workload.images

    def _keep(self, shape: Shape, slots: int) -> Kept:
        return Kept(shape, self.images, slots, self.workload.layout)


class Fork(_BlockKernel):
    """The input of a block: x goes to the first layer, and is kept."""

    description: ClassVar[str] = "input of a residual block, kept"
    role = "fork"

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        shape = nodes[0].input_shape
        self.x = self.block.x = self._keep(shape, workload.input_slots)
        if workload.training and self.projected:
            self.block.dx = self._keep(shape, workload.slots)

    def input_layout(self, slot: int) -> Layout:
        return self.x.slot(slot)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        record_copy(tape, self.x.slot(slot), out)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        if not self.workload.needs_dx:
            return ()
        other = self.block.dx if self.projected else self.block.dy
        assert other is not None
        dx = other.part(self.images, slot)
        for own, gradient in matching_columns(dx, dy):
            tape.add(own, gradient, out=own)
        return dx


class Branch(_BlockKernel):
    """The output of the layers of a block is kept, and x goes to the projection."""

    description: ClassVar[str] = "start of the projection"
    role = "branch"

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        self.body = self.block.body = self._keep(nodes[0].input_shape, workload.input_slots)

    def input_layout(self, slot: int) -> Layout:
        return self.body.slot(slot)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        assert self.block.x is not None
        held = slice(0, self.images)
        for images, x in self.block.x.pieces(self.images, slot):
            record_copy(tape, x, select_images(out, held, images))

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        assert self.block.dx is not None and self.block.dy is not None
        held = slice(0, self.images)
        for images, dx in self.block.dx.pieces(self.images, slot):
            record_copy(tape, select_images(dy, held, images), dx)
        return self.block.dy.part(self.images, slot)


class Add(_BlockKernel):
    """sum -> [ReLU]: the layers' output + the shortcut."""

    description: ClassVar[str] = "sum of a residual block"
    role = "add"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        return count_with_relu(nodes) if nodes[0].role == cls.role else 0

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        self.shape = transposed_shape(nodes[0].output_shape, self.images)
        size = math.prod(self.shape)
        self.x = empty(size)
        self.factor = workload.scratch.empty(size)
        self.relu = FusedReLU(workload, (size,), relu=len(nodes) == 2, layout=self._layout)
        if workload.training:
            self.dy = self.block.dy = self._keep(nodes[0].output_shape, workload.slots)

    def _layout(self, flat: FloatArray) -> Layout:
        return self.workload.layout(flat, self.shape)

    def input_layout(self, slot: int) -> Layout:
        return self._layout(self.x)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        other = self.block.body if self.projected else self.block.x
        assert other is not None
        held = slice(0, self.images)
        for images, kept in other.pieces(self.images, slot):
            for own, more in matching_columns(select_images(self._layout(self.x), held, images), kept):
                tape.add(own, more, out=own)
        self.relu.record_forward(tape, slot, self.x, out)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        own = self.dy.slot(slot)
        self.relu.record_backward(tape, slot, dy, own, factor=self.factor)
        return own
