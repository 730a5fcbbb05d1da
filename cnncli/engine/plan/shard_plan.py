"""One shard's plan: the network's layers as kernels, with workspaces for a fixed number of images.

The images of a shard pass through the convolutional part in micro-batches, small enough to stay in cache from one
kernel to the next; the dense part takes the shard as a whole. `Lane` is one such way: the kernels, for micro-batches of
one size. A shard whose size is no multiple has a second lane for the rest.

A BatchNorm cuts the plan into stages: where one ends, every shard has to have arrived before any can go on. So a
shard's step is a generator that yields there; whoever runs the shards (see workers.py) advances them together. Each
stage has lanes of its own: behind a pooling, where images are small, its micro-batches are larger.

All of a step that repeats is written down when the plan is built (calls.py): a stage has one list of calls for its way
forward, and one for its way back.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from cnncli.engine.kernels.batchnorm import BatchNormKernel, merge_sums
from cnncli.engine.kernels.kernel import Kernel, LayerGenerators, Workload
from cnncli.engine.kernels.layout import Layout, single_block
from cnncli.engine.kernels.tape import Tape
from cnncli.engine.kernels.workspace import Workspace, empty
from cnncli.engine.plan.all_reduce import Rank
from cnncli.engine.plan.micro_batches import micro_batches
from cnncli.engine.plan.nodes import nodes_of
from cnncli.engine.plan.patterns import match, read_image_major
from cnncli.engine.profile import WAITING, Clock
from cnncli.nn.layers import BatchNorm
from cnncli.nn.losses import cross_entropy
from cnncli.nn.network import Network
from cnncli.types import FloatArray, IntArray


@dataclass
class Lane:
    """Kernels for micro-batches of one size.

    Attributes:
        kernels: in the order of the layers.
        images: of a micro-batch.
        slots: how many micro-batches there are.
        offset: the first one's first image in the shard.
        dy: where the gradient of the lane's input will be, valid until the next slot's turn.
    """

    kernels: list[Kernel]
    images: int
    slots: int
    offset: int
    dy: Layout = ()

    def rows(self, slot: int) -> slice:
        """Return which images of the shard a slot holds."""
        start = self.offset + slot * self.images
        return slice(start, start + self.images)


Steps = list[tuple[Kernel, Tape]]
"""What to do in order, and the kernel that each part belongs to."""


@dataclass
class Stage:
    """The kernels of some layers that follow each other; in training, a BatchNorm is always the first of its stage.

    Attributes:
        lanes: the lanes, all of the same kernels, in the order of their images.
        ahead: the way forward through all slots.
        back: the way back.
        before: what a BatchNorm that no stage precedes has to do before the shards meet.
    """

    lanes: list[Lane]
    ahead: Steps = field(default_factory=list)
    back: Steps = field(default_factory=list)
    before: Steps = field(default_factory=list)

    @property
    def norms(self) -> list[BatchNormKernel]:
        """The BatchNorm kernels that the stage starts with, one for each lane, or none."""
        heads = [lane.kernels[0] for lane in self.lanes]
        return [kernel for kernel in heads if isinstance(kernel, BatchNormKernel)]

    def holding(self, rows: slice) -> tuple[Lane, int]:
        """Return the lane and the slot that have these images of the shard among theirs."""
        lane = next(lane for lane in reversed(self.lanes) if lane.offset <= rows.start)
        return lane, (rows.start - lane.offset) // lane.images


class ShardPlan:
    """The network for one shard of a batch.

    Args:
        network: whose parameters are read.
        x: (images, C, H, W) or (images, features), where the shard's images lie at every step.
        training: with backward, or for inference only.
        clock: takes the time of every kernel, or nothing.
    """

    def __init__(self, network: Network, x: FloatArray, *, training: bool, clock: Clock) -> None:
        self.network, self.x, self.images, self.training, self.clock = network, x, len(x), training, clock
        self.nodes = nodes_of(network, training=training)
        trained = [i for i, node in enumerate(self.nodes) if node.layer.parameters]
        self._first_trained = trained[0] if trained else len(self.nodes)
        self.logits = empty(self.images, *network.output_shape)
        self.stages = self._stages()
        following = [*self.stages[1:], None]
        for stage, behind in zip(self.stages, following, strict=True):
            self._write_ahead(stage, behind)
        for stage, behind in zip(self.stages[::-1], following[::-1], strict=True) if training else ():
            self._write_back(stage, behind)

    def _stages(self) -> list[Stage]:
        """Cut the layers where the dense part begins, and in front of every BatchNorm of training."""
        nodes, images = self.nodes, self.images
        dense = next((i for i, node in enumerate(nodes) if len(node.input_shape) == 1), len(nodes))
        norms = [i for i, node in enumerate(nodes) if self.training and isinstance(node.layer, BatchNorm)]
        cuts = sorted({0, dense, *norms, len(nodes)})
        of_images = [(start, stop) for start, stop in pairwise(cuts) if stop <= dense]
        sizes = micro_batches([nodes[start:stop] for start, stop in of_images], images)
        workspaces = Workspace(), Workspace()
        stages = []
        for (start, stop), size in zip(of_images, sizes, strict=True):
            rest = images % size
            lanes = [
                Lane(self._kernels(start, stop, size, images // size, workspaces[0]), size, images // size, 0)
            ]
            if rest:
                lanes.append(Lane(self._kernels(start, stop, rest, 1, workspaces[1]), rest, 1, images - rest))
            stages.append(Stage(lanes))
        for start, stop in pairwise(cuts):
            if start >= dense:
                stages.append(
                    Stage([Lane(self._kernels(start, stop, images, 1, workspaces[0]), images, 1, 0)])
                )
        return stages

    def _kernels(self, start: int, stop: int, images: int, slots: int, workspace: Workspace) -> list[Kernel]:
        kernels: list[Kernel] = []
        while start < stop:
            workspace.begin_kernel()
            needs_dx = start > self._first_trained
            image_major = read_image_major(self.nodes[start + 1 :])
            workload = Workload(images, slots, self.training, needs_dx, workspace, image_major)
            kernel, count = match(self.nodes[start:stop], workload)
            kernels.append(kernel(self.nodes[start : start + count], workload))
            start += count
        return kernels

    def lanes(self) -> list[Lane]:
        """Return every lane."""
        return [lane for stage in self.stages for lane in stage.lanes]

    def _write_ahead(self, stage: Stage, behind: Stage | None) -> None:
        """Write down the way forward through a stage, slot by slot, up to the sums of a BatchNorm behind it."""
        for lane in stage.lanes:
            kernels = lane.kernels
            for slot in range(lane.slots):
                rows = lane.rows(slot)
                if stage is self.stages[0]:
                    self._write_entry(stage, lane, slot)
                for kernel, following in pairwise(kernels):
                    kernel.record_forward(_next(stage.ahead, kernel), slot, following.input_layout(slot))
                out = single_block(self.logits[rows]) if behind is None else _target(behind, rows)
                kernels[-1].record_forward(_next(stage.ahead, kernels[-1]), slot, out)
                if behind is not None:
                    next_lane, next_slot = behind.holding(rows)
                    norm = next_lane.kernels[0]
                    if isinstance(norm, BatchNormKernel) and next_lane.rows(next_slot).stop == rows.stop:
                        norm.record_sums(_next(stage.ahead, norm), next_slot)

    def _write_entry(self, stage: Stage, lane: Lane, slot: int) -> None:
        """Write down how a lane's first kernel gets its input; a BatchNorm takes its sums too, before the meeting."""
        first = lane.kernels[0]
        tape = _next(stage.before if isinstance(first, BatchNormKernel) else stage.ahead, first)
        first.record_input(tape, slot, self.x[lane.rows(slot)])
        if isinstance(first, BatchNormKernel):
            first.record_sums(tape, slot)

    def _write_back(self, stage: Stage, behind: Stage | None) -> None:
        """Write down the way back through a stage, slot by slot, from the gradient of a BatchNorm behind it on."""
        for lane in stage.lanes:
            for slot in range(lane.slots):
                rows = lane.rows(slot)
                dy = single_block(self.logits[rows]) if behind is None else _gradient(stage, behind, rows)
                for kernel in reversed(lane.kernels):
                    if not dy:
                        break
                    tape = _next(stage.back, kernel)
                    if isinstance(kernel, BatchNormKernel):
                        kernel.record_gradient_sums(tape, slot, dy)
                        dy = ()
                    else:
                        dy = kernel.record_backward(tape, slot, dy)
                lane.dy = dy

    def _make(self, steps: Steps, *, backward: bool = False) -> None:
        self.clock.start()
        for kernel, tape in steps:
            tape.replay()
            self.clock.stop(kernel, backward=backward)

    def forward(self, generators: LayerGenerators, seat: Rank) -> Iterator[None]:
        """Run the shard's images to `logits`; yields where all shards have to meet.

        Args:
            generators: random generators for this step.
            seat: where this shard meets the others.
        """
        self.clock.start()
        for lane in self.lanes():
            for kernel in lane.kernels:
                kernel.prepare(generators)
        self.clock.stop("prepare weights")
        for stage in self.stages:
            norms = stage.norms
            if norms:
                self._make(stage.before)
                own = merge_sums([norm.moments() for norm in norms])
                seat.meeting.publish(seat.shard, norms[0], own, backward=False)
                self.clock.stop("batch normalisation: sums")
                yield
                self.clock.stop(WAITING)
                total = merge_sums(seat.meeting.collect(seat.shards, norms[0], backward=False))
                for norm in norms:
                    norm.normalise_with(total, remember=seat.shard == 0 and norm is norms[0])
            self._make(stage.ahead)

    def loss(self, labels: IntArray, batch: int, label_smoothing: float) -> tuple[float, int]:
        """Return the shard's share of the mean loss and its number of hits; turns `logits` into their gradient.

        Args:
            labels: (images,).
            batch: how many images the whole batch has.
            label_smoothing: the share of every target spread over the classes.
        """
        correct = int((self.logits.argmax(axis=1) == labels).sum())
        loss, dlogits = cross_entropy(self.logits, labels, label_smoothing)
        share = self.images / batch
        np.multiply(dlogits, np.float32(share), out=self.logits)
        return loss * share, correct

    def backward(self, seat: Rank) -> Iterator[None]:
        """Run the gradient in `logits` back through the kernels; yields where all shards have to meet."""
        for stage in reversed(self.stages):
            self._make(stage.back, backward=True)
            norms = stage.norms
            if norms:
                own = merge_sums([norm.gradients() for norm in norms])
                seat.meeting.publish(seat.shard, norms[0], own, backward=True)
                self.clock.stop("batch normalisation: sums")
                yield
                self.clock.stop(WAITING)
                total = merge_sums(seat.meeting.collect(seat.shards, norms[0], backward=True))
                for norm in norms:
                    norm.differentiate_with(total)

    def collect(self, gradients: Mapping[str, FloatArray]) -> None:
        """Write the shard's gradient of every parameter into its named array."""
        self.clock.start()
        for stage in self.stages:
            for number, lane in enumerate(stage.lanes):
                for kernel in lane.kernels:
                    kernel.collect(gradients, add=number > 0)
        self.clock.stop("collect gradients")


def _target(stage: Stage, rows: slice) -> Layout:
    """Return where a stage takes these images of the shard; they lie within one of its slots."""
    lane, slot = stage.holding(rows)
    return _some(lane.kernels[0].input_layout(slot), lane.rows(slot), rows)


def _gradient(stage: Stage, behind: Stage, rows: slice) -> Layout:
    """Return where the gradient of these images' activations between two stages will be.

    Where a BatchNorm is behind, its own stage is done, so all its sums are known; what it makes of them is written
    down in front of the first images that need it.
    """
    lane, slot = behind.holding(rows)
    norm = lane.kernels[0]
    if isinstance(norm, BatchNormKernel) and lane.rows(slot).start == rows.start:
        lane.dy = norm.record_backward(_next(stage.back, norm), slot, ())
    return _some(lane.dy, lane.rows(slot), rows)


def _some(parts: Layout, held: slice, rows: slice) -> Layout:
    """Return the parts of some images, of those that are held."""
    if rows == held:
        return parts
    chosen = slice(rows.start - held.start, rows.stop - held.start)
    return tuple(
        part._replace(
            array=part.array[:, :, chosen] if part.array.ndim == 4 else part.array[chosen], block=None
        )
        for part in parts
    )


def _next(steps: Steps, kernel: Kernel) -> Tape:
    """Return where a kernel's next calls go; neighbours of the same kernel share one list."""
    if not steps or steps[-1][0] is not kernel:
        steps.append((kernel, Tape()))
    return steps[-1][1]


def no_generators(index: int) -> np.random.Generator:
    """Stand in where nothing random may happen: inference."""
    raise AssertionError("inference draws no random numbers")
