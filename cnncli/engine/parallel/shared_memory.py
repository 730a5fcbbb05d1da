"""The arrays that the caller and all workers share, and who writes each of them when.

The caller allocates them before it starts the workers. Only `all_finite` runs in every worker.

Axis letters: N images of the batch, C H W image, K classes, S shards, P parameters.
"""

import math
import mmap
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from cnncli.engine.parallel.serving import Memory
from cnncli.engine.plan.batchnorm_sums import BatchNormSums, reduced_sizes
from cnncli.nn.aligned import aligned_zeros
from cnncli.nn.network import Network
from cnncli.types import FloatArray


class AnonymousMemory:
    """Allocates arrays that forked processes share: anonymous memory, which the system frees with the last process."""

    def empty(self, *shape: int, dtype: Any = np.float32) -> npt.NDArray[Any]:
        """Return a zeroed shared array; pages that nothing is written to take no memory."""
        size = math.prod(shape)
        pages = mmap.mmap(-1, max(size * np.dtype(dtype).itemsize, 1))
        return np.frombuffer(pages, dtype, size).reshape(shape)


class PrivateMemory:
    """Allocates arrays of this process alone, which its threads share."""

    def empty(self, *shape: int, dtype: Any = np.float32) -> npt.NDArray[Any]:
        """Return a zeroed array."""
        return aligned_zeros(shape, dtype)


@dataclass(frozen=True)
class SharedArrays:
    """The arrays of an executor that caller and workers share.

    The network's and the optimizer's arrays are in the same memory. All shards read the parameters in their forward and
    backward pass. After the barrier that follows, every shard updates its own slice of the summed gradients, the
    optimizer's state and the parameters. Shard 0 writes BatchNorm's running statistics in its forward pass.

    Attributes:
        x: (N, C, H, W), the images. The caller writes them before the task, except in `train_batch`, where every
            shard writes its own rows first.
        labels: (N,), written together with x.
        targets: (N, K), written together with x if the batch has targets.
        logits: (N, K). Every shard writes its own rows at the end of an inference task; the caller reads them after it.
        shard_gradients: (S, P). Every shard writes its own row after its backward pass. After the barrier that
            follows, every shard reads its slice of all rows.
        losses: (S,), each shard's part of the mean loss. Every shard writes its own number before that barrier; all
            shards and the caller read all of them after it.
        correct: (S,), the correct predictions of each shard, likewise.
        squared_norms: (S,), the squared L2 norm of each row of `shard_gradients`, likewise.
        squared_slice_norms: (S,), the squared L2 norm of each shard's slice of the summed gradients. Written only to
            clip gradients, between that barrier and a second one.
        batchnorm_sums: the sums of BatchNorm layers; see its class.
    """

    x: FloatArray
    labels: npt.NDArray[np.int64]
    targets: FloatArray
    logits: FloatArray
    shard_gradients: FloatArray
    losses: npt.NDArray[np.float64]
    correct: npt.NDArray[np.float64]
    squared_norms: npt.NDArray[np.float64]
    squared_slice_norms: npt.NDArray[np.float64]
    batchnorm_sums: BatchNormSums

    @classmethod
    def allocate(cls, memory: Memory, network: Network, images: int, shards: int) -> Self:
        """Return the arrays for batches of up to `images` images."""
        sizes = reduced_sizes(network)
        table = memory.empty(2, shards, max(1, sum(sizes.values())), dtype=np.float64)
        losses, correct, squared_norms, squared_slice_norms = memory.empty(4, shards, dtype=np.float64)
        return cls(
            x=memory.empty(images, *network.input_shape),
            labels=memory.empty(images, dtype=np.int64),
            targets=memory.empty(images, *network.output_shape),
            logits=memory.empty(images, *network.output_shape),
            shard_gradients=memory.empty(shards, network.parameters.size),
            losses=losses,
            correct=correct,
            squared_norms=squared_norms,
            squared_slice_norms=squared_slice_norms,
            batchnorm_sums=BatchNormSums(table, sizes),
        )

    def all_finite(self, active: int) -> bool:
        """Return whether the loss and the gradients of the active shards are finite.

        Args:
            active: the number of shards of this batch.
        """
        sums = self.losses[:active].sum(), self.squared_norms[:active].sum()
        return bool(np.isfinite(sums).all())


def move_network(network: Network, memory: Memory) -> None:
    """Move a network's parameters, gradients and buffers into this memory."""
    parameters = network.parameters
    parameters.move_to(memory.empty(parameters.size), memory.empty(parameters.size))
    for name, layer, *_ in network.walk():
        for key, buffer in ({} if layer.parts else layer.buffers).items():
            moved = memory.empty(*buffer.shape)
            moved[...] = buffer
            layer.buffers[key] = network.buffers[f"{name}.{key}"] = moved
