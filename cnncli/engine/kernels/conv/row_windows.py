"""The input of a convolution with its windows laid out along the rows only: im2col in one direction.

Axis letters: N micro-batch, C channels in, F filters, H W image, KH KW kernel, SH SW stride, OH OW output.
"""

from cnncli.engine.kernels.arrays import empty, zeros
from cnncli.engine.kernels.conv.conv_kernel import ConvSizes
from cnncli.engine.kernels.kernel import Workload, of_slot
from cnncli.engine.kernels.layout import Layout, single_block
from cnncli.engine.kernels.tape import Tape
from cnncli.types import FloatArray


class RowWindows:
    """The padded input, and for each of its rows the KW pixels that every window reads there.

    Kernel row i reads the padded rows i, i + SH, .. So that these are one block, row r lies at [r // SH, r % SH].

    Args:
        sizes: of the convolution.
        workload: how much is kept.
    """

    def __init__(self, sizes: ConvSizes, workload: Workload) -> None:
        s = self.sizes = sizes
        self.depth = -(-s.padded_h // s.sh)
        self.x = zeros(workload.input_slots, self.depth, s.sh, s.padded_w, s.n, s.c)
        rows = self.x.reshape(len(self.x), self.depth * s.sh, s.padded_w, s.n, s.c)
        self._images = rows[:, s.top : s.top + s.h, s.left : s.left + s.w]
        self._needs_copies = s.kw > 1 or s.sw > 1 or s.sh > 1 or s.padded_w != s.ow
        # With one slot the windows of the forward pass are still there in the backward pass; scratch memory is not.
        self._keeps = workload.slots == 1
        self._recorded = -1  # the slot whose windows are kept
        if self._needs_copies:
            shape = (s.sh, self.depth, s.ow, s.n, s.kw, s.c)
            self._windows = empty(*shape) if self._keeps else workload.scratch.empty(*shape)

    def input_layout(self, slot: int) -> Layout:
        """Return the image (H, W, N, C) inside the padded input of a slot."""
        return single_block(of_slot(self._images, slot))

    def columns(self, j: int) -> slice:
        """Return the padded columns that kernel column j reads."""
        return slice(j, j + self.sizes.sw * (self.sizes.ow - 1) + 1, self.sizes.sw)

    def record(self, tape: Tape, slot: int, *, new_input: bool = False) -> FloatArray:
        """Record laying out a slot's windows, unless they are kept.

        Returns:
            where they will be, (SH, depth, OW·N, KW·C).
        """
        s = self.sizes
        x = of_slot(self.x, slot).swapaxes(0, 1)  # (SH, depth, W, N, C)
        if not self._needs_copies:
            return x.reshape(1, self.depth, -1, s.c)
        if new_input or slot != self._recorded:
            for j in range(s.kw):
                tape.copy(x[:, :, self.columns(j)], out=self._windows[..., j, :])
        self._recorded = slot if self._keeps else -1
        return self._windows.reshape(s.sh, self.depth, -1, s.kw * s.c)

    def of_kernel_row(self, windows: FloatArray, i: int) -> FloatArray:
        """Return what kernel row i reads of the windows: (OH·OW·N, KW·C)."""
        first, phase = divmod(i, self.sizes.sh)
        rows: FloatArray = windows[phase, first : first + self.sizes.oh]
        return rows.reshape(-1, self.sizes.kw * self.sizes.c)
