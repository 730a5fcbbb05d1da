"""One shard's plan: the network's layers as kernels, with memory for a fixed number of images.

The images of a shard pass through the convolutional part in micro-batches, small enough to stay in cache from one
kernel to the next. The dense part takes the whole shard at once. If the shard's size is not a multiple of the
micro-batch's, the rest is a micro-batch of its own size.

Each BatchNorm begins a new stage, because it needs the sums of all shards. So forward and backward are generators that
yield at the barrier of each all-reduce, and `ShardRunner` advances the shards of a worker together. Every stage has a
micro-batch size of its own: after a pool, where images are small, micro-batches are larger.

A plan records everything that repeats when it is built (see tape.py). Every worker builds the plans of its own shards
and runs the lines of this file.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from cnncli.engine.kernels.arrays import Scratch, empty
from cnncli.engine.kernels.batchnorm import BatchNormKernel, merge_sums
from cnncli.engine.kernels.kernel import Kernel, LayerGenerators, Workload
from cnncli.engine.kernels.layout import single_block
from cnncli.engine.plan.batchnorm_sums import Barrier, SumExchange
from cnncli.engine.plan.kernel_table import match, read_image_major
from cnncli.engine.plan.micro_batch_sizes import micro_batch_sizes
from cnncli.engine.plan.nodes import nodes_of
from cnncli.engine.plan.stage import MicroBatches, Recordings, Stage
from cnncli.engine.profile import WAITING, Clock
from cnncli.nn.layers import BatchNorm
from cnncli.nn.losses import cross_entropy
from cnncli.nn.network import Network
from cnncli.types import FloatArray, IntArray


class ShardPlan:
    """The network for one shard of a batch.

    Args:
        network: whose parameters are read.
        x: (N, C, H, W) or (N, features), the array that holds the shard's images in every step.
        training: whether backward will run, or only inference.
        clock: measures the time of every kernel, or nothing.
        keep_weights: whether the weights stay as they are in the first forward pass, so that they are brought into the
            form that the kernels need only then.
    """

    def __init__(
        self, network: Network, x: FloatArray, *, training: bool, clock: Clock, keep_weights: bool = False
    ) -> None:
        self._keep_weights, self._has_weights = keep_weights, False
        self.network, self.x, self.images, self.training, self.clock = network, x, len(x), training, clock
        self.nodes = nodes_of(network, training=training)
        trained = [i for i, node in enumerate(self.nodes) if node.role == "layer" and node.layer.parameters]
        self._first_trained = trained[0] if trained else len(self.nodes)
        self.logits = empty(self.images, *network.output_shape)
        self.stages = self._stages()
        next_stages = [*self.stages[1:], None]
        for stage, next_stage in zip(self.stages, next_stages, strict=True):
            self._record_forward(stage, next_stage)
        for stage, next_stage in zip(self.stages[::-1], next_stages[::-1], strict=True) if training else ():
            self._record_backward(stage, next_stage)

    def _stages(self) -> list[Stage]:
        """Cut the layers before the dense part, and before every BatchNorm in training that is not frozen."""
        nodes, images = self.nodes, self.images
        dense = next((i for i, node in enumerate(nodes) if len(node.input_shape) == 1), len(nodes))
        norms = [
            i
            for i, node in enumerate(nodes)
            if self.training and isinstance(node.layer, BatchNorm) and not node.layer.frozen
        ]
        cuts = list(pairwise(sorted({0, dense, *norms, len(nodes)})))
        sizes = micro_batch_sizes([nodes[start:stop] for start, stop in cuts if stop <= dense], images)
        sizes += [images] * (len(cuts) - len(sizes))  # the dense part
        scratches = Scratch(), Scratch()
        blocks: tuple[dict[int, Any], dict[int, Any]] = ({}, {})
        stages = []
        for (start, stop), size in zip(cuts, sizes, strict=True):
            slots, rest = divmod(images, size)
            kernels = self._kernels(start, stop, size, slots, scratches[0], blocks[0])
            groups = [MicroBatches(kernels, size, slots, 0)]
            if rest:
                kernels = self._kernels(start, stop, rest, 1, scratches[1], blocks[1])
                groups.append(MicroBatches(kernels, rest, 1, images - rest))
            stages.append(Stage(groups))
        return stages

    def _kernels(
        self, start: int, stop: int, images: int, slots: int, scratch: Scratch, blocks: dict[int, Any]
    ) -> list[Kernel]:
        """Return the kernels for the nodes from start to stop."""
        kernels: list[Kernel] = []
        while start < stop:
            scratch.begin_kernel()
            needs_dx = start > self._first_trained
            readers = start + (self.nodes[start].role != "branch")
            image_major = read_image_major(self.nodes[readers:])
            workload = Workload(images, slots, self.training, needs_dx, scratch, image_major, blocks)
            kernel, count = match(self.nodes[start:stop], workload)
            kernels.append(kernel(self.nodes[start : start + count], workload))
            start += count
        return kernels

    def micro_batches(self) -> list[MicroBatches]:
        """Return the micro-batches of all stages."""
        return [group for stage in self.stages for group in stage.micro_batches]

    def _record_forward(self, stage: Stage, next_stage: Stage | None) -> None:
        """Record the forward pass of a stage, slot by slot, with the sums of a BatchNorm at the head of the next."""
        for group in stage.micro_batches:
            for slot in range(group.slots):
                rows = group.rows(slot)
                if stage is self.stages[0]:
                    self._record_entry(stage, group, slot)
                for kernel, next_kernel in pairwise(group.kernels):
                    kernel.record_forward(stage.forward.tape(kernel), slot, next_kernel.input_layout(slot))
                last = group.kernels[-1]
                out = single_block(self.logits[rows]) if next_stage is None else next_stage.input_layout(rows)
                last.record_forward(stage.forward.tape(last), slot, out)
                if next_stage is not None:
                    next_group, next_slot = next_stage.find(rows)
                    norm = next_group.kernels[0]
                    if isinstance(norm, BatchNormKernel) and next_group.rows(next_slot).stop == rows.stop:
                        norm.record_sums(stage.forward.tape(norm), next_slot)

    def _record_entry(self, stage: Stage, group: MicroBatches, slot: int) -> None:
        """Record how the plan's first kernel gets its input; for a BatchNorm, also its sums, before the barrier."""
        first = group.kernels[0]
        recordings = stage.entry if isinstance(first, BatchNormKernel) else stage.forward
        first.record_input(recordings.tape(first), slot, self.x[group.rows(slot)])
        if isinstance(first, BatchNormKernel):
            first.record_sums(recordings.tape(first), slot)

    def _record_backward(self, stage: Stage, next_stage: Stage | None) -> None:
        """Record the backward pass of a stage, slot by slot, after that of a BatchNorm at the head of the next."""
        for group in stage.micro_batches:
            for slot in range(group.slots):
                rows = group.rows(slot)
                if next_stage is None:
                    dy = single_block(self.logits[rows])
                else:
                    dy = next_stage.input_gradient(rows, stage.backward)
                for kernel in reversed(group.kernels):
                    if not dy:
                        break
                    tape = stage.backward.tape(kernel)
                    if isinstance(kernel, BatchNormKernel):
                        kernel.record_gradient_sums(tape, slot, dy)
                        dy = ()
                    else:
                        dy = kernel.record_backward(tape, slot, dy)
                group.dy = dy

    def _replay(self, recordings: Recordings, *, backward: bool = False) -> None:
        """Replay the tapes of a stage."""
        self.clock.start()
        for _, part, tape in recordings:
            tape.replay()
            self.clock.stop(part, backward=backward)

    def forward(self, generators: LayerGenerators, exchange: SumExchange) -> Iterator[Barrier]:
        """Run the shard's images to `logits`; yields at the barrier of every BatchNorm.

        Args:
            generators: the random generators of this step.
            exchange: adds up the BatchNorm sums of all shards.
        """
        self.clock.start()
        if not (self._keep_weights and self._has_weights):
            for group in self.micro_batches():
                for kernel in group.kernels:
                    kernel.prepare(generators)
            self._has_weights = True
            self.clock.stop("prepare weights")
        for stage in self.stages:
            norms = stage.norms
            if norms:
                self._replay(stage.entry)
                own = merge_sums([norm.moments() for norm in norms])
                self.clock.stop("BatchNorm sums")
                total = yield from exchange.add_up(norms[0], own, backward=False)
                self.clock.stop(WAITING)
                for norm in norms:
                    norm.normalize_with(total, remember=exchange.shard == 0 and norm is norms[0])
            self._replay(stage.forward)

    def loss(
        self, labels: IntArray, batch: int, label_smoothing: float, targets: FloatArray | None = None
    ) -> tuple[float, int]:
        """Return the shard's part of the mean loss and its correct predictions; turns `logits` into their gradient.

        Args:
            labels: (N,).
            batch: the number of images in the whole batch.
            label_smoothing: the share of every target that is spread evenly over the classes.
            targets: (N, K), which replace the labels in the loss.
        """
        correct = int((self.logits.argmax(axis=1) == labels).sum())
        loss, dlogits = cross_entropy(self.logits, labels, label_smoothing, targets)
        share = self.images / batch
        np.multiply(dlogits, np.float32(share), out=self.logits)
        return loss * share, correct

    def backward(self, exchange: SumExchange) -> Iterator[Barrier]:
        """Run the gradient in `logits` back through the kernels; yields at the barrier of every BatchNorm."""
        for stage in reversed(self.stages):
            self._replay(stage.backward, backward=True)
            norms = stage.norms
            if norms:
                own = merge_sums([norm.gradients() for norm in norms])
                self.clock.stop("BatchNorm sums")
                total = yield from exchange.add_up(norms[0], own, backward=True)
                self.clock.stop(WAITING)
                for norm in norms:
                    norm.differentiate_with(total)

    def collect(self, gradients: Mapping[str, FloatArray]) -> None:
        """Write the shard's gradient of every parameter into the array of its name."""
        self.clock.start()
        for stage in self.stages:
            for number, group in enumerate(stage.micro_batches):
                for kernel in group.kernels:
                    kernel.collect(gradients, add=number > 0)
        self.clock.stop("collect gradients")


def no_generators(index: int) -> np.random.Generator:
    """Take the place of `LayerGenerators` in inference, where nothing is random."""
    raise AssertionError("inference draws no random numbers")
