"""Products of matrices in blocks of rows or columns, small enough for OpenBLAS to skip its packing.

For a product of two large matrices, OpenBLAS first copies (packs) both into an order of its own. On CPUs for which it
has small-matrix kernels, a product of less than a million multiply-adds skips that copy, and its operands stay in the
second-level cache until the next block. The matrices of a convolution are tall (rows: pixels, columns: channels), so
packing is a large part of the work. Blocks make these products up to 1.6 times as fast, and cost nothing on other CPUs.

Axis letters: R rows, I the axis that is summed over, J columns.
"""

import math

import numpy as np

from cnncli.engine.kernels.arrays import empty, ones, zeros
from cnncli.engine.kernels.tape import Tape
from cnncli.types import FloatArray

SMALL = 1_000_000  # multiply-adds: OpenBLAS's own limit for its small-matrix kernels
_MOST_BLOCKS = 256


def row_blocks(rows: int, inner: int, columns: int) -> int:
    """Return how many equal blocks to cut the rows of a product (rows x inner) @ (inner x columns) into."""
    for blocks in range(1, _MOST_BLOCKS + 1):
        if rows % blocks == 0 and rows // blocks * inner * columns < SMALL:
            return blocks
    return 1


def record_product(tape: Tape, a: FloatArray, b: FloatArray, out: FloatArray) -> None:
    """Record out = a @ b in blocks of a's rows; leading axes are several products at once.

    Args:
        tape: takes the call.
        a: (.., R, I); its rows may be strided.
        b: (.., I, J).
        out: (.., R, J), contiguous.
    """
    rows, inner = a.shape[-2:]
    columns = b.shape[-1]
    blocks = row_blocks(rows, inner, columns)
    cut_a = a.reshape(*a.shape[:-2], blocks, -1, inner)
    tape.matmul(cut_a, b[..., None, :, :], out=out.reshape(*out.shape[:-2], blocks, -1, columns))


def product_by_columns(a: FloatArray, b: FloatArray, out: FloatArray) -> None:
    """Compute out = a @ b now (nothing is recorded), in blocks of b's columns, for wide matrices.

    Args:
        a: (R, I).
        b: (I, J).
        out: (R, J).
    """
    blocks = row_blocks(b.shape[1], len(b), len(a))
    cut_b, cut_out = (m.reshape(len(m), blocks, -1).transpose(1, 0, 2) for m in (b, out))
    np.matmul(a, cut_b, out=cut_out)


class RunningSum:
    """A sum over the micro-batches of a step.

    Args:
        shape: of `total`, the sum so far.
    """

    def __init__(self, *shape: int) -> None:
        self.total = zeros(*shape)

    def clear(self) -> None:
        """Start again from zero."""
        self.total.fill(0)


class SummedProduct(RunningSum):
    """The sum of aᵀ @ b, a weight's gradient. Both sums, over rows and over micro-batches, have a fixed order.

    Args:
        lead: how many products are taken at once, () or (count,).
        inner: I, the columns of a.
        columns: J, the columns of b.
    """

    def __init__(self, lead: tuple[int, ...], inner: int, columns: int) -> None:
        super().__init__(*lead, inner, columns)
        self.lead, self.inner, self.columns = lead, inner, columns
        self.partial = empty(0)  # (.., blocks, I, J)

    def record_multiply(self, tape: Tape, which: slice, a: FloatArray, b: FloatArray) -> None:
        """Record aᵀ @ b for some of the products; `record_add_up` adds the result to the total.

        Args:
            tape: takes the calls.
            which: of the `lead` products; all calls up to `record_add_up` have the same number of rows.
            a: (.., R, I).
            b: (.., R, J).
        """
        blocks = row_blocks(a.shape[-2], self.inner, self.columns)
        cut_a = a.reshape(*a.shape[:-2], blocks, -1, self.inner)
        cut_b = b.reshape(*b.shape[:-2], blocks, -1, self.columns)
        partial = self._partial(blocks)
        tape.matmul(cut_a.swapaxes(-1, -2), cut_b, out=partial[which] if self.lead else partial)

    def record_multiply_blocks(self, tape: Tape, which: int, a: FloatArray, b: FloatArray) -> None:
        """Record aᵀ @ b for one of the products, of matrices that are cut into blocks already.

        Args:
            tape: takes the calls.
            which: of the `lead` products; all calls up to `record_add_up` have the same number of blocks.
            a: (.., R, I), with the axes of the blocks first; may overlap itself in memory.
            b: (.., R, J), with the same axes first.
        """
        partial = self._partial(math.prod(a.shape[:-2]))[which]
        tape.matmul(a.swapaxes(-1, -2), b, out=partial.reshape(*a.shape[:-2], self.inner, self.columns))

    def _partial(self, blocks: int) -> FloatArray:
        """Return where the products of that many blocks go until they are added up."""
        if self.partial.shape[-3:-2] != (blocks,):
            self.partial = empty(*self.lead, blocks, self.inner, self.columns)
        return self.partial

    def record_add_up(self, tape: Tape) -> None:
        """Record total += the recorded products, block by block."""
        for block in range(self.partial.shape[-3]):
            tape.add(self.total, self.partial[..., block, :, :], out=self.total)

    def record_add(self, tape: Tape, a: FloatArray, b: FloatArray) -> None:
        """Record total += aᵀ @ b, for all products."""
        self.record_multiply(tape, slice(None), a, b)
        self.record_add_up(tape)


class ColumnSum(RunningSum):
    """The sum of the rows of matrices, a bias's gradient, as a product with a row of ones.

    Args:
        rows: the largest R.
        columns: J.
    """

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__(columns)
        self.ones, self.partial = ones(rows), empty(columns)

    def record_add(self, tape: Tape, a: FloatArray) -> None:
        """Record total += the sum of the rows of a (R, J)."""
        tape.matmul(self.ones[: len(a)], a, out=self.partial)
        tape.add(self.total, self.partial, out=self.total)
