"""What follows the products of a convolution: the bias, a ReLU if there is one, and the copy to the next kernel.

Axis letters: N micro-batch, F filters, OH OW output.
"""

from collections.abc import Callable

from cnncli.engine.kernels.arrays import ChannelRow
from cnncli.engine.kernels.fused_relu import FusedReLU
from cnncli.engine.kernels.kernel import Workload
from cnncli.engine.kernels.layout import Layout
from cnncli.engine.kernels.node import Node
from cnncli.engine.kernels.tape import Tape
from cnncli.types import FloatArray


class BiasReLU:
    """y + bias, then the ReLU. Without a ReLU the products can be written to the next kernel's input directly.

    Args:
        node: the convolution.
        workload: how much is kept.
        relu: whether the kernel covers a ReLU.
        layout: how the products lie in a flat array (OH·OW·N·F,).
    """

    def __init__(
        self, node: Node, workload: Workload, *, relu: bool, layout: Callable[[FloatArray], Layout]
    ) -> None:
        f, oh, ow = node.output_shape
        pixels = oh * ow * workload.images
        self.has_bias, self.layout = node.has_bias(), layout
        self.y = workload.scratch.empty(pixels * f)
        self.bias = ChannelRow(pixels, f)
        self.relu = FusedReLU(workload, self.y.shape, relu=relu, layout=layout)
        if workload.training:
            self.dy = workload.scratch.empty(self.y.size)

    def products_out(self, out: Layout) -> FloatArray:
        """Return where the products go, (OH·OW·N·F,): to `out` if it has our layout and no ReLU is needed."""
        own, first = self.layout(self.y)[0], out[0]
        same = first.step == own.step and first.array.strides == own.array.strides
        return first.block if first.block is not None and same and not self.relu.relu else self.y

    def record_forward(self, tape: Tape, slot: int, y: FloatArray, out: Layout) -> None:
        """Record out = y + bias, through the ReLU; y is what `products_out` returned."""
        if self.has_bias:
            self.bias.record_add(tape, y)
        if y is self.y:
            self.relu.record_forward(tape, slot, y, out)

    def record_backward(self, tape: Tape, slot: int, dy: Layout, out: Layout) -> None:
        """Record out = dy through the ReLU."""
        self.relu.record_backward(tape, slot, dy, out, factor=self.dy)

    def record_gradient(self, tape: Tape, slot: int, dy: Layout) -> FloatArray:
        """Record dy through the ReLU and return where it will be, (OH·OW·N·F,): dy's own array where that will do."""
        direct = self.products_out(dy)
        if direct is not self.y:
            return direct
        self.record_backward(tape, slot, dy, self.layout(self.dy))
        return self.dy
