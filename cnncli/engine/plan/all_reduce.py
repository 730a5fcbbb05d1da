"""Where the shards of a batch leave their BatchNorm sums for each other, and the place of each one there."""

from collections.abc import Mapping
from dataclasses import dataclass

from cnncli.engine.kernels.batchnorm import BatchNormKernel, Sums


class AllReduce:
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
class Rank:
    """A shard's place among the shards of a batch.

    Attributes:
        meeting: where they leave their sums.
        shard: the number of this one; shard 0 keeps the running statistics.
        shards: how many the batch is cut into.
    """

    meeting: AllReduce
    shard: int
    shards: int
