"""The two backward passes of `ConvRows`: dx and dw by gathering or by scattering.

**Gathering** lays dy out as the forward pass lays out the input. Padded input row r = p + SH·t is read by kernel row
i = p + SH·a of output row t - a; columns likewise. So for each phase (p, q), the remainders of rows and columns modulo
the stride, dx is a convolution of dy at stride 1 with every SH-th row and SW-th column of the flipped kernel:

    dx[p + SH·t, q + SW·u] = sum over a, b of  dy[t - a, u - b] @ w[p + SH·a, q + SW·b]ᵀ

The same rows of dy, multiplied by the input's rows instead of the kernel's, give dw.

**Scattering** adds the product of each kernel row to the rows, and each tap to the columns, that it came from. It is
faster where there are fewer windows than pixels: gathering would mostly multiply the zeros around dy.

Axis letters: N micro-batch, C channels in, F filters, H W image, KH KW kernel, SH SW stride, OH OW output,
A B kernel rows and columns of one phase, T U image rows and columns of one phase.
"""

from abc import ABC, abstractmethod

import numpy as np

from cnncli.engine.kernels.arrays import Scratch, empty, zeros
from cnncli.engine.kernels.conv.conv_kernel import ConvSizes
from cnncli.engine.kernels.conv.row_windows import RowWindows
from cnncli.engine.kernels.kernel import Workload
from cnncli.engine.kernels.layout import Layout, single_block
from cnncli.engine.kernels.products import SummedProduct, record_product
from cnncli.engine.kernels.tape import Tape
from cnncli.types import FloatArray

_DENSE = 1.3  # pixels per window; with more pixels, gathering multiplies too many zeros


def row_gradient(windows: RowWindows, weight: FloatArray, workload: Workload) -> "RowGradient":
    """Return the faster backward pass for a convolution.

    Args:
        windows: its input.
        weight: (KH, KW·C, F), as the forward pass multiplies it.
        workload: how much is kept.
    """
    s = windows.sizes
    if workload.needs_dx and s.h * s.w <= _DENSE * s.oh * s.ow * s.sh * s.sw:
        return Gathering(windows, workload.scratch)
    return Scattering(windows, weight, workload)


class RowGradient(ABC):
    """Turns dy into dw and dx.

    Args:
        sizes: of the convolution.
        dy: (OH, OW, N, F), where `ConvRows` writes dy, past its ReLU.
        dy_rows: (R, F), the same memory, or more of it with zeros around dy.
    """

    def __init__(self, sizes: ConvSizes, dy: FloatArray, dy_rows: FloatArray) -> None:
        self.sizes, self.dy, self.dy_rows = sizes, dy, dy_rows
        self.sums: list[SummedProduct] = []

    def prepare(self, weight: FloatArray) -> None:  # noqa: B027 - scattering reads the forward pass's weight
        """Take the weight (F, C, KH, KW) of this step."""

    @abstractmethod
    def record(self, tape: Tape, slot: int) -> Layout:
        """Record adding to dw, and dx; return where dx will be, or nothing where it is not needed."""

    def dweight(self) -> FloatArray:
        """Return the sum of dw, (F, C, KH, KW)."""
        s = self.sizes
        dweight = np.zeros((s.f, s.c, s.kh, s.kw), np.float32)
        self._add_to(dweight)
        return dweight

    @abstractmethod
    def _add_to(self, dweight: FloatArray) -> None:
        """Add the sums to (F, C, KH, KW)."""


class Scattering(RowGradient):
    """One product per kernel row, added to where the row came from."""

    def __init__(self, windows: RowWindows, weight: FloatArray, workload: Workload) -> None:
        s, scratch = windows.sizes, workload.scratch
        dy = scratch.empty(s.oh, s.ow, s.n, s.f)
        super().__init__(s, dy, dy.reshape(-1, s.f))
        self.windows, self.weight, self.needs_dx = windows, weight, workload.needs_dx
        self.sums = [SummedProduct((), s.kw * s.c, s.f) for _ in range(s.kh)]
        if self.needs_dx:
            self.dwindows = scratch.empty(s.sh, windows.depth, s.ow, s.n, s.kw, s.c)
            self.drow = scratch.empty(len(self.dy_rows), s.kw * s.c)
            self.dx = empty(windows.depth, s.sh, s.padded_w, s.n, s.c)
            rows = self.dx.reshape(windows.depth * s.sh, s.padded_w, s.n, s.c)
            self.dimage = rows[s.top : s.top + s.h, s.left : s.left + s.w]

    def record(self, tape: Tape, slot: int) -> Layout:
        s = self.sizes
        windows = self.windows.record(tape, slot)
        for i, dw in enumerate(self.sums):
            dw.record_add(tape, self.windows.of_kernel_row(windows, i), self.dy_rows)
        if not self.needs_dx:
            return ()
        tape.fill(self.dwindows, 0)
        rows = self.dwindows.reshape(s.sh, self.windows.depth, -1)
        for i in range(s.kh):
            record_product(tape, self.dy_rows, self.weight[i].T, self.drow)
            out = rows[i % s.sh, i // s.sh : i // s.sh + s.oh]
            tape.add(out, self.drow.reshape(s.oh, -1), out=out)
        tape.fill(self.dx, 0)
        dx = self.dx.swapaxes(0, 1)
        for j in range(s.kw):
            out = dx[:, :, self.windows.columns(j)]
            tape.add(out, self.dwindows[..., j, :], out=out)
        return single_block(self.dimage)

    def _add_to(self, dweight: FloatArray) -> None:
        s = self.sizes
        for i, dw in enumerate(self.sums):  # (KW·C, F)
            dweight[:, :, i] += dw.total.reshape(s.kw, s.c, s.f).transpose(2, 1, 0)


class Gathering(RowGradient):
    """One product per phase and kernel row, of windows of dy."""

    def __init__(self, windows: RowWindows, scratch: Scratch) -> None:
        s = windows.sizes
        # zeros around dy, so that t - a and u - b may run over its edges
        above, left = -(-s.kh // s.sh) - 1, -(-s.kw // s.sw) - 1
        padded = zeros(s.oh + 2 * above, s.ow + 2 * left, s.n, s.f)
        super().__init__(s, padded[above : above + s.oh, left : left + s.ow], padded.reshape(-1, s.f))
        self.dx = zeros(s.h, s.w, s.n, s.c)  # what no window reads stays zero
        self.columns = [
            _DyWindows(s, scratch, padded, left, q, _read_by_windows(q, s.sw, s.kw, s.left, s.w, s.ow))
            for q in range(min(s.sw, s.kw))
        ]
        rows = [_read_by_windows(p, s.sh, s.kh, s.top, s.h, s.oh) for p in range(min(s.sh, s.kh))]
        self.phases = [
            _Phase(windows, scratch, self.dx, dy_windows, above, p, ts)
            for dy_windows in self.columns
            for p, ts in enumerate(rows)
            if ts and dy_windows.us
        ]
        self.sums = [dw for phase in self.phases for dw in phase.dw]

    def prepare(self, weight: FloatArray) -> None:
        for phase in self.phases:
            phase.prepare(weight)

    def record(self, tape: Tape, slot: int) -> Layout:
        for dy_windows in self.columns:
            dy_windows.record(tape)
        for phase in self.phases:
            phase.record(tape, slot)
        return single_block(self.dx)

    def _add_to(self, dweight: FloatArray) -> None:
        for phase in self.phases:
            phase.add_to(dweight)


def _read_by_windows(phase: int, stride: int, kernel: int, pad: int, size: int, windows: int) -> range:
    """Return the t for which padded row phase + stride·t is inside the image, and is read by some window."""
    first = max(0, -(-(pad - phase) // stride))
    taps = len(range(phase, kernel, stride))
    return range(first, max(first, min((pad + size - 1 - phase) // stride, windows + taps - 2) + 1))


class _DyWindows:
    """The windows of dy along its rows for column phase q: the B neighbors of a pixel next to each other.

    Args:
        sizes: of the convolution.
        scratch: for the windows.
        padded: dy with zeros around it.
        left: columns of zeros on its left.
        q: the remainder of the columns modulo SW.
        us: the u that are needed.
    """

    def __init__(
        self, sizes: ConvSizes, scratch: Scratch, padded: FloatArray, left: int, q: int, us: range
    ) -> None:
        self.padded, self.left, self.q, self.us = padded, left, q, us
        self.b = len(range(q, sizes.kw, sizes.sw))
        self.taps = scratch.empty(len(padded), len(us), sizes.n, self.b, sizes.f)

    def record(self, tape: Tape) -> None:
        """Record laying out the windows."""
        if not self.us:
            return
        for b in range(self.b):
            first = self.us[0] - b + self.left
            tape.copy(self.padded[:, first : first + len(self.us)], out=self.taps[..., b, :])


class _Phase:
    """dx and dw of the padded input rows p, p + SH, .. and columns q, q + SW, ..: A products each.

    Args:
        windows: the input.
        scratch: for what is needed within one slot.
        dx: (H, W, N, C).
        dy_windows: of the same q.
        above: rows of zeros above dy.
        p: the remainder of the rows modulo SH.
        ts: the t that are needed.
    """

    def __init__(
        self,
        windows: RowWindows,
        scratch: Scratch,
        dx: FloatArray,
        dy_windows: _DyWindows,
        above: int,
        p: int,
        ts: range,
    ) -> None:
        s = self.sizes = windows.sizes
        self.windows, self.dy_windows, self.p, self.ts = windows, dy_windows, p, ts
        self.first = ts[0] + above  # the row of the padded dy that a = 0 reads
        a, b, t, u = len(range(p, s.kh, s.sh)), dy_windows.b, len(ts), len(dy_windows.us)
        self.x = scratch.empty(t, u, s.n, s.c)
        self.dw = [SummedProduct((), s.c, b * s.f) for _ in range(a)]
        row, column = p + s.sh * ts[0], dy_windows.q + s.sw * dy_windows.us[0]  # of the padded input
        self.padded_columns = slice(column, column + s.sw * (u - 1) + 1, s.sw)
        row, column = row - s.top, column - s.left
        self.dx = dx[row : row + s.sh * (t - 1) + 1 : s.sh, column : column + s.sw * (u - 1) + 1 : s.sw]
        self.weight = empty(a, b * s.f, s.c)
        self.partial, self.total = (scratch.empty(t * u * s.n, s.c) for _ in range(2))

    def prepare(self, weight: FloatArray) -> None:
        """Take this phase of the weight (F, C, KH, KW) as (A, B·F, C)."""
        taps = weight[:, :, self.p :: self.sizes.sh, self.dy_windows.q :: self.sizes.sw].transpose(2, 3, 0, 1)
        self.weight.reshape(taps.shape)[...] = taps

    def record(self, tape: Tape, slot: int) -> None:
        """Record adding to dw, and the pixels of dx that belong to this phase."""
        s, t = self.sizes, len(self.ts)
        tape.copy(self.windows.x[slot, self.ts.start : self.ts.stop, self.p, self.padded_columns], out=self.x)
        x = self.x.reshape(-1, s.c)
        for a, (dw, weight) in enumerate(zip(self.dw, self.weight, strict=True)):
            taps = self.dy_windows.taps[self.first - a : self.first - a + t].reshape(len(x), -1)
            dw.record_add(tape, x, taps)
            record_product(tape, taps, weight, self.partial if a else self.total)
            if a:
                tape.add(self.total, self.partial, out=self.total)
        tape.copy(self.total.reshape(self.dx.shape), out=self.dx)

    def add_to(self, dweight: FloatArray) -> None:
        """Add dw to this phase of (F, C, KH, KW)."""
        s = self.sizes
        for a, dw in enumerate(self.dw):
            taps = dw.total.reshape(s.c, self.dy_windows.b, s.f).transpose(2, 0, 1)
            dweight[:, :, self.p + s.sh * a, self.dy_windows.q :: s.sw] += taps
