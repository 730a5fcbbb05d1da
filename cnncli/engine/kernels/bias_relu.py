"""What follows a convolution's products: the bias, a ReLU if one is covered, and the way to the next kernel.

Axis letters: N micro-batch, F filters, OH OW output.
"""

import numpy as np

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

    def forward(self, slot: int, y: FloatArray, bias: FloatArray, out: Parts) -> None:
        """Write what is in `y`, from `destination`, to out, with bias (F,) and ReLU."""
        if self.has_bias:
            self.bias_row[...] = bias
            np.add(y, self.bias_row, out=y)
        if y is not self.y:
            return
        if self.relu and self.training:
            np.greater(y, self.zero, out=self.positive[slot])
        for part in out:
            if self.relu:
                np.maximum(part.of(y), part.of(self.zero), out=part.array)
            else:
                part.array[...] = part.of(y)

    def backward(self, slot: int, dy: Parts, g: FloatArray) -> None:
        """Write dy, without what the ReLU stopped, to g (OH, OW, N, F)."""
        if self.relu:
            np.copyto(self.mask, self.positive[slot])
        for part in dy:
            if self.relu:
                np.multiply(part.array, part.of(self.mask), out=part.of(g))
            else:
                part.of(g)[...] = part.array
