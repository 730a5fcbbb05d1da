"""How many images of a shard go through the convolutional part at once, stage by stage."""

import math
from collections.abc import Sequence

from cnncli.engine.kernels.node import Node
from cnncli.nn.layers import BatchNorm, Conv2D

_MOST_IMAGES = 32  # of a micro-batch
_WORKSPACE = 3_600_000  # bytes that a micro-batch's largest kernel should stay below


def micro_batches(stages: Sequence[Sequence[Node]], images: int) -> list[int]:
    """Return how many images to take at once through each stage of the convolutional part: up to 32.

    As many as leave its largest kernel room in cache; a later stage takes a multiple of what the one before it takes,
    so that no micro-batch has to be cut.
    """
    if not stages:
        return []
    limits = [max(1, min(_MOST_IMAGES, images, _WORKSPACE // _bytes_an_image(nodes))) for nodes in stages]
    for i in range(len(limits) - 1, 0, -1):
        limits[i - 1] = min(limits[i - 1], limits[i])
    first = limits[0]
    if images > first:  # sizes that leave no rest, or a larger one, spare the second lane
        first = max(range(max(1, first // 2), first + 1), key=lambda n: (images % n == 0, n))
    sizes = [first]
    for limit in limits[1:]:
        slots = images // sizes[-1]
        times = max(
            k for k in range(1, slots + 1) if slots % k == 0 and k * sizes[-1] <= max(limit, sizes[-1])
        )
        sizes.append(times * sizes[-1])
    return sizes


def _bytes_an_image(nodes: Sequence[Node]) -> int:
    """Return what the largest kernel of some layers works on, for one image."""
    largest = 1
    for node in nodes:
        given, made = math.prod(node.input_shape), math.prod(node.output_shape)
        if isinstance(node.layer, Conv2D):  # the tiles of F(2x2, 3x3) are four times its input and its output
            largest = max(largest, 4 * (given + made))
        elif isinstance(node.layer, BatchNorm):  # as much as a convolution that changes nothing: measured
            largest = max(largest, 8 * given)
    return 4 * largest
