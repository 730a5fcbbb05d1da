"""Batch normalisation with the statistics of the whole batch, although the batch is cut into shards and micro-batches.

In training a BatchNorm divides the plan in two: no image can be normalised before all of them have been summed. So
the kernel is called on both sides of that line. In front of it, `gather` sums up a slot that has just been written;
behind it, once every shard has published its sums and all have been added in a fixed order, `forward` normalises.
Backward is the same in reverse: `gather_backward` sums, `backward` gives dx.

Sums are kept as (count, mean, sum of squared deviations), merged pairwise, so that a large mean costs no precision:
Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979.

Axis letters: N micro-batch, C channels or features, H W image, P = H·W·N numbers a channel.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from cnncli.engine.calls import Calls
from cnncli.engine.images import Parts, whole
from cnncli.engine.kernels.activation import buffer_shape
from cnncli.engine.kernels.base import Draws, Kernel, Load, empty, flags, give, ones, tiled, zeros
from cnncli.engine.nodes import Node, inference_affine
from cnncli.nn.layers import BatchNorm, ReLU
from cnncli.types import FloatArray

Sums = npt.NDArray[np.float64]
"""(2C + 1,): a count, C means, C sums of squared deviations; on the way back: unused, C of dy, C of dy · x_hat."""


_NEAR = 2  # standard deviations; up to there, the mean of x² less that of x, squared, is good to float32's last bits
_FAR = 16  # standard deviations; up to there, a mean that is not taken out costs float32 four of its 24 bits


def sums_size(norm: BatchNorm) -> int:
    """Return how many float64 a shard publishes for this layer."""
    return 2 * norm.num_features + 1


def merge_moments(parts: Sequence[Sums]) -> Sums:
    """Return the count, means and squared deviations of all parts together, merged in the order given."""
    total = parts[0].copy()
    c = (total.size - 1) // 2
    for part in parts[1:]:
        count = total[0] + part[0]
        delta = part[1 : c + 1] - total[1 : c + 1]
        total[c + 1 :] += part[c + 1 :] + delta**2 * (total[0] * part[0] / count)
        total[1 : c + 1] += delta * (part[0] / count)
        total[0] = count
    return total


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
    def match(cls, nodes: Sequence[Node], load: Load) -> int:
        if not isinstance(nodes[0].layer, BatchNorm) or not load.training:
            return 0
        return 2 if len(nodes) > 1 and isinstance(nodes[1].layer, ReLU) else 1

    def __init__(self, nodes: Sequence[Node], load: Load) -> None:
        super().__init__(nodes, load)
        norm = nodes[0].layer
        assert isinstance(norm, BatchNorm)
        self.norm, self.c, self.relu = norm, norm.num_features, len(nodes) == 2
        shape = buffer_shape(nodes[0].input_shape, load.images)
        self.x, self.g = empty(load.slots, *shape), empty(load.slots, *shape)
        self.scratch = empty(*shape)
        self.zero = zeros(*shape)
        self.positive = flags(load.slots, *shape)
        self.ones = ones(self.scratch.size // self.c)
        width = shape[1] if len(shape) == 4 else 1
        self.row_a, self.row_b, self.row_c = (tiled(width, load.images, self.c) for _ in range(3))
        if len(shape) == 2:
            self.row_a, self.row_b, self.row_c = (row[0] for row in (self.row_a, self.row_b, self.row_c))
        self.row_mean = empty(*self.row_a.shape)
        self.moments: list[Sums] = []
        self.gradient_sums: list[Sums] = []

    def target(self, slot: int) -> Parts:
        return whole(self.x[slot])

    def _sum(self, values: FloatArray) -> Sums:
        return (self.ones @ values.reshape(-1, self.c)).astype(np.float64)

    def gather(self, slot: int) -> None:
        """Take the moments of the slot that was just written to the target."""
        x, count = self.x[slot], self.ones.size
        mean = self._sum(x) / count
        np.multiply(x, x, out=self.scratch)
        squares = self._sum(self.scratch) - count * mean**2
        if (count * mean**2 > _NEAR**2 * squares).any():  # too much cancels: once more, around the mean
            self.row_mean[...] = mean
            np.subtract(x, self.row_mean, out=self.scratch)
            # What rounding left of the mean is taken out again: the variance has to be that around the mean given.
            rest = self._sum(self.scratch) / count
            np.multiply(self.scratch, self.scratch, out=self.scratch)
            squares = self._sum(self.scratch) - count * rest**2
            mean = self.row_mean[0].reshape(-1, self.c)[0] + rest
        self.moments.append(np.concatenate([[count], mean, squares]))

    def normalise_with(self, total: Sums, *, remember: bool) -> None:
        """Set this step's statistics.

        Args:
            total: the moments of the whole batch.
            remember: move the layer's running statistics, once in a step.
        """
        count, mean, squares = total[0], total[1 : self.c + 1], total[self.c + 1 :]
        variance = np.maximum(squares / count, 0)
        norm = self.norm
        self.count, self.mean = count, mean
        self.inverse_std = 1 / np.sqrt(variance + norm.eps)
        self.centred = bool((np.abs(mean) * self.inverse_std).max() > _FAR)
        a = norm.gamma * self.inverse_std
        self.row_a[...] = a
        self.row_b[...] = norm.beta if self.centred else norm.beta - a * mean
        self.row_mean[...] = mean
        if remember and count > 1:
            norm.running_mean += norm.momentum * (mean.astype(np.float32) - norm.running_mean)
            unbiased = (squares / (count - 1)).astype(np.float32)
            norm.running_var += norm.momentum * (unbiased - norm.running_var)
        self.moments = []

    def forward(self, do: Calls, slot: int, out: Parts) -> None:
        do.call(self._forward, slot, out)

    def _forward(self, slot: int, out: Parts) -> None:
        y = self.scratch
        np.multiply(self._near(slot), self.row_a, out=y)
        if not self.relu:
            for part in out:
                wide = self.row_b.ndim == 3 and len(self.row_b) > 1
                row = self.row_b[part.start :: part.step] if wide else self.row_b
                np.add(part.of(y), row, out=part.array)
            return
        np.add(y, self.row_b, out=y)
        np.greater(y, self.zero, out=self.positive[slot])
        for part in out:
            np.maximum(part.of(y), part.of(self.zero), out=part.array)

    def _near(self, slot: int) -> FloatArray:
        """Return the slot's input, less the mean where that is far from zero: a · x + b would cancel there."""
        x: FloatArray = self.x[slot]
        return np.subtract(x, self.row_mean, out=self.scratch) if self.centred else x

    def gather_backward(self, slot: int, dy: Parts) -> None:
        """Keep dy, without what the ReLU stopped, and take its sums."""
        g = self.g[slot]
        if self.relu:
            np.copyto(self.scratch, self.positive[slot])
        for part in dy:
            if self.relu:
                np.multiply(part.array, part.of(self.scratch), out=part.of(g))
            else:
                part.of(g)[...] = part.array
        total = self._sum(g)
        np.multiply(self._near(slot), g, out=self.scratch)
        by_x = self._sum(self.scratch)
        if not self.centred:
            by_x -= self.mean * total
        self.gradient_sums.append(np.concatenate([[0.0], total, by_x * self.inverse_std]))

    def differentiate_with(self, total: Sums) -> None:
        """Set what backward needs of the whole batch: dx = a · (g - dbeta / M - x_hat · dgamma / M)."""
        dbeta, dgamma = total[1 : self.c + 1] / self.count, total[self.c + 1 :] / self.count
        a, per_x = self.norm.gamma * self.inverse_std, self.inverse_std * dgamma
        self.row_a[...] = a
        self.row_b[...] = a * per_x
        self.row_c[...] = dbeta if self.centred else dbeta - per_x * self.mean

    def backward(self, do: Calls, slot: int, dy: Parts) -> Parts:
        do.call(self._backward, slot)
        return whole(self.g[slot])

    def _backward(self, slot: int) -> None:
        g = self.g[slot]
        np.subtract(g, self.row_c, out=g)
        np.multiply(g, self.row_a, out=g)
        np.multiply(self._near(slot), self.row_b, out=self.scratch)
        np.subtract(g, self.scratch, out=g)

    def collect(self, gradients: Mapping[str, FloatArray], *, add: bool) -> None:
        own = merge_sums(self.gradient_sums)
        name = self.nodes[0].name
        give(gradients[f"{name}.beta"], own[1 : self.c + 1].astype(np.float32), add=add)
        give(gradients[f"{name}.gamma"], own[self.c + 1 :].astype(np.float32), add=add)
        self.gradient_sums = []


class AffineKernel(Kernel):
    """batchnorm -> [ReLU] in inference, where it could not be folded: y = scale · x + shift for each channel."""

    pattern: ClassVar[str] = "batch normalisation by running statistics"

    @classmethod
    def match(cls, nodes: Sequence[Node], load: Load) -> int:
        if not isinstance(nodes[0].layer, BatchNorm) or load.training:
            return 0
        return 2 if len(nodes) > 1 and isinstance(nodes[1].layer, ReLU) else 1

    def __init__(self, nodes: Sequence[Node], load: Load) -> None:
        super().__init__(nodes, load)
        norm = nodes[0].layer
        assert isinstance(norm, BatchNorm)
        self.norm, self.relu = norm, len(nodes) == 2
        shape = buffer_shape(nodes[0].input_shape, load.images)
        self.x, self.zero = empty(*shape), zeros(*shape)
        width = shape[1] if len(shape) == 4 else 1
        self.row_a, self.row_b = (tiled(width, load.images, norm.num_features) for _ in range(2))
        if len(shape) == 2:
            self.row_a, self.row_b = self.row_a[0], self.row_b[0]

    def prepare(self, draws: Draws) -> None:
        self.row_a[...], self.row_b[...] = inference_affine(self.norm)

    def target(self, slot: int) -> Parts:
        return whole(self.x)

    def forward(self, do: Calls, slot: int, out: Parts) -> None:
        do.multiply(self.x, self.row_a, out=self.x)
        do.add(self.x, self.row_b, out=self.x)
        for part in out:
            if self.relu:
                do.maximum(part.of(self.x), part.of(self.zero), out=part.array)
            else:
                do.copy(part.of(self.x), out=part.array)

    def backward(self, do: Calls, slot: int, dy: Parts) -> Parts:
        raise AssertionError("only planned for inference")
