"""The transforms of Winograd's F(2x2, 3x3), for images with even and odd columns apart.

A direct 3x3 convolution needs 4 · 9 = 36 multiplications for a 2x2 tile of outputs. Winograd's algorithm computes the
tile from a 4x4 tile of inputs with 16:

    Y = Aᵀ [ (G w Gᵀ) ⊙ (Bᵀ d B) ] A

    Bᵀ = 1  0 -1  0      G = 1    0    0      Aᵀ = 1  1  1  0
         0  1  1  0          1/2  1/2  1/2         0  1 -1  1
         0 -1  1  0          1/2 -1/2  1/2
         0  1  0 -1          0    0   -1

with the 4x4 input tile d, the 3x3 kernel w, the 2x2 output tile Y and ⊙ elementwise. (Compared with the paper, the
last row of G and the last entry of Aᵀ have the opposite sign, which saves a negation.) Summed over the channels, each
of the 16 positions (i, j) of the transformed tile is one product of matrices: (tiles x C) @ (C x F).

The functions work on one row i of positions at a time, with the products of that row in between. So the transformed
tiles, four times as many numbers as the input, never need to be in the cache all at once.

Tiles overlap by two: tile t reads the padded columns 2t .. 2t+3, which are even columns t, t+1 and odd columns t, t+1.

Axis letters: N micro-batch, C channels in, F filters, TH TW rows and columns of tiles, Q = TH·TW·N.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, arXiv 1509.09308.
"""

import numpy as np

from cnncli.engine.kernels.node import Node, dense_conv
from cnncli.engine.kernels.tape import Tape
from cnncli.types import FloatArray

_FEWEST_CHANNELS = 9  # C; with fewer, the transforms cost more than the products that they save

KERNEL_TRANSFORM = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, -1]], np.float32)
"""G: from three taps in a line to four positions."""
_GG = np.kron(KERNEL_TRANSFORM, KERNEL_TRANSFORM)  # (16, 9): w -> G w Gᵀ as one product


ROW_PAIRS = ((0, 2), (1, 2), (2, 1), (1, 3))
"""The two input rows that Bᵀ combines for position i: their sum for i = 1, their difference for the others."""

BACKWARD_ORDER = (1, 2, 0, 3)
"""The order of the positions in the backward pass, see `rows_backward`."""


def suits_winograd(node: Node) -> bool:
    """Return whether a layer is a 3x3 convolution at stride 1 with enough channels for Winograd to pay off."""
    layer = dense_conv(node.layer)
    if layer is None or layer.in_channels < _FEWEST_CHANNELS:
        return False
    return (layer.kernel_size, layer.stride) == ((3, 3), (1, 1))


def transform_weight(weight: FloatArray, u: FloatArray, ut: FloatArray) -> None:
    """Compute U = G w Gᵀ of a weight (F, C, 3, 3) into u (16, C, F) and, transposed, into ut (16, F, C)."""
    np.matmul(_GG, weight.reshape(-1, 9).T, out=ut.reshape(16, -1))
    u[...] = ut.swapaxes(1, 2)


def transform_weight_backward(du: FloatArray) -> FloatArray:
    """Return dw = Gᵀ dU G (F, C, 3, 3) of dU (16, C, F)."""
    _, c, f = du.shape
    return (_GG.T @ du.reshape(16, c * f)).reshape(3, 3, c, f).transpose(3, 2, 0, 1)


def transform_input(tape: Tape, i: int, padded: FloatArray, rows: FloatArray, v: FloatArray) -> None:
    """Record row i of the positions of V = Bᵀ d B, for every tile.

    Args:
        tape: takes the calls.
        i: 0 to 3.
        padded: (2, 2·TH+2, TW+1, N·C), the even columns of the padded input and the odd ones.
        rows: (2, TH, TW+1, N·C), scratch.
        v: (4, TH, TW, N·C), written; positions j of that row first.
    """
    th, tw = v.shape[1:3]
    a, b = (padded[:, k : k + 2 * th : 2] for k in ROW_PAIRS[i])  # row k of every tile
    combine = tape.add if i == 1 else tape.subtract
    combine(a, b, out=rows)
    even, odd = rows
    tape.subtract(even[:, :tw], even[:, 1:], out=v[0])
    tape.add(odd[:, :tw], even[:, 1:], out=v[1])
    tape.subtract(even[:, 1:], odd[:, :tw], out=v[2])
    tape.subtract(odd[:, :tw], odd[:, 1:], out=v[3])


def transform_input_backward(
    tape: Tape, i: int, dv: FloatArray, columns: FloatArray, padded: FloatArray
) -> None:
    """Record dd += row i of the positions of B dV Bᵀ, overlaps of tiles added; i comes in `BACKWARD_ORDER`.

    Args:
        tape: takes the calls.
        i: 0 to 3.
        dv: (4, TH, TW, N·C), positions j of that row first.
        columns: (2, 2, TH, TW+1, N·C), scratch array: the result of i = 1 is kept until i = 2 has come.
        padded: (2, 2·TH+2, TW+1, N·C), dd: the even columns of the padded input's gradient and the odd ones.
    """
    tw = dv.shape[2]
    t, t1 = columns[int(i == 1)], columns[1]
    even, odd = t
    # Positions j = 0 .. 3 of tile t go to columns 2t .. 2t+3, with the signs of B.
    tape.add(dv[1], dv[2], out=even[:, 1:])
    tape.subtract(even[:, 1:], dv[0], out=even[:, 1:])
    tape.add(even[:, 1:tw], dv[0, :, 1:], out=even[:, 1:tw])
    tape.copy(dv[0, :, 0], out=even[:, 0])
    tape.subtract(dv[1], dv[2], out=odd[:, :tw])
    tape.add(odd[:, :tw], dv[3], out=odd[:, :tw])
    tape.subtract(odd[:, 1:tw], dv[3, :, : tw - 1], out=odd[:, 1:tw])
    tape.negative(dv[3, :, tw - 1], out=odd[:, tw])
    rows_backward(tape, i, t.swapaxes(0, 1), t1.swapaxes(0, 1), padded.swapaxes(0, 1))


def rows_backward(tape: Tape, i: int, t: FloatArray, t1: FloatArray, rows: FloatArray) -> None:
    """Record rows += the part of position i in B t, overlaps of tiles added; i comes in `BACKWARD_ORDER`.

    Args:
        tape: takes the calls.
        i: 0 to 3; nothing is recorded for i = 1, whose part is added together with that of i = 2.
        t: (TH, ..), position i of every tile.
        t1: (TH, ..), position 1 of every tile, read for i = 2.
        rows: (2·TH+2, ..); tile k has rows 2k .. 2k+3.
    """
    even, odd = rows[0::2], rows[1::2]
    if i == 2:
        tape.add(t1, t, out=even[1:])
        tape.subtract(t1, t, out=odd[:-1])
    elif i == 0:
        tape.subtract(even[1:], t, out=even[1:])
        tape.copy(t[0], out=even[0])
        tape.add(even[1:-1], t[1:], out=even[1:-1])
    elif i == 3:
        tape.add(odd[:-1], t, out=odd[:-1])
        tape.subtract(odd[1:-1], t[:-1], out=odd[1:-1])
        tape.negative(t[-1], out=odd[-1])


def transform_output(tape: Tape, i: int, outer: FloatArray, inner: FloatArray, y: FloatArray) -> None:
    """Record Y += row i of the positions of Aᵀ M A; i comes in the order 0, 1, 2, 3.

    Args:
        tape: takes the calls.
        i: 0 to 3.
        outer: (2, Q·F), positions j = 0 and 3 of that row; overwritten. For i = 0 and 1 it is y[i] itself.
        inner: (2, Q·F), positions j = 1 and 2.
        y: (2, 2, Q·F), row and column within the 2x2 tile first.
    """
    tape.add(outer, inner[0], out=outer)
    tape.add(outer[0], inner[1], out=outer[0])
    tape.subtract(outer[1], inner[1], out=outer[1])
    if i in (1, 2):
        tape.add(y[0], outer, out=y[0])
    if i == 2:
        tape.subtract(y[1], outer, out=y[1])
    if i == 3:
        tape.add(y[1], outer, out=y[1])


def transform_output_backward(
    tape: Tape, i: int, dy: FloatArray, outer: FloatArray, inner: FloatArray
) -> FloatArray:
    """Record row i of the positions of dM = A dY Aᵀ.

    The rows of A are (1, 0), (1, 1), (1, -1) and (0, 1): positions 0 and 3 are dY itself, 1 and 2 sum and difference.

    Args:
        tape: takes the calls.
        i: 0 to 3.
        dy: (2, 2, Q·F), row and column within the 2x2 tile first.
        outer: (2, Q·F), scratch.
        inner: (2, Q·F), written: positions j = 1 and 2.

    Returns:
        (2, Q·F), positions j = 0 and 3: `outer`, or a view of dy.
    """
    if i == 1:
        tape.add(dy[0], dy[1], out=outer)
    elif i == 2:
        tape.subtract(dy[0], dy[1], out=outer)
    else:
        outer = dy[i // 3]
    tape.add(outer[0], outer[1], out=inner[0])
    tape.subtract(outer[0], outer[1], out=inner[1])
    return outer
