"""Products of matrices in blocks of rows, or of columns, small enough for OpenBLAS to take its way without packing.

A product of two large matrices first copies (packs) both into an order of its own. On CPUs that OpenBLAS knows small
kernels for, a product below a million multiply-adds skips that, and its operands stay in the second-level cache until
the next block. The matrices of a convolution are tall (rows: pixels; columns: channels), so packing is a good part of
the work: blocks are up to 1.6 times as fast here, and cost nothing elsewhere.

Axis letters: R rows, I what is summed over, J columns.
"""

import math

import numpy as np

from cnncli.engine.kernels.tape import Tape
from cnncli.engine.kernels.workspace import empty, ones, zeros
from cnncli.types import FloatArray

SMALL = 1_000_000  # multiply-adds: OpenBLAS's own limit for its small kernels
_MOST_BLOCKS = 256


def row_blocks(rows: int, inner: int, columns: int) -> int:
    """Return into how many equal blocks to cut the rows of a product (rows x inner) @ (inner x columns)."""
    for blocks in range(1, _MOST_BLOCKS + 1):
        if rows % blocks == 0 and rows // blocks * inner * columns < SMALL:
            return blocks
    return 1


def product(tape: Tape, a: FloatArray, b: FloatArray, out: FloatArray) -> None:
    """out = a @ b, block by block of a's rows; several products at once where a or b have axes in front.

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
    """out = a @ b at once, block by block of b's columns, for matrices that are wide.

    Args:
        a: (R, I).
        b: (I, J).
        out: (R, J).
    """
    blocks = row_blocks(b.shape[1], len(b), len(a))
    cut_b, cut_out = (m.reshape(len(m), blocks, -1).transpose(1, 0, 2) for m in (b, out))
    np.matmul(a, cut_b, out=cut_out)


class SummedProduct:
    """Adds up aᵀ @ b, the gradient of a weight: the sum runs over the rows, in blocks that are added in order.

    Args:
        lead: how many products are taken at once, () or (count,).
        inner: I, the columns of a.
        columns: J, those of b.
    """

    def __init__(self, lead: tuple[int, ...], inner: int, columns: int) -> None:
        self.lead, self.inner, self.columns = lead, inner, columns
        self.partial = empty(0)
        self.total = zeros(*lead, inner, columns)

    def clear(self) -> None:
        """Start again from zero."""
        self.total.fill(0)

    def multiply(self, tape: Tape, which: slice, a: FloatArray, b: FloatArray) -> None:
        """Write down aᵀ @ b for some of the products.

        Args:
            tape: takes the calls.
            which: of the products that are taken at once; all calls up to `add_up` have as many rows.
            a: (.., R, I).
            b: (.., R, J).
        """
        blocks = row_blocks(a.shape[-2], self.inner, self.columns)
        cut_a = a.reshape(*a.shape[:-2], blocks, -1, self.inner)
        cut_b = b.reshape(*b.shape[:-2], blocks, -1, self.columns)
        partial = self._partial(blocks)
        tape.matmul(cut_a.swapaxes(-1, -2), cut_b, out=partial[which] if self.lead else partial)

    def multiply_blocks(self, tape: Tape, which: int, a: FloatArray, b: FloatArray) -> None:
        """Write down aᵀ @ b for one of the products, of matrices that are in blocks already.

        Args:
            tape: takes the calls.
            which: of the products that are taken at once; all calls up to `add_up` have as many blocks.
            a: (.., R, I), with the blocks' axes in front; may overlap itself.
            b: (.., R, J), with the same axes in front.
        """
        partial = self._partial(math.prod(a.shape[:-2]))[which]
        tape.matmul(a.swapaxes(-1, -2), b, out=partial.reshape(*a.shape[:-2], self.inner, self.columns))

    def _partial(self, blocks: int) -> FloatArray:
        """Return where the products of so many blocks go, until they are added up."""
        if self.partial.shape[-3:-2] != (blocks,):
            self.partial = empty(*self.lead, blocks, self.inner, self.columns)
        return self.partial

    def add_up(self, tape: Tape) -> None:
        """Add what `multiply` has left to the total, block by block."""
        for block in range(self.partial.shape[-3]):
            tape.add(self.total, self.partial[..., block, :, :], out=self.total)

    def add(self, tape: Tape, a: FloatArray, b: FloatArray) -> None:
        """Add aᵀ @ b to the total, for all products."""
        self.multiply(tape, slice(None), a, b)
        self.add_up(tape)


class ColumnSum:
    """Adds up the columns of matrices, the gradient of a bias, as products with a row of ones.

    Args:
        rows: the most that a matrix has.
        columns: J.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self.ones, self.partial, self.total = ones(rows), empty(columns), zeros(columns)

    def clear(self) -> None:
        """Start again from zero."""
        self.total.fill(0)

    def add(self, tape: Tape, a: FloatArray) -> None:
        """Add the column sums of a (R, J) to the total."""
        tape.matmul(self.ones[: len(a)], a, out=self.partial)
        tape.add(self.total, self.partial, out=self.total)
