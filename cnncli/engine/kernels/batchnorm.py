"""Batch normalization with the statistics of the whole batch, although shards and micro-batches cut the batch up.

    x_hat = (x - mean) / sqrt(var + eps)          y = gamma · x_hat + beta
    dx = gamma / sqrt(var + eps) · (dy - dbeta / M - x_hat · dgamma / M),  dbeta = sum of dy, dgamma = sum of dy · x_hat

No image can be normalized before all images are summed. So in training a BatchNorm cuts the plan into two stages, and
its kernel records calls in both:

- In the previous stage, `record_sums` sums every slot as soon as it is written.
- Every shard publishes its sums (`moments`). They are added in a fixed order, and `normalize_with` takes the total.
- In its own stage, `record_forward` normalizes.

The backward pass mirrors this: `record_gradient_sums`, `gradients`, `differentiate_with`, `record_backward`.

Shards exchange plain sums of x and x² in float64: its 53 bits leave enough after the cancellation in mean(x²) - mean².
The sums of one slot are taken in float32, whose 24 bits do not: where a mean is far from zero, they are taken again
around the mean.

Axis letters: N micro-batch, C channels or features, H W image, P = H·W·N pixels of a slot, M numbers per channel in the
whole batch.
"""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from cnncli.engine.kernels.arrays import ChannelRow, empty, ones
from cnncli.engine.kernels.fused_relu import FusedReLU
from cnncli.engine.kernels.kernel import Kernel, LayerGenerators, Workload, write_gradient
from cnncli.engine.kernels.layout import Layout, record_copy, transposed_shape
from cnncli.engine.kernels.node import Node, count_with_relu, inference_affine
from cnncli.engine.kernels.tape import Tape
from cnncli.nn.layers import BatchNorm
from cnncli.types import FloatArray

Sums = npt.NDArray[np.float64]
"""(2C + 1,): forward, M, C sums of x, C of x²; backward, unused, C sums of dy, C of dy · x, or of dy · (x - mean)."""

_NEAR = 2  # |mean| in standard deviations; below, mean(x²) - mean² is exact to float32's last bits
_FAR = 16  # |mean| in standard deviations; below, not subtracting the mean costs four of float32's 24 bits at most


def sums_size(norm: BatchNorm) -> int:
    """Return how many float64 numbers a shard publishes for this layer."""
    return 2 * norm.num_features + 1


def merge_sums(sums: Sequence[Sums]) -> Sums:
    """Return the total of several sums, added in the order given."""
    total = sums[0].copy()
    for one in sums[1:]:
        total += one
    return total


class BatchNormKernel(Kernel):
    """batchnorm -> [ReLU] in training: y = a · x + b for each channel, with a and b from the whole batch."""

    description: ClassVar[str] = "batch normalization over all shards"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        # one that is frozen uses its running statistics, and the plain layer runs it
        norm = nodes[0].layer
        over_batch = isinstance(norm, BatchNorm) and not norm.frozen and workload.training
        return count_with_relu(nodes) if over_batch else 0

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        norm = nodes[0].layer
        assert isinstance(norm, BatchNorm)
        self.norm, self.c = norm, norm.num_features
        self.shape = transposed_shape(nodes[0].input_shape, workload.images)
        size = math.prod(self.shape)
        self.pixels = size // self.c
        self.x, self.dy = empty(workload.slots, size), workload.scratch.alternate(workload.slots, size)
        self.scratch = workload.scratch.empty(size)
        self.relu = FusedReLU(workload, (size,), relu=len(nodes) == 2, layout=self._layout)
        self.ones = ones(self.pixels)
        self.a, self.b, self.center, self.mean_row = (ChannelRow(self.pixels, self.c) for _ in range(4))
        self.sums = empty(workload.slots, 2, self.c)  # of x and x², for every slot
        self.gradient_sums = empty(workload.slots, 2, self.c)  # of dy and dy · x

    def _layout(self, flat: FloatArray) -> Layout:
        return self.workload.layout(flat, self.shape)

    def input_layout(self, slot: int) -> Layout:
        return self._layout(self.x[slot])

    # --- forward pass

    def _record_sum(self, tape: Tape, values: FloatArray, out: FloatArray) -> None:
        """Record out (C,) = the sums of values (P·C,) over the pixels."""
        tape.matmul(self.ones, values.reshape(-1, self.c), out=out)

    def record_sums(self, tape: Tape, slot: int) -> None:
        """Record the sums of a slot whose input was just written."""
        x = self.x[slot]
        self._record_sum(tape, x, self.sums[slot, 0])
        tape.multiply(x, x, out=self.scratch)
        self._record_sum(tape, self.scratch, self.sums[slot, 1])

    def moments(self) -> Sums:
        """Return the sums of all slots of this shard."""
        own = np.empty(2 * self.c + 1)
        own[0] = count = self.pixels * len(self.sums)
        sums = own[1:].reshape(2, self.c)
        np.add.reduce(self.sums, axis=0, dtype=np.float64, out=sums)
        if (sums[0] ** 2 * (1 + 1 / _NEAR**2) > count * sums[1]).any():
            sums[...] = 0
            for slot in range(len(self.sums)):
                sums += self._sums_around_mean(slot)
        return own

    def _sums_around_mean(self, slot: int) -> Sums:
        """Return a slot's sums (2, C) of x and x², computed from the deviations from its mean."""
        count, row = self.pixels, self.mean_row
        row.set(self.sums[slot, 0] / count)
        np.subtract(row.across(self.x[slot]), row.row, out=row.across(self.scratch))
        # The rounded mean is not quite the mean, so the deviations have a small mean of their own: `rest`.
        deviations = self.scratch.reshape(-1, self.c)
        rest = (self.ones @ deviations).astype(np.float64) / count
        np.multiply(deviations, deviations, out=deviations)
        squares = (self.ones @ deviations).astype(np.float64) - count * rest**2
        mean = row.row[: self.c] + rest
        return np.stack([count * mean, squares + count * mean**2])

    def normalize_with(self, total: Sums, *, remember: bool) -> None:
        """Set this step's statistics.

        Args:
            total: the sums of the whole batch.
            remember: update the layer's running statistics; True for one kernel per step.
        """
        count, norm = total[0], self.norm
        mean, squares = total[1:].reshape(2, self.c) / count
        variance = np.maximum(squares - mean**2, 0)
        self.count, self.mean = count, mean
        self.inverse_std = 1 / np.sqrt(variance + norm.eps)
        self.centered = bool((np.abs(mean) * self.inverse_std).max() > _FAR)
        a = norm.gamma * self.inverse_std
        self.a.set(a)
        self.b.set(norm.beta if self.centered else norm.beta - a * mean)
        if self.centered:
            self.mean_row.set(mean)
        if remember and count > 1:
            unbiased = variance * (count / (count - 1))
            norm.running_mean += norm.momentum * (mean.astype(np.float32) - norm.running_mean)
            norm.running_var += norm.momentum * (unbiased.astype(np.float32) - norm.running_var)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        y = self.scratch
        tape.record(self._scale, slot, self.a)
        self.b.record_add(tape, y)
        self.relu.record_forward(tape, slot, y, out)

    def _centered_x(self, slot: int) -> FloatArray:
        """Return the slot's x, or x - mean where the mean is so far from zero that a · x + b would cancel."""
        x: FloatArray = self.x[slot]
        if self.centered:
            row = self.mean_row
            np.subtract(row.across(x), row.row, out=row.across(self.scratch))
            return self.scratch
        return x

    def _scale(self, slot: int, row: ChannelRow) -> None:
        """scratch = x · row, or (x - mean) · row."""
        np.multiply(row.across(self._centered_x(slot)), row.row, out=row.across(self.scratch))

    # --- backward pass

    def record_gradient_sums(self, tape: Tape, slot: int, dy: Layout) -> None:
        """Record keeping a slot's dy, past the ReLU, and its sums."""
        own = self.dy[slot]
        self.relu.record_backward(tape, slot, dy, self._layout(own), factor=self.scratch)
        self._record_sum(tape, own, self.gradient_sums[slot, 0])
        tape.record(self._multiply_by_x, slot)
        self._record_sum(tape, self.scratch, self.gradient_sums[slot, 1])

    def _multiply_by_x(self, slot: int) -> None:
        """scratch = dy · x, or dy · (x - mean)."""
        np.multiply(self._centered_x(slot), self.dy[slot], out=self.scratch)

    def gradients(self) -> Sums:
        """Return the gradient sums of all slots of this shard."""
        own = np.zeros(2 * self.c + 1)
        np.add.reduce(self.gradient_sums, axis=0, dtype=np.float64, out=own[1:].reshape(2, self.c))
        return own

    def _dgamma(self, sums: Sums) -> Sums:
        """Return the sums of dy · x_hat (C,)."""
        by_x = sums[1 + self.c :]
        if not self.centered:
            by_x = by_x - self.mean * sums[1 : 1 + self.c]
        return by_x * self.inverse_std  # type: ignore[no-any-return]

    def differentiate_with(self, total: Sums) -> None:
        """Set what backward needs of the whole batch: dx = a · (dy - dbeta / M - x_hat · dgamma / M)."""
        dbeta = total[1 : 1 + self.c] / self.count
        per_x = self._dgamma(total) * self.inverse_std / self.count
        self.b.set(self.norm.gamma * self.inverse_std * per_x)
        self.center.set(dbeta if self.centered else dbeta - per_x * self.mean)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        dx = self.dy[slot]
        rows = self.a.across(dx)
        tape.subtract(rows, self.center.row, out=rows)
        tape.multiply(rows, self.a.row, out=rows)
        tape.record(self._scale, slot, self.b)
        tape.subtract(dx, self.scratch, out=dx)
        return self._layout(dx)

    def collect(self, gradients: Mapping[str, FloatArray], *, add: bool) -> None:
        own = self.gradients()
        name = self.nodes[0].name
        write_gradient(gradients[f"{name}.beta"], own[1 : self.c + 1].astype(np.float32), add=add)
        write_gradient(gradients[f"{name}.gamma"], self._dgamma(own).astype(np.float32), add=add)


class AffineKernel(Kernel):
    """batchnorm -> [ReLU] in inference, where it is not folded: y = scale · x + shift for each channel."""

    description: ClassVar[str] = "batch normalization by running statistics"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        return (
            count_with_relu(nodes) if isinstance(nodes[0].layer, BatchNorm) and not workload.training else 0
        )

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        norm = nodes[0].layer
        assert isinstance(norm, BatchNorm)
        self.norm, self.relu = norm, len(nodes) == 2
        self.shape = transposed_shape(nodes[0].input_shape, workload.images)
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
        self.shift.record_add(tape, self.x)
        record_copy(tape, self.input_layout(slot), out, relu=self.relu)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        raise AssertionError("only planned for inference")
