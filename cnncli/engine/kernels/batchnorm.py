"""Batch normalisation with the statistics of the whole batch, although the batch is cut into shards and micro-batches.

In training a BatchNorm divides the plan in two: no image can be normalised before all of them have been summed. So
the kernel is called on both sides of that line. In front of it, `record_sums` sums up a slot that was just written;
behind it, once every shard has published its sums and all have been added in a fixed order, `forward` normalises.
Backward is the same in reverse: `record_gradient_sums` sums, `backward` gives dx.

What shards tell each other are plain sums of x and x² in float64, whose 53 bits can spare what cancels in the variance.
Those of a slot are taken in float32, which cannot: where a mean is far from zero, they are taken again around it.

Axis letters: N micro-batch, C channels or features, H W image, P = H·W·N numbers a channel.
"""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from cnncli.engine.kernels.activation import buffer_shape
from cnncli.engine.kernels.kernel import Kernel, LayerGenerators, Workload, write_gradient
from cnncli.engine.kernels.layout import Layout, record_copy, record_masked_copy
from cnncli.engine.kernels.node import Node, inference_affine
from cnncli.engine.kernels.tape import Tape
from cnncli.engine.kernels.workspace import ChannelRow, empty, empty_mask, ones, shared_zeros
from cnncli.nn.layers import BatchNorm, ReLU
from cnncli.types import FloatArray

Sums = npt.NDArray[np.float64]
"""(2C + 1,): a count, C sums of x, C of x²; on the way back: unused, C of dy, C of dy · x, or of dy · (x - mean)."""

_NEAR = 2  # standard deviations; up to there, the mean of x² less that of x, squared, is good to float32's last bits
_FAR = 16  # standard deviations; up to there, a mean that is not taken out costs float32 four of its 24 bits


def sums_size(norm: BatchNorm) -> int:
    """Return how many float64 a shard publishes for this layer."""
    return 2 * norm.num_features + 1


def merge_sums(parts: Sequence[Sums]) -> Sums:
    """Return the plain sum of all parts, added in the order given."""
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    return total


class BatchNormKernel(Kernel):
    """batchnorm -> [ReLU] in training: y = a · x + b for each channel, with a and b from the whole batch."""

    pattern: ClassVar[str] = "batch normalisation over all shards"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        if not isinstance(nodes[0].layer, BatchNorm) or not workload.training:
            return 0
        return 2 if len(nodes) > 1 and isinstance(nodes[1].layer, ReLU) else 1

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        norm = nodes[0].layer
        assert isinstance(norm, BatchNorm)
        self.norm, self.c, self.relu = norm, norm.num_features, len(nodes) == 2
        self.shape = buffer_shape(nodes[0].input_shape, workload.images)
        size = math.prod(self.shape)
        self.pixels = size // self.c
        self.x, self.g = empty(workload.slots, size), workload.workspace.alternate(workload.slots, size)
        self.scratch = workload.workspace(size)
        self.positive = empty_mask(workload.slots, size)
        self.ones = ones(self.pixels)
        self.a, self.b, self.centre, self.mean_row = (ChannelRow(self.pixels, self.c) for _ in range(4))
        self.sums = empty(workload.slots, 2, self.c)  # of x and x², in every slot
        self.gradient_sums = empty(workload.slots, 2, self.c)  # of dy and dy · x

    def input_layout(self, slot: int) -> Layout:
        return self.workload.layout(self.x[slot], self.shape)

    def _sum(self, tape: Tape, values: FloatArray, out: FloatArray) -> None:
        tape.matmul(self.ones, values.reshape(-1, self.c), out=out)

    def record_sums(self, tape: Tape, slot: int) -> None:
        """Take the sums of the slot that was just written to the target."""
        x = self.x[slot]
        self._sum(tape, x, self.sums[slot, 0])
        tape.multiply(x, x, out=self.scratch)
        self._sum(tape, self.scratch, self.sums[slot, 1])

    def moments(self) -> Sums:
        """Return the sums of all slots together."""
        own = np.empty(2 * self.c + 1)
        own[0] = count = self.pixels * len(self.sums)
        sums = own[1:].reshape(2, self.c)
        np.add.reduce(self.sums, axis=0, dtype=np.float64, out=sums)
        if (sums[0] ** 2 * (1 + 1 / _NEAR**2) > count * sums[1]).any():
            sums[...] = 0
            for slot in range(len(self.sums)):
                sums += self._around_the_mean(slot)
        return own

    def _around_the_mean(self, slot: int) -> Sums:
        """Return a slot's sums (2, C) where too much cancels in those of `record_sums`."""
        count, row = self.pixels, self.mean_row
        row.set(self.sums[slot, 0] / count)
        np.subtract(row.across(self.x[slot]), row.row, out=row.across(self.scratch))
        # What rounding left of the mean is taken out again: the variance has to be that around the mean given.
        deviations = self.scratch.reshape(-1, self.c)
        rest = (self.ones @ deviations).astype(np.float64) / count
        np.multiply(deviations, deviations, out=deviations)
        squares = (self.ones @ deviations).astype(np.float64) - count * rest**2
        mean = row.row[: self.c] + rest
        return np.stack([count * mean, squares + count * mean**2])

    def normalise_with(self, total: Sums, *, remember: bool) -> None:
        """Set this step's statistics.

        Args:
            total: the sums of the whole batch.
            remember: move the layer's running statistics, once in a step.
        """
        count, norm = total[0], self.norm
        mean, squares = total[1:].reshape(2, self.c) / count
        variance = np.maximum(squares - mean**2, 0)
        self.count, self.mean = count, mean
        self.inverse_std = 1 / np.sqrt(variance + norm.eps)
        self.centred = bool((np.abs(mean) * self.inverse_std).max() > _FAR)
        a = norm.gamma * self.inverse_std
        self.a.set(a)
        self.b.set(norm.beta if self.centred else norm.beta - a * mean)
        if self.centred:
            self.mean_row.set(mean)
        if remember and count > 1:
            unbiased = variance * (count / (count - 1))
            norm.running_mean += norm.momentum * (mean.astype(np.float32) - norm.running_mean)
            norm.running_var += norm.momentum * (unbiased.astype(np.float32) - norm.running_var)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        y = self.scratch
        tape.record(self._scale, slot, self.a)
        tape.add(self.b.across(y), self.b.row, out=self.b.across(y))
        if self.relu:
            tape.greater(y, shared_zeros(y.size), out=self.positive[slot])
        record_copy(tape, self.workload.layout(y, self.shape), out, relu=self.relu)

    def _near(self, slot: int) -> FloatArray:
        """Return the slot's input, less the mean where that is far from zero: a · x + b would cancel there."""
        x: FloatArray = self.x[slot]
        if self.centred:
            row = self.mean_row
            np.subtract(row.across(x), row.row, out=row.across(self.scratch))
            return self.scratch
        return x

    def _scale(self, slot: int, row: ChannelRow) -> None:
        """scratch = x · row."""
        np.multiply(row.across(self._near(slot)), row.row, out=row.across(self.scratch))

    def record_gradient_sums(self, tape: Tape, slot: int, dy: Layout) -> None:
        """Keep dy, without what the ReLU stopped, and take its sums."""
        g = self.g[slot]
        if self.relu:
            tape.copy(self.positive[slot], out=self.scratch)
        mask = self.workload.layout(self.scratch, self.shape) if self.relu else None
        record_masked_copy(tape, dy, self.workload.layout(g, self.shape), mask)
        self._sum(tape, g, self.gradient_sums[slot, 0])
        tape.record(self._times_x, slot)
        self._sum(tape, self.scratch, self.gradient_sums[slot, 1])

    def _times_x(self, slot: int) -> None:
        np.multiply(self._near(slot), self.g[slot], out=self.scratch)

    def gradients(self) -> Sums:
        """Return the sums that backward needs of all shards, of this one."""
        own = np.zeros(2 * self.c + 1)
        np.add.reduce(self.gradient_sums, axis=0, dtype=np.float64, out=own[1:].reshape(2, self.c))
        return own

    def _by_x_hat(self, sums: Sums) -> Sums:
        """Return the sums of dy · x_hat (C,)."""
        by_x = sums[1 + self.c :]
        if not self.centred:
            by_x = by_x - self.mean * sums[1 : 1 + self.c]
        return by_x * self.inverse_std  # type: ignore[no-any-return]

    def differentiate_with(self, total: Sums) -> None:
        """Set what backward needs of the whole batch: dx = a · (g - dbeta / M - x_hat · dgamma / M)."""
        dbeta = total[1 : 1 + self.c] / self.count
        per_x = self._by_x_hat(total) * self.inverse_std / self.count
        self.b.set(self.norm.gamma * self.inverse_std * per_x)
        self.centre.set(dbeta if self.centred else dbeta - per_x * self.mean)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        g = self.g[slot]
        rows = self.a.across(g)
        tape.subtract(rows, self.centre.row, out=rows)
        tape.multiply(rows, self.a.row, out=rows)
        tape.record(self._scale, slot, self.b)
        tape.subtract(g, self.scratch, out=g)
        return self.workload.layout(g, self.shape)

    def collect(self, gradients: Mapping[str, FloatArray], *, add: bool) -> None:
        own = self.gradients()
        name = self.nodes[0].name
        write_gradient(gradients[f"{name}.beta"], own[1 : self.c + 1].astype(np.float32), add=add)
        write_gradient(gradients[f"{name}.gamma"], self._by_x_hat(own).astype(np.float32), add=add)


class AffineKernel(Kernel):
    """batchnorm -> [ReLU] in inference, where it could not be folded: y = scale · x + shift for each channel."""

    pattern: ClassVar[str] = "batch normalisation by running statistics"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        if not isinstance(nodes[0].layer, BatchNorm) or workload.training:
            return 0
        return 2 if len(nodes) > 1 and isinstance(nodes[1].layer, ReLU) else 1

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        norm = nodes[0].layer
        assert isinstance(norm, BatchNorm)
        self.norm, self.relu = norm, len(nodes) == 2
        self.shape = buffer_shape(nodes[0].input_shape, workload.images)
        self.x = empty(math.prod(self.shape))
        pixels = self.x.size // norm.num_features
        self.scale, self.shift = (ChannelRow(pixels, norm.num_features) for _ in range(2))

    def prepare(self, generators: LayerGenerators) -> None:
        scale, shift = inference_affine(self.norm)
        self.scale.set(scale)
        self.shift.set(shift)

    def input_layout(self, slot: int) -> Layout:
        return self.workload.layout(self.x, self.shape)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        rows = self.scale.across(self.x)
        tape.multiply(rows, self.scale.row, out=rows)
        tape.add(rows, self.shift.row, out=rows)
        record_copy(tape, self.workload.layout(self.x, self.shape), out, relu=self.relu)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        raise AssertionError("only planned for inference")
