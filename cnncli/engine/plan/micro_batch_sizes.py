"""Chooses how many images of a shard pass through each stage of the convolutional part at once."""

import math
from collections.abc import Sequence

from cnncli.engine.kernels.node import Node
from cnncli.nn.layers import BatchNorm, Conv2D

_MOST_IMAGES = 32  # of a micro-batch
_KERNEL_BYTES = 3_600_000  # bytes; the largest kernel of a micro-batch should need less


def micro_batch_sizes(stages: Sequence[Sequence[Node]], images: int) -> list[int]:
    """Return the number of images in a micro-batch of each stage of the convolutional part: up to 32.

    A micro-batch is as large as possible while its largest kernel fits in cache. A later stage takes a multiple of
    what the stage before it takes, so that no micro-batch has to be cut.

    Args:
        stages: the nodes of each stage.
        images: of the shard.
    """
    if not stages:
        return []
    limits = [max(1, min(_MOST_IMAGES, images, _KERNEL_BYTES // _bytes_per_image(nodes))) for nodes in stages]
    for i in range(len(limits) - 1, 0, -1):
        limits[i - 1] = min(limits[i - 1], limits[i])
    first = limits[0]
    if images > first:  # prefer a size that divides the shard: it needs no second set of kernels for the rest
        first = max(range(max(1, first // 2), first + 1), key=lambda n: (images % n == 0, n))
    sizes = [first]
    for limit in limits[1:]:
        slots = images // sizes[-1]
        times = max(
            k for k in range(1, slots + 1) if slots % k == 0 and k * sizes[-1] <= max(limit, sizes[-1])
        )
        sizes.append(times * sizes[-1])
    return sizes


def _bytes_per_image(nodes: Sequence[Node]) -> int:
    """Return how many bytes the largest kernel of these layers works on for one image."""
    largest = 1
    for node in nodes:
        inputs, outputs = math.prod(node.input_shape), math.prod(node.output_shape)
        if isinstance(node.layer, Conv2D):  # the tiles of F(2x2, 3x3) are four times its input and its output
            largest = max(largest, 4 * (inputs + outputs))
        elif isinstance(node.layer, BatchNorm):  # measured: as much as a convolution of the same shape
            largest = max(largest, 8 * inputs)
    return 4 * largest
