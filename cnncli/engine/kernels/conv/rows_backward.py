"""The two ways back of a convolution by kernel rows.

**Gathered**, where windows lie as densely as pixels ("same" padding): dy is unfolded as the input was on the way
there. Padded input row r = p + SH·t meets kernel row i = p + SH·a in the window row t - a, and columns likewise. So
for each remainder (p, q) of rows and columns, dx is a convolution of dy at stride 1 with every SH-th row and SW-th
column of the kernel, turned around:

    dx[p + SH·t, q + SW·u] = sum over a, b of  dy[t - a, u - b] @ w[p + SH·a, q + SW·b]ᵀ

and the same unfolded rows of dy, multiplied by the input's rows instead, are dw.

**Scattered**, where there are fewer windows than pixels, so that most of what is gathered would be the zeros around
dy: each kernel row's product is added to the rows, and each tap to the columns, that it came from.

Axis letters: N micro-batch, C channels in, F filters, H W image, KH KW kernel, SH SW stride, OH OW output,
A B kernel rows and columns of one remainder, T U image rows and columns of one remainder.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from cnncli.engine.kernels.layout import Layout, single_block
from cnncli.engine.kernels.products import ColumnSum, SummedProduct, product
from cnncli.engine.kernels.tape import Tape
from cnncli.engine.kernels.workspace import empty, zeros
from cnncli.types import FloatArray

if TYPE_CHECKING:
    from cnncli.engine.kernels.conv.rows import ConvRows

_DENSE = 1.3  # pixels a window; above, gathering multiplies too many zeros


def gradient_of(conv: ConvRows, pads: tuple[int, int]) -> Gradient:
    """Return the better way back for a convolution.

    Args:
        conv: the kernel.
        pads: how much padding is above and left of the image.
    """
    windows = conv.oh * conv.ow * conv.sh * conv.sw
    dense = conv.workload.needs_dx and conv.h * conv.w_in <= _DENSE * windows
    return Gathered(conv, pads) if dense else Scattered(conv, pads)


class Gradient(ABC):
    """Turns dy into dw, db and dx.

    Args:
        conv: the kernel it belongs to.
        g: (OH, OW, N, F), where that kernel writes dy, past its ReLU.
    """

    db: ColumnSum

    def __init__(self, conv: ConvRows, g: FloatArray) -> None:
        self.conv, self.g = conv, g

    def prepare(self, weight: FloatArray) -> None:  # noqa: B027 - scattering takes the kernel's own rows
        """Take the weight (F, C, KH, KW) of this step."""

    @abstractmethod
    def run(self, tape: Tape, slot: int) -> Layout:
        """Add to dw and db, and return where dx will be, or nothing where nobody needs it."""

    @abstractmethod
    def collect(self, weight: FloatArray) -> None:
        """Add dw to the weight's gradient (F, C, KH, KW), and start again."""


class Scattered(Gradient):
    """One product per kernel row, added to where it came from."""

    def __init__(self, conv: ConvRows, pads: tuple[int, int]) -> None:
        n, rows = conv.workload.images, conv.oh * conv.ow * conv.workload.images
        super().__init__(conv, conv.workload.workspace(conv.oh, conv.ow, n, conv.f))
        self.db = ColumnSum(rows, conv.f)
        self.dw = [SummedProduct((), conv.kw * conv.c, conv.f) for _ in range(conv.kh)]
        if conv.workload.needs_dx:
            width = conv.x.shape[3]
            self.dtaps = conv.workload.workspace(conv.sh, conv.depth, conv.ow, n, conv.kw, conv.c)
            self.dtap = conv.workload.workspace(rows, conv.kw * conv.c)
            self.dx = empty(conv.depth, conv.sh, width, n, conv.c)
            flat = self.dx.reshape(conv.depth * conv.sh, width, n, conv.c)
            self.image = flat[pads[0] : pads[0] + conv.h, pads[1] : pads[1] + conv.w_in]

    def run(self, tape: Tape, slot: int) -> Layout:
        conv, g = self.conv, self.g.reshape(-1, self.conv.f)
        if conv.nodes[0].has_bias():
            self.db.add(tape, g)
        windows = conv.unfold(tape, slot)
        for i in range(conv.kh):
            self.dw[i].add(tape, conv.rows_of(windows, i), g)
        if not conv.workload.needs_dx:
            return ()
        tape.fill(self.dtaps, 0)
        rows = self.dtaps.reshape(conv.sh, conv.depth, -1)
        for i in range(conv.kh):
            product(tape, g, conv.w[i].T, self.dtap)
            into = rows[i % conv.sh, i // conv.sh : i // conv.sh + conv.oh]
            tape.add(into, self.dtap.reshape(conv.oh, -1), out=into)
        tape.fill(self.dx, 0)
        dx = self.dx.swapaxes(0, 1)
        for j in range(conv.kw):
            into = dx[:, :, conv.window_columns(j)]
            tape.add(into, self.dtaps[..., j, :], out=into)
        return single_block(self.image)

    def collect(self, weight: FloatArray) -> None:
        conv = self.conv
        for i, row in enumerate(self.dw):  # (KW·C, F)
            weight[:, :, i] += row.total.reshape(conv.kw, conv.c, conv.f).transpose(2, 1, 0)
            row.clear()


class Gathered(Gradient):
    """One product per remainder and kernel row, of dy unfolded."""

    def __init__(self, conv: ConvRows, pads: tuple[int, int]) -> None:
        # dy with room around it, so that t - a and u - b may run over its edges
        over, aside = -(-conv.kh // conv.sh) - 1, -(-conv.kw // conv.sw) - 1
        n = conv.workload.images
        self.before = (over, aside)
        self.padded = zeros(conv.oh + 2 * over, conv.ow + 2 * aside, n, conv.f)
        super().__init__(conv, self.padded[over : over + conv.oh, aside : aside + conv.ow])
        self.db = ColumnSum(self.padded.size // conv.f, conv.f)
        self.dx = zeros(conv.h, conv.w_in, n, conv.c)  # what no window reads stays zero
        (top, left), shape = pads, (conv.h, conv.w_in)
        self.columns = [
            _Columns(self, q, _places(q, conv.sw, conv.kw, left, shape[1], conv.ow))
            for q in range(min(conv.sw, conv.kw))
        ]
        rows = [_places(p, conv.sh, conv.kh, top, shape[0], conv.oh) for p in range(min(conv.sh, conv.kh))]
        self.remainders = [
            _Remainder(self, columns, p, places, pads)
            for columns in self.columns
            for p, places in enumerate(rows)
            if places and columns.places
        ]

    def prepare(self, weight: FloatArray) -> None:
        for remainder in self.remainders:
            remainder.prepare(weight)

    def run(self, tape: Tape, slot: int) -> Layout:
        if self.conv.nodes[0].has_bias():
            self.db.add(tape, self.padded.reshape(-1, self.conv.f))
        for columns in self.columns:
            columns.unfold(tape)
        for remainder in self.remainders:
            remainder.record_backward(tape, slot)
        return single_block(self.dx)

    def collect(self, weight: FloatArray) -> None:
        for remainder in self.remainders:
            remainder.collect(weight)


def _places(remainder: int, stride: int, kernel: int, pad: int, size: int, windows: int) -> range:
    """Return the t for which padded row remainder + stride·t is a real one that some window reads."""
    first = max(0, -(-(pad - remainder) // stride))
    taps = len(range(remainder, kernel, stride))
    return range(first, max(first, min((pad + size - 1 - remainder) // stride, windows + taps - 2) + 1))


class _Columns:
    """dy with its columns unfolded for one remainder q: row by row, all B neighbours of a place side by side.

    Args:
        back: the way back it belongs to.
        q: the remainder modulo SW.
        places: the u that are wanted.
    """

    def __init__(self, back: Gathered, q: int, places: range) -> None:
        self.back, self.q, self.places = back, q, places
        conv = back.conv
        self.b = len(range(q, conv.kw, conv.sw))
        self.taps = conv.workload.workspace(
            back.padded.shape[0], len(places), conv.workload.images, self.b, conv.f
        )

    def unfold(self, tape: Tape) -> None:
        """Fill the taps from the padded dy."""
        if not self.places:
            return
        start, aside = self.places[0], self.back.before[1]
        for b in range(self.b):
            first = start - b + aside
            tape.copy(self.back.padded[:, first : first + len(self.places)], out=self.taps[..., b, :])


class _Remainder:
    """dx and dw of the padded input rows p, p+SH, .. and columns q, q+SW, ..: A products each.

    Args:
        back: the way back it belongs to.
        columns: the unfolded dy of this q.
        p: the remainder modulo SH.
        places: the t that are wanted.
        pads: how much padding is above and left of the image.
    """

    def __init__(
        self, back: Gathered, columns: _Columns, p: int, places: range, pads: tuple[int, int]
    ) -> None:
        self.back, self.columns, self.p, self.places = back, columns, p, places
        conv = self.conv = back.conv
        self.a = len(range(p, conv.kh, conv.sh))
        n, (t, u) = conv.workload.images, (len(places), len(columns.places))
        self.x = conv.workload.workspace(t, u, n, conv.c)
        self.dw = [SummedProduct((), conv.c, columns.b * conv.f) for _ in range(self.a)]
        (top, left), q = pads, columns.q
        row, column = p + conv.sh * places[0], q + conv.sw * columns.places[0]
        self.padded_columns = slice(column, column + conv.sw * (u - 1) + 1, conv.sw)
        row, column = row - top, column - left
        self.into = back.dx[
            row : row + conv.sh * (t - 1) + 1 : conv.sh, column : column + conv.sw * (u - 1) + 1 : conv.sw
        ]
        self.w = empty(self.a, columns.b * conv.f, conv.c)
        self.partial, self.total = (conv.workload.workspace(t * u * n, conv.c) for _ in range(2))

    def prepare(self, weight: FloatArray) -> None:
        """Take this remainder's part of the weight (F, C, KH, KW) as (A, B·F, C)."""
        conv = self.conv
        part = weight[:, :, self.p :: conv.sh, self.columns.q :: conv.sw].transpose(2, 3, 0, 1)
        self.w.reshape(part.shape)[...] = part

    def record_backward(self, tape: Tape, slot: int) -> None:
        """Add to dw, and write this remainder's pixels of dx."""
        conv = self.conv
        rows = conv.x[slot, self.places.start : self.places.stop, self.p, self.padded_columns]
        tape.copy(rows, out=self.x)
        x = self.x.reshape(-1, conv.c)
        for a in range(self.a):
            first = self.places.start - a + self.back.before[0]
            taps = self.columns.taps[first : first + len(self.places)].reshape(len(x), -1)
            self.dw[a].add(tape, x, taps)
            product(tape, taps, self.w[a], self.partial if a else self.total)
            if a:
                tape.add(self.total, self.partial, out=self.total)
        tape.copy(self.total.reshape(self.into.shape), out=self.into)

    def collect(self, weight: FloatArray) -> None:
        """Add dw to this remainder's part of the weight's gradient (F, C, KH, KW), and start again."""
        conv = self.conv
        for a in range(self.a):
            dw = self.dw[a].total.reshape(conv.c, self.columns.b, conv.f)
            weight[:, :, self.p + conv.sh * a, self.columns.q :: conv.sw] += dw.transpose(2, 0, 1)
            self.dw[a].clear()
