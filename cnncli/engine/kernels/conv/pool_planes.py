"""2x2 max-pooling of what a kernel has computed as four planes, one for each position in the window.

Axis letters: N micro-batch, F filters, H W pooled image.
"""

from collections.abc import Callable, Sequence

from cnncli.engine.kernels.kernel import Workload
from cnncli.engine.kernels.layout import Layout, record_copy, record_masked_copy
from cnncli.engine.kernels.node import Node
from cnncli.engine.kernels.tape import Tape
from cnncli.engine.kernels.workspace import empty_mask, shared_zeros
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
        workload: how many slots are kept.
        shape: of a plane, in as few axes as it has without gaps.
        relu: whether a ReLU belongs to the step.
        layout: how the columns of an image lie in a plane.
    """

    def __init__(
        self, workload: Workload, shape: Shape, *, relu: bool, layout: Callable[[FloatArray], Layout]
    ) -> None:
        self.training, self.relu, self.layout = workload.training, relu, layout
        self.h = workload.workspace(2, *shape)
        self.zero = shared_zeros(*shape)
        if self.training:
            self.right = empty_mask(workload.slots, *shape)  # the winner is in the right column
            self.below = empty_mask(workload.slots, *shape)  # the winner is in the lower row
            self.positive = empty_mask(workload.slots, *shape)
            self.right_in_row = workload.workspace.mask(2, *shape)
            self.mask, self.part, self.g = (workload.workspace(*shape) for _ in range(3))

    def record_forward(self, tape: Tape, slot: int, planes: FloatArray, y: FloatArray) -> None:
        """Write the maximum of planes (2, 2, ..) to y."""
        h = self.h
        tape.maximum(planes[:, 0], planes[:, 1], out=h)
        if self.training:
            below, (upper, lower) = self.below[slot], self.right_in_row
            tape.greater(planes[:, 1], planes[:, 0], out=self.right_in_row)
            tape.greater(h[1], h[0], out=below)
            # right = lower if below else upper, in operations on bytes
            tape.logical_xor(upper, lower, out=lower)
            tape.logical_and(lower, below, out=lower)
            tape.logical_xor(upper, lower, out=self.right[slot])
        tape.maximum(h[0], h[1], out=y)

    def activate(self, tape: Tape, slot: int, y: FloatArray, out: Layout) -> None:
        """Write ReLU(y), or y, to `out`."""
        if self.relu and self.training:
            tape.greater(y, self.zero, out=self.positive[slot])
        record_copy(tape, self.layout(y), out, relu=self.relu)

    def activate_backward(self, tape: Tape, slot: int, dy: Layout) -> FloatArray:
        """Keep dy · (y > 0), or dy, for `backward`, and return it."""
        if self.relu:
            tape.copy(self.positive[slot], out=self.g)
        g = self.layout(self.g)
        record_masked_copy(tape, dy, g, g if self.relu else None)  # the mask lies where the product goes
        return self.g

    def record_backward(self, tape: Tape, slot: int, planes: FloatArray) -> None:
        """Send the gradient to the winners' places in planes (2, 2, ..), and zero elsewhere."""
        mask, right, left = self.mask, self.part, self.g
        tape.copy(self.right[slot], out=mask)
        tape.multiply(self.g, mask, out=right)
        tape.subtract(self.g, right, out=left)
        tape.copy(self.below[slot], out=mask)
        for column, half in ((0, left), (1, right)):
            tape.multiply(half, mask, out=planes[1, column])
            tape.subtract(half, planes[1, column], out=planes[0, column])
