"""Adds up the BatchNorm sums of all shards, so that every shard gets the statistics of the whole batch.

The caller lays out the table before it starts the workers. Every worker calls `add_up` for its own shards.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from cnncli.engine.kernels.batchnorm import BatchNormKernel, Sums, merge_sums, sums_size
from cnncli.nn.layers import BatchNorm
from cnncli.nn.network import Network

Barrier = Sums | Literal["gradients"] | None
"""What the shards have published when they reach a barrier: BatchNorm sums (S, numbers), their gradients, or nothing
that another process of an MPI program needs."""


def reduced_sizes(network: Network) -> dict[int, int]:
    """Return how many numbers a shard publishes for each BatchNorm, by its position in `Network.walk`."""
    layers = (placed.layer for placed in network.walk())
    return {i: sums_size(layer) for i, layer in enumerate(layers) if isinstance(layer, BatchNorm)}


class BatchNormSums:
    """The table in which shards publish their BatchNorm sums.

    A shard may publish its next sums while another still reads the last ones. Two rows are enough, one for the forward
    and one for the backward pass: a shard can be at most one all-reduce ahead.

    Args:
        table: (2, shards, numbers): forward and backward; each shard writes its own rows.
        sizes: how many numbers each layer publishes, by its position in the network.
    """

    def __init__(self, table: Sums, sizes: Mapping[int, int]) -> None:
        self.table = table
        stops = accumulate(sizes.values())
        self.slices = {
            i: slice(stop - size, stop) for (i, size), stop in zip(sizes.items(), stops, strict=True)
        }


@dataclass(frozen=True)
class SumExchange:
    """Exchanges one shard's sums with those of all other shards of the batch: an all-reduce.

    Attributes:
        sums: the table that the shards share.
        shard: the number of this shard; shard 0 updates the running statistics.
        shards: the number of shards of the batch.
    """

    sums: BatchNormSums
    shard: int
    shards: int

    def add_up(self, norm: BatchNormKernel, own: Sums, *, backward: bool) -> Generator[Barrier, None, Sums]:
        """Publish this shard's sums for one layer and return the sums of all shards, added in the order of the shards.

        Yields once, at the barrier where every shard has published its sums: the rows (S, numbers) of all shards.
        """
        published = self.sums.table[int(backward), :, self.sums.slices[norm.nodes[0].index]]
        published[self.shard] = own
        yield published
        return merge_sums(list(published[: self.shards]))
