"""The ReLU that ends a kernel: it is computed while the result is copied to the next kernel.

forward   y = max(x, 0)
backward  dx = dy · (x > 0)
"""

from collections.abc import Callable

from cnncli.engine.kernels.arrays import empty_mask, shared_zeros
from cnncli.engine.kernels.kernel import Workload
from cnncli.engine.kernels.layout import Layout, record_copy, record_masked_copy
from cnncli.engine.kernels.tape import Tape
from cnncli.types import FloatArray, Shape


class FusedReLU:
    """The ReLU that follows a kernel's own work, or a plain copy where the kernel covers no ReLU.

    Args:
        workload: how many slots are kept.
        shape: of one slot of x, in as few axes as it has without gaps.
        relu: whether there is a ReLU.
        layout: where the columns of the image lie in an array of that shape.
    """

    def __init__(
        self, workload: Workload, shape: Shape, *, relu: bool, layout: Callable[[FloatArray], Layout]
    ) -> None:
        self.relu, self.layout = relu, layout
        self.positive = empty_mask(workload.slots, *shape) if relu and workload.training else None

    def record_forward(self, tape: Tape, slot: int, x: FloatArray, out: Layout) -> None:
        """Record out = max(x, 0), and keep x > 0 for backward."""
        if self.positive is not None:
            tape.greater(x, shared_zeros(*x.shape), out=self.positive[slot])
        record_copy(tape, self.layout(x), out, relu=self.relu)

    def record_backward(self, tape: Tape, slot: int, dy: Layout, out: Layout, factor: FloatArray) -> None:
        """Record out = dy · (x > 0).

        Args:
            tape: takes the calls.
            slot: of the micro-batch.
            dy: the gradient.
            out: where it goes.
            factor: scratch array of x's shape for x > 0 as numbers; may be the memory of `out`.
        """
        if self.positive is not None:
            tape.copy(self.positive[slot], out=factor)
        record_masked_copy(tape, dy, out, None if self.positive is None else self.layout(factor))
