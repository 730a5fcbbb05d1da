"""The stages of a plan: kernels for micro-batches, and the recorded tapes that run them.

While a plan is built, `ShardPlan` fills the tapes. In every step, the worker that runs the shard replays them.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from cnncli.engine.kernels.batchnorm import BatchNormKernel
from cnncli.engine.kernels.kernel import Kernel
from cnncli.engine.kernels.layout import Layout, select_images
from cnncli.engine.kernels.tape import Tape


@dataclass
class MicroBatches:
    """Kernels for micro-batches of one size.

    Attributes:
        kernels: in the order of the layers.
        images: of one micro-batch.
        slots: the number of micro-batches.
        first_image: the position of the first micro-batch's first image in the shard.
        dy: where the gradient of the first kernel's input will be, valid until the next slot's backward pass.
    """

    kernels: list[Kernel]
    images: int
    slots: int
    first_image: int
    dy: Layout = ()

    def rows(self, slot: int) -> slice:
        """Return which images of the shard a slot holds."""
        start = self.first_image + slot * self.images
        return slice(start, start + self.images)


class Recording(NamedTuple):
    """Recorded calls of one kernel, for one slot or for several in a row.

    Attributes:
        kernel: that recorded them.
        part: its layers, by which a clock counts their time.
        tape: the calls.
    """

    kernel: Kernel
    part: str
    tape: Tape


class Recordings(list[Recording]):
    """The recorded calls of all kernels of a stage, in the order in which they are replayed."""

    def tape(self, kernel: Kernel) -> Tape:
        """Return the tape for a kernel's next calls: the last one if it is the same kernel's, or a new one."""
        if not self or self[-1].kernel is not kernel:
            self.append(Recording(kernel, " ".join(node.name for node in kernel.nodes), Tape()))
        return self[-1].tape


@dataclass
class Stage:
    """The kernels of consecutive layers; in training, a BatchNorm is always the first of its stage.

    Attributes:
        micro_batches: the shard's images in micro-batches of one size, and the rest in one of another size. Both have
            the same kernels.
        entry: calls before the first barrier, if the plan begins with a BatchNorm: its input and its sums.
        forward: the calls of the forward pass, for all slots.
        backward: the calls of the backward pass.
    """

    micro_batches: list[MicroBatches]
    entry: Recordings = field(default_factory=Recordings)
    forward: Recordings = field(default_factory=Recordings)
    backward: Recordings = field(default_factory=Recordings)

    @property
    def norms(self) -> list[BatchNormKernel]:
        """The BatchNorm kernels at the head of the stage, one for each size of micro-batch, or none."""
        heads = [group.kernels[0] for group in self.micro_batches]
        return [kernel for kernel in heads if isinstance(kernel, BatchNormKernel)]

    def find(self, rows: slice) -> tuple[MicroBatches, int]:
        """Return the micro-batches and the slot that hold these images of the shard."""
        group = next(group for group in reversed(self.micro_batches) if group.first_image <= rows.start)
        return group, (rows.start - group.first_image) // group.images

    def input_layout(self, rows: slice) -> Layout:
        """Return where the stage takes its input for these images of the shard; one slot holds them all."""
        group, slot = self.find(rows)
        return select_images(group.kernels[0].input_layout(slot), group.rows(slot), rows)

    def input_gradient(self, rows: slice, recordings: Recordings) -> Layout:
        """Return where the gradient of the stage's input will be, for these images of the shard.

        If the stage begins with a BatchNorm, its backward pass needs the sums of the whole stage. It is recorded in
        front of the first images that need it, in the recordings of the stage before.
        """
        group, slot = self.find(rows)
        norm = group.kernels[0]
        if isinstance(norm, BatchNormKernel) and group.rows(slot).start == rows.start:
            group.dy = norm.record_backward(recordings.tape(norm), slot, ())
        return select_images(group.dy, group.rows(slot), rows)
