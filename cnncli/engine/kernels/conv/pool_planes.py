"""2x2 max-pooling of what a kernel has computed as four planes, one for each position in the window.

Axis letters: N micro-batch, F filters, H W pooled image.
"""

from collections.abc import Callable, Sequence

from cnncli.engine.kernels.base import Load, flags, hand_on, nought, take_back
from cnncli.engine.kernels.layout import Parts
from cnncli.engine.kernels.node import Node
from cnncli.engine.kernels.tape import Calls
from cnncli.nn.layers import MaxPool2D, ReLU
from cnncli.types import FloatArray, Shape


def covers_pool(nodes: Sequence[Node]) -> int:
    """Return how many nodes `conv [relu] maxpool(2x2, stride 2, no padding)` covers, or 0."""
    for count in (2, 3):
        if len(nodes) < count:
            break
        last = nodes[count - 1].layer
        if (
            isinstance(last, MaxPool2D)
            and pools_by_two(last)
            and (count == 2 or isinstance(nodes[1].layer, ReLU))
        ):
            return count
    return 0


def pools_by_two(layer: MaxPool2D) -> bool:
    """Return whether a pool has 2x2 windows at stride 2 and no padding."""
    return layer.pool_size == (2, 2) and layer.stride == (2, 2) and layer.padding == (0, 0)


class PoolPlanes:
    """2x2 max-pooling of four planes, one for each position in the window, with the ReLU behind it.

    The winner is the first maximum in row-major order: a later plane wins only where it is strictly greater.

    Args:
        load: how many slots are kept.
        shape: of a plane, in as few axes as it has without gaps.
        relu: whether a ReLU belongs to the step.
        layout: how the columns of an image lie in a plane.
    """

    def __init__(
        self, load: Load, shape: Shape, *, relu: bool, layout: Callable[[FloatArray], Parts]
    ) -> None:
        self.training, self.relu, self.layout = load.training, relu, layout
        self.h = load.scratch(2, *shape)
        self.zero = nought(*shape)
        if self.training:
            self.right = flags(load.slots, *shape)  # the winner is in the right column
            self.below = flags(load.slots, *shape)  # the winner is in the lower row
            self.positive = flags(load.slots, *shape)
            self.right_in_row = load.scratch.flags(2, *shape)
            self.mask, self.part, self.g = (load.scratch(*shape) for _ in range(3))

    def forward(self, do: Calls, slot: int, planes: FloatArray, y: FloatArray) -> None:
        """Write the maximum of planes (2, 2, ..) to y."""
        h = self.h
        do.maximum(planes[:, 0], planes[:, 1], out=h)
        if self.training:
            below, (upper, lower) = self.below[slot], self.right_in_row
            do.greater(planes[:, 1], planes[:, 0], out=self.right_in_row)
            do.greater(h[1], h[0], out=below)
            # right = lower if below else upper, in operations on bytes
            do.either(upper, lower, out=lower)
            do.both(lower, below, out=lower)
            do.either(upper, lower, out=self.right[slot])
        do.maximum(h[0], h[1], out=y)

    def activate(self, do: Calls, slot: int, y: FloatArray, out: Parts) -> None:
        """Write ReLU(y), or y, to `out`."""
        if self.relu and self.training:
            do.greater(y, self.zero, out=self.positive[slot])
        hand_on(do, self.layout(y), out, relu=self.relu)

    def activate_backward(self, do: Calls, slot: int, dy: Parts) -> FloatArray:
        """Keep dy · (y > 0), or dy, for `backward`, and return it."""
        if self.relu:
            do.copy(self.positive[slot], out=self.g)
        g = self.layout(self.g)
        take_back(do, dy, g, g if self.relu else None)  # the mask lies where the product goes
        return self.g

    def backward(self, do: Calls, slot: int, planes: FloatArray) -> None:
        """Send the gradient to the winners' places in planes (2, 2, ..), and zero elsewhere."""
        mask, right, left = self.mask, self.part, self.g
        do.copy(self.right[slot], out=mask)
        do.multiply(self.g, mask, out=right)
        do.subtract(self.g, right, out=left)
        do.copy(self.below[slot], out=mask)
        for column, half in ((0, left), (1, right)):
            do.multiply(half, mask, out=planes[1, column])
            do.subtract(half, planes[1, column], out=planes[0, column])
