"""What follows a convolution's products: the bias, a ReLU if one is covered, and the way to the next kernel.

Axis letters: N micro-batch, F filters, OH OW output.
"""

from cnncli.engine.calls import Calls
from cnncli.engine.images import Parts, one_block
from cnncli.engine.kernels.base import Load, empty, flags, tiled, zeros
from cnncli.engine.nodes import Node
from cnncli.types import FloatArray


class BiasReLU:
    """y + bias, and ReLU of that; without a ReLU, the products can go straight to where the next kernel reads.

    Args:
        node: the convolution.
        load: how much is kept.
        relu: whether a ReLU is covered too.
    """

    def __init__(self, node: Node, load: Load, *, relu: bool) -> None:
        f, oh, ow = node.output_shape
        n = load.images
        self.relu, self.has_bias, self.training = relu, node.has_bias(), load.training
        self.y = empty(oh, ow, n, f)
        self.bias_row = tiled(ow, n, f)
        self.zero = zeros(oh, ow, n, f)
        if load.training:
            self.positive = flags(load.slots, oh, ow, n, f)
            self.mask = empty(oh, ow, n, f)

    def destination(self, out: Parts) -> FloatArray:
        """Return where the products are to be written, (OH, OW, N, F)."""
        direct = None if self.relu else one_block(out)
        return self.y if direct is None else direct

    def prepare(self, bias: FloatArray) -> None:
        """Take this step's bias (F,)."""
        self.bias_row[...] = bias

    def forward(self, do: Calls, slot: int, y: FloatArray, out: Parts) -> None:
        """Write what is in `y`, from `destination`, to out, with bias and ReLU."""
        if self.has_bias:
            do.add(y, self.bias_row, out=y)
        if y is not self.y:
            return
        if self.relu and self.training:
            do.greater(y, self.zero, out=self.positive[slot])
        for part in out:
            if self.relu:
                do.maximum(part.of(y), part.of(self.zero), out=part.array)
            else:
                do.copy(part.of(y), out=part.array)

    def backward(self, do: Calls, slot: int, dy: Parts, g: FloatArray) -> None:
        """Write dy, without what the ReLU stopped, to g (OH, OW, N, F)."""
        if self.relu:
            do.copy(self.positive[slot], out=self.mask)
        for part in dy:
            if self.relu:
                do.multiply(part.array, part.of(self.mask), out=part.of(g))
            else:
                do.copy(part.array, out=part.of(g))
