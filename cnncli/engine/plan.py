"""One shard's plan: the network's layers as kernels, with workspaces for a fixed number of images.

The images of a shard pass through the convolutional part in micro-batches, small enough to stay in cache from one
kernel to the next; the dense part takes the shard as a whole. `Lane` is one such way through: the kernels, for
micro-batches of one size. A shard whose size is no multiple has a second lane for the rest.

A BatchNorm cuts the plan into stages: where one ends, every shard has to have arrived before any can go on. So a
shard's step is a generator that yields there; whoever runs the shards (see workers.py) advances them together.

All of a step that repeats is written down when the plan is built (calls.py): a stage has one list of calls for its way
forward, and one for its way back.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from cnncli.engine.calls import Calls
from cnncli.engine.images import Parts, whole
from cnncli.engine.kernels.base import Draws, Kernel, Load, Scratch, empty
from cnncli.engine.kernels.batchnorm import BatchNormKernel, Sums, merge_moments, merge_sums
from cnncli.engine.nodes import Node, nodes_of
from cnncli.engine.patterns import match
from cnncli.engine.profile import WAITING, Clock
from cnncli.nn.layers import Conv2D
from cnncli.nn.losses import cross_entropy
from cnncli.nn.network import Network
from cnncli.types import FloatArray, IntArray

_MOST_IMAGES = 32  # of a micro-batch
_WORKSPACE = 3_600_000  # bytes that a micro-batch's largest kernel should stay below


@dataclass
class Lane:
    """Kernels for micro-batches of one size.

    Attributes:
        kernels: in the order of the layers.
        images: of a micro-batch.
        slots: how many micro-batches there are.
        offset: the first one's first image in the shard.
        dy: where the gradient of the lane's input will be.
    """

    kernels: list[Kernel]
    images: int
    slots: int
    offset: int
    dy: Parts = ()

    def rows(self, slot: int) -> slice:
        """Return which images of the shard a slot holds."""
        start = self.offset + slot * self.images
        return slice(start, start + self.images)


Steps = list[tuple[Kernel, Calls]]
"""What to do in order, and the kernel that each part belongs to."""


@dataclass
class Stage:
    """Kernels start..stop-1 of some lanes; a BatchNormKernel, in training, is always the first of its stage.

    Attributes:
        lanes: the lanes, all of the same kernels.
        start: the first kernel.
        stop: one past the last.
        ahead: the way forward through all slots.
        back: the way back.
        before: what a BatchNorm that no stage precedes has to do before the shards meet.
        after: and what it has to do on the way back, after they met.
    """

    lanes: list[Lane]
    start: int
    stop: int
    ahead: Steps = field(default_factory=list)
    back: Steps = field(default_factory=list)
    before: Steps = field(default_factory=list)
    after: Steps = field(default_factory=list)

    @property
    def norms(self) -> list[BatchNormKernel]:
        """The BatchNorm kernels that the stage starts with, one for each lane, or none."""
        heads = [lane.kernels[self.start] for lane in self.lanes]
        return [kernel for kernel in heads if isinstance(kernel, BatchNormKernel)]


class Meeting:
    """Where shards leave their BatchNorm sums for each other.

    Forward and backward have places of their own: a shard that is ahead may already publish the next sums while
    another still reads the last ones, but never gets further ahead than that.

    Args:
        table: (2, shards, numbers), shared by all shards.
        sizes: how many numbers each layer publishes, by its position in the network.
    """

    def __init__(self, table: Sums, sizes: Mapping[int, int]) -> None:
        self.table = table
        self.slices: dict[int, slice] = {}
        start = 0
        for index, size in sizes.items():
            self.slices[index] = slice(start, start + size)
            start += size

    def publish(self, shard: int, norm: BatchNormKernel, sums: Sums, *, backward: bool) -> None:
        """Leave a shard's sums for one layer."""
        self.table[int(backward), shard, self.slices[norm.nodes[0].index]] = sums

    def collect(self, shards: int, norm: BatchNormKernel, *, backward: bool) -> list[Sums]:
        """Return the sums of the first `shards` shards for one layer."""
        return list(self.table[int(backward), :shards, self.slices[norm.nodes[0].index]])


@dataclass(frozen=True)
class Seat:
    """A shard's place among the shards of a batch.

    Attributes:
        meeting: where they leave their sums.
        shard: the number of this one; shard 0 keeps the running statistics.
        shards: how many the batch is cut into.
    """

    meeting: Meeting
    shard: int
    shards: int


class ShardPlan:
    """The network for one shard of a batch.

    Args:
        network: whose parameters are read.
        x: (images, C, H, W), where the shard's images lie at every step.
        training: with backward, or for inference only.
        clock: takes the time of every kernel, or nothing.
    """

    def __init__(self, network: Network, x: FloatArray, *, training: bool, clock: Clock) -> None:
        self.network, self.x, self.images, self.training, self.clock = network, x, len(x), training, clock
        images = self.images
        self.nodes = nodes_of(network, training=training)
        first_dense = next(
            (i for i, node in enumerate(self.nodes) if len(node.input_shape) == 1), len(self.nodes)
        )
        trained = [i for i, node in enumerate(self.nodes) if node.layer.parameters]
        self.first_trained = trained[0] if trained else len(self.nodes)
        micro = micro_batch(self.nodes[:first_dense], images, training=training)
        self.image_lanes: list[Lane] = []
        for size, slots, offset in (
            (micro, images // micro, 0),
            (images % micro, 1, images - images % micro),
        ):
            if size and first_dense:
                kernels = self._kernels(0, first_dense, size, slots)
                self.image_lanes.append(Lane(kernels, size, slots, offset))
        dense = self._kernels(first_dense, len(self.nodes), images, 1)
        self.dense_lane = Lane(dense, images, 1, 0)
        self.logits = empty(images, *network.output_shape)
        self.stages = _stages(self.image_lanes) + _stages([self.dense_lane])
        for stage in self.stages:
            self._write_ahead(stage)
        for stage in reversed(self.stages) if training else ():
            self._write_back(stage)

    def _kernels(self, start: int, stop: int, images: int, slots: int) -> list[Kernel]:
        kernels: list[Kernel] = []
        scratch = Scratch()
        while start < stop:
            scratch.begin()
            needs_dx = start > self.first_trained
            load = Load(images, slots, self.training, needs_dx, scratch)
            kernel, count = match(self.nodes[start:stop], load)
            kernels.append(kernel(self.nodes[start : start + count], load))
            start += count
        return kernels

    def lanes(self) -> list[Lane]:
        """Return every lane."""
        return [*self.image_lanes, self.dense_lane]

    def _write_ahead(self, stage: Stage) -> None:
        """Write down the way forward through a stage, slot by slot."""
        for lane in stage.lanes:
            kernels = lane.kernels
            for slot in range(lane.slots):
                if stage.start == 0:
                    self._write_entry(stage, lane, slot)
                for k in range(stage.start, stage.stop):
                    out = kernels[k + 1].target(slot) if k + 1 < len(kernels) else self._behind(lane, slot)
                    kernels[k].forward(_next(stage.ahead, kernels[k]), slot, out)
                if stage.stop < len(kernels):
                    norm = kernels[stage.stop]
                    assert isinstance(norm, BatchNormKernel)
                    norm.gather(_next(stage.ahead, norm), slot)

    def _write_entry(self, stage: Stage, lane: Lane, slot: int) -> None:
        """Write down how a lane's first kernel gets its input; a BatchNorm takes its sums too, before the meeting."""
        first = lane.kernels[0]
        do = _next(stage.before if isinstance(first, BatchNormKernel) else stage.ahead, first)
        if lane is not self.dense_lane:
            first.feed(do, slot, self.x[lane.rows(slot)])
        if isinstance(first, BatchNormKernel):
            first.gather(do, slot)

    def _write_back(self, stage: Stage) -> None:
        """Write down the way back through a stage, slot by slot."""
        for lane in stage.lanes:
            kernels = lane.kernels
            for slot in range(lane.slots):
                if stage.stop < len(kernels):  # a BatchNorm, whose own stage is done: all its sums are known
                    norm = kernels[stage.stop]
                    dy = norm.backward(_next(stage.back, norm), slot, ())
                elif lane is self.dense_lane or not self.dense_lane.kernels:
                    dy = whole(self.logits[lane.rows(slot)])
                else:
                    rows = lane.rows(slot)
                    dy = tuple(
                        part._replace(array=part.array[rows], block=None) for part in self.dense_lane.dy
                    )
                for kernel in reversed(kernels[stage.start : stage.stop]):
                    if not dy:
                        break
                    do = _next(stage.back, kernel)
                    if isinstance(kernel, BatchNormKernel):
                        kernel.gather_backward(do, slot, dy)
                        dy = ()
                    else:
                        dy = kernel.backward(do, slot, dy)
                lane.dy = dy
        if stage.start == 0 and stage.norms and stage.lanes[0] is self.dense_lane:
            norm = stage.norms[0]
            self.dense_lane.dy = norm.backward(_next(stage.after, norm), 0, ())

    def _behind(self, lane: Lane, slot: int) -> Parts:
        """Return where a lane's last kernel writes: rows of the dense part's input, or the logits."""
        if lane is self.dense_lane:
            return whole(self.logits)
        return self._into_dense(lane.rows(slot))

    def _into_dense(self, rows: slice) -> Parts:
        kernels = self.dense_lane.kernels
        return whole((kernels[0].target(0)[0].array if kernels else self.logits)[rows])

    def _make(self, steps: Steps, *, backward: bool = False) -> None:
        self.clock.start()
        for kernel, calls in steps:
            calls.run()
            self.clock.stop(kernel, backward=backward)

    def forward(self, draws: Draws, seat: Seat) -> Iterator[None]:
        """Run the shard's images to `logits`; yields where all shards have to meet.

        Args:
            draws: random generators for this step.
            seat: where this shard meets the others.
        """
        self.clock.start()
        for lane in self.lanes():
            for kernel in lane.kernels:
                kernel.prepare(draws)
        self.clock.stop("prepare weights")
        if not self.image_lanes:
            self._into_dense(slice(None))[0].array[...] = self.x
        for stage in self.stages:
            norms = stage.norms
            if norms:
                self._make(stage.before)
                own = merge_moments([norm.moments() for norm in norms])
                seat.meeting.publish(seat.shard, norms[0], own, backward=False)
                self.clock.stop("batch normalisation: sums")
                yield
                self.clock.stop(WAITING)
                total = merge_moments(seat.meeting.collect(seat.shards, norms[0], backward=False))
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

    def backward(self, seat: Seat) -> Iterator[None]:
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
                self._make(stage.after, backward=True)

    def collect(self, gradients: Mapping[str, FloatArray]) -> None:
        """Write the shard's gradient of every parameter into its named array."""
        self.clock.start()
        for number, lane in enumerate(self.lanes()):
            add = number > 0 and lane is not self.dense_lane
            for kernel in lane.kernels:
                kernel.collect(gradients, add=add)
        self.clock.stop("collect gradients")


def micro_batch(nodes: Sequence[Node], images: int, *, training: bool) -> int:
    """Return how many images to take at once through the convolutional part: up to 32, less where they are large."""
    largest = 1
    for node in nodes:
        if isinstance(node.layer, Conv2D):  # its Winograd tiles are four times its input and its output
            numbers = 4 * (int(np.prod(node.input_shape)) + int(np.prod(node.output_shape)))
            largest = max(largest, numbers * 4)
    size = max(1, min(_MOST_IMAGES, images, _WORKSPACE // largest))
    # Sizes that leave no rest, or a larger one, spare the second lane.
    return (
        max(range(max(1, size // 2), size + 1), key=lambda n: (images % n == 0, n))
        if images > size
        else images
    )


def _stages(lanes: list[Lane]) -> list[Stage]:
    """Cut lanes of the same kernels in front of every BatchNorm of training."""
    kernels = lanes[0].kernels if lanes else []
    cuts = [k for k, kernel in enumerate(kernels) if isinstance(kernel, BatchNormKernel)]
    bounds = [0, *(k for k in cuts if k > 0), len(kernels)]
    return [Stage(lanes, start, stop) for start, stop in pairwise(bounds) if stop > start]


def _next(steps: Steps, kernel: Kernel) -> Calls:
    """Return where a kernel's next calls go; neighbours of the same kernel share one list."""
    if not steps or steps[-1][0] is not kernel:
        steps.append((kernel, Calls()))
    return steps[-1][1]


def no_draws(index: int) -> np.random.Generator:
    """Stand in where nothing random may happen: inference."""
    raise AssertionError("inference draws no random numbers")
