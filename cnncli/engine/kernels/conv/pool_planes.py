"""2x2 max-pooling of what a kernel has computed as four planes, one for each position in the window.

A plane holds one of the four pixels of every window, so the maximum of a window is the maximum of four arrays.
"""

from collections.abc import Callable, Sequence

from cnncli.engine.kernels.arrays import empty_mask
from cnncli.engine.kernels.fused_relu import FusedReLU
from cnncli.engine.kernels.kernel import Workload
from cnncli.engine.kernels.layout import Layout
from cnncli.engine.kernels.node import Node, count_with_relu
from cnncli.engine.kernels.tape import Tape
from cnncli.nn.layers import MaxPool2D
from cnncli.nn.layers.windows import NO_PADS
from cnncli.types import FloatArray, Shape


def covers_pool(nodes: Sequence[Node]) -> int:
    """Return how many nodes `conv -> [ReLU] -> max-pool (2x2, stride 2, no padding)` covers, or 0."""
    count = count_with_relu(nodes)
    return count + 1 if len(nodes) > count and is_two_by_two(nodes[count]) else 0


def is_two_by_two(node: Node) -> bool:
    """Return whether a layer is a max-pool of 2x2 windows at stride 2 without padding."""
    layer = node.layer
    return (
        isinstance(layer, MaxPool2D)
        and layer.pool_size == layer.stride == (2, 2)
        and layer.pads(node.input_shape) == NO_PADS
    )


class PoolPlanes:
    """2x2 max-pooling of four planes, and the ReLU that follows it.

    The winner is the first maximum in row-major order: a later plane wins only where it is strictly greater.

    Args:
        workload: how many slots are kept.
        shape: of a plane, in as few axes as it has without gaps.
        relu: whether the kernel covers a ReLU.
        layout: how the columns of the pooled image lie in a plane.
    """

    def __init__(
        self, workload: Workload, shape: Shape, *, relu: bool, layout: Callable[[FloatArray], Layout]
    ) -> None:
        self.training, self.layout = workload.training, layout
        self.larger = workload.scratch.empty(2, *shape)  # of the upper and the lower row of each window
        self.relu = FusedReLU(workload, shape, relu=relu, layout=layout)
        if self.training:
            self.right = empty_mask(workload.slots, *shape)  # the winner is in the right column
            self.below = empty_mask(workload.slots, *shape)  # the winner is in the lower row
            self.right_in_row = workload.scratch.empty_mask(2, *shape)
            self.mask, self.dright, self.dy = (workload.scratch.empty(*shape) for _ in range(3))

    def record_forward(self, tape: Tape, slot: int, planes: FloatArray, y: FloatArray) -> None:
        """Record y = the maximum of planes (2, 2, ..), row and column in the window first."""
        larger = self.larger
        tape.maximum(planes[:, 0], planes[:, 1], out=larger)
        if self.training:
            below, (upper, lower) = self.below[slot], self.right_in_row
            tape.greater(planes[:, 1], planes[:, 0], out=self.right_in_row)
            tape.greater(larger[1], larger[0], out=below)
            # right = lower if below else upper, as three operations on bytes
            tape.logical_xor(upper, lower, out=lower)
            tape.logical_and(lower, below, out=lower)
            tape.logical_xor(upper, lower, out=self.right[slot])
        tape.maximum(larger[0], larger[1], out=y)

    def record_output(self, tape: Tape, slot: int, y: FloatArray, out: Layout) -> None:
        """Record out = ReLU(y), or y."""
        self.relu.record_forward(tape, slot, y, out)

    def record_output_backward(self, tape: Tape, slot: int, dy: Layout) -> FloatArray:
        """Record dy through the ReLU and return where it will be; `record_backward` reads it there."""
        self.relu.record_backward(tape, slot, dy, self.layout(self.dy), factor=self.dy)
        return self.dy

    def record_backward(self, tape: Tape, slot: int, planes: FloatArray) -> None:
        """Record planes (2, 2, ..) = dy at the winner of each window, zero at the other three."""
        dright, dleft = self.dright, self.dy
        tape.copy(self.right[slot], out=self.mask)
        tape.multiply(self.dy, self.mask, out=dright)
        tape.subtract(self.dy, dright, out=dleft)
        tape.copy(self.below[slot], out=self.mask)
        for column, gradient in ((0, dleft), (1, dright)):
            tape.multiply(gradient, self.mask, out=planes[1, column])
            tape.subtract(gradient, planes[1, column], out=planes[0, column])
