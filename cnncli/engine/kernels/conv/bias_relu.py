"""What follows a convolution's products: the bias, a ReLU if one is covered, and the way to the next kernel.

Axis letters: N micro-batch, F filters, OH OW output.
"""

from collections.abc import Callable

from cnncli.engine.kernels.kernel import Workload
from cnncli.engine.kernels.layout import Layout, record_copy, record_masked_copy
from cnncli.engine.kernels.node import Node
from cnncli.engine.kernels.tape import Tape
from cnncli.engine.kernels.workspace import ChannelRow, empty_mask, shared_zeros
from cnncli.types import FloatArray


class BiasReLU:
    """y + bias, and ReLU of that; without a ReLU, the products can go straight to where the next kernel reads.

    Args:
        node: the convolution.
        workload: how much is kept.
        relu: whether a ReLU is covered too.
        layout: how the products lie in a flat array (OH·OW·N·F,).
    """

    def __init__(
        self, node: Node, workload: Workload, *, relu: bool, layout: Callable[[FloatArray], Layout]
    ) -> None:
        f, oh, ow = node.output_shape
        pixels = oh * ow * workload.images
        self.relu, self.has_bias, self.training, self.layout = (
            relu,
            node.has_bias(),
            workload.training,
            layout,
        )
        self.y = workload.workspace(pixels * f)
        self.bias = ChannelRow(pixels, f)
        self.zero = shared_zeros(self.y.size)
        if workload.training:
            self.positive = empty_mask(workload.slots, self.y.size)
            self.g = workload.workspace(self.y.size)

    def destination(self, out: Layout) -> FloatArray:
        """Return where the products are to be written, (OH·OW·N·F,)."""
        return self.y if self.relu else self._direct(out)

    def _direct(self, parts: Layout) -> FloatArray:
        """Return the neighbour's array, if it lies like one of ours, or our own."""
        block, own = parts[0].block, self.layout(self.y)[0]
        alike = parts[0].step == own.step and parts[0].array.strides == own.array.strides
        return block if block is not None and alike else self.y

    def prepare(self, bias: FloatArray) -> None:
        """Take this step's bias (F,)."""
        self.bias.set(bias)

    def record_forward(self, tape: Tape, slot: int, y: FloatArray, out: Layout) -> None:
        """Write what is in `y`, from `destination`, to out, with bias and ReLU."""
        if self.has_bias:
            tape.add(self.bias.across(y), self.bias.row, out=self.bias.across(y))
        if y is not self.y:
            return
        if self.relu and self.training:
            tape.greater(y, self.zero, out=self.positive[slot])
        record_copy(tape, self.layout(y), out, relu=self.relu)

    def record_backward(self, tape: Tape, slot: int, dy: Layout, g: Layout) -> None:
        """Write dy, without what the ReLU stopped, to g."""
        if self.relu:
            tape.copy(self.positive[slot], out=self.g)
        record_masked_copy(tape, dy, g, self.layout(self.g) if self.relu else None)

    def gradient(self, tape: Tape, slot: int, dy: Layout) -> FloatArray:
        """Return dy, without what the ReLU stopped, as a flat array like the products; dy's own where that is one."""
        direct = self.y if self.relu else self._direct(dy)
        if direct is not self.y:
            return direct
        self.record_backward(tape, slot, dy, self.layout(self.g))
        return self.g
