"""Adds up the BatchNorm sums of all shards, so that every shard gets the statistics of the whole batch.

Every worker runs the lines of this file, on a table that all of them share.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass

from cnncli.engine.kernels.batchnorm import BatchNormKernel, Sums, merge_sums, sums_size
from cnncli.nn.layers import BatchNorm
from cnncli.nn.network import Network


def reduced_sizes(network: Network) -> dict[int, int]:
    """Return how many numbers a shard publishes for each BatchNorm, by its position in the network."""
    return {i: sums_size(layer) for i, layer in enumerate(network.layers) if isinstance(layer, BatchNorm)}


class AllReduce:
    """The table in which shards publish their BatchNorm sums.

    The forward and the backward pass have separate rows: a shard that is ahead may publish its next sums while another
    still reads the last ones. The barrier of every all-reduce keeps it from getting further ahead than that.

    Args:
        table: (2, shards, numbers): forward and backward; each shard writes its own rows.
        sizes: how many numbers each layer publishes, by its position in the network.
    """

    def __init__(self, table: Sums, sizes: Mapping[int, int]) -> None:
        self.table = table
        self.slices: dict[int, slice] = {}
        start = 0
        for index, size in sizes.items():
            self.slices[index] = slice(start, start + size)
            start += size


@dataclass(frozen=True)
class Rank:
    """One shard's position among the shards of a batch.

    Attributes:
        all_reduce: the table that the shards share.
        shard: the number of this one; shard 0 updates the running statistics.
        shards: the number of shards of the batch.
    """

    all_reduce: AllReduce
    shard: int
    shards: int

    def add_up(self, norm: BatchNormKernel, own: Sums, *, backward: bool) -> Generator[None, None, Sums]:
        """Publish this shard's sums for one layer and return the sums of all shards, added in the order of the shards.

        Yields once, at the barrier where every shard has published its sums.
        """
        published = self.all_reduce.table[int(backward), :, self.all_reduce.slices[norm.nodes[0].index]]
        published[self.shard] = own
        yield
        return merge_sums(list(published[: self.shards]))
