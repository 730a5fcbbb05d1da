"""Winograd's F(2x2, 3x3): its transforms, on images with even and odd columns apart.

A 3x3 convolution at stride 1 gives a 2x2 tile of outputs from a 4x4 tile of inputs with 16 products instead of 36:

    Y = Aᵀ [ (G w Gᵀ) ⊙ (Bᵀ d B) ] A

    Bᵀ = 1  0 -1  0      G = 1    0    0      Aᵀ = 1  1  1  0
         0  1  1  0          1/2  1/2  1/2         0  1 -1  1
         0 -1  1  0          1/2 -1/2  1/2
         0  1  0 -1          0    0   -1

(the signs of G's and Aᵀ's last entries are both turned against the paper's, which saves a negation). Summed over the
channels, each of the 16 places of a tile is one product of matrices: (tiles x C) @ (C x F).

The transforms go through the four rows of places one by one, with the products of each row in between: then the
sixteen numbers that a tile of four becomes need never be in the cache all at once.

Tiles overlap by two, so tile i reads the padded columns 2i .. 2i+3: even columns i and i+1, odd columns i and i+1.

Axis letters: N micro-batch, C channels in, F filters, TH TW tiles, Q = TH·TW·N.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015, arXiv 1509.09308.
"""

import numpy as np

from cnncli.engine.kernels.node import Node
from cnncli.engine.kernels.tape import Tape
from cnncli.nn.layers import Conv2D
from cnncli.types import FloatArray

_FEWEST_CHANNELS = 9  # in; below, the transforms cost more than the products they save

KERNEL_TRANSFORM: FloatArray = np.array(
    [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, -1]], np.float32
)
"""G: from three taps in a line to four places."""
_GG = np.kron(KERNEL_TRANSFORM, KERNEL_TRANSFORM)  # (16, 9): the transform of a 3x3 kernel as one product


ROW_PAIRS = ((0, 2), (1, 2), (2, 1), (1, 3))
"""Which of a tile's four rows Bᵀ combines for each place: their sum for place 1, their difference for the others."""

BACK = (1, 2, 0, 3)
"""The order in which places go back to rows."""


def suits_winograd(node: Node) -> bool:
    """Return whether a layer is a 3x3 convolution at stride 1 that is worth Winograd's transforms."""
    layer = node.layer
    return (
        isinstance(layer, Conv2D)
        and layer.kernel_size == (3, 3)
        and layer.stride == (1, 1)
        and layer.in_channels >= _FEWEST_CHANNELS
    )


def transform_weight(weight: FloatArray, u: FloatArray, ut: FloatArray) -> None:
    """Write U = G w Gᵀ of a weight (F, C, 3, 3) to u (16, C, F) and, the other way around, to ut (16, F, C)."""
    np.matmul(_GG, weight.reshape(-1, 9).T, out=ut.reshape(16, -1))
    u[...] = ut.swapaxes(1, 2)


def transform_weight_backward(du: FloatArray) -> FloatArray:
    """Return dw = Gᵀ dU G (F, C, 3, 3) of dU (16, C, F)."""
    _, c, f = du.shape
    return (_GG.T @ du.reshape(16, c * f)).reshape(3, 3, c, f).transpose(3, 2, 0, 1)


def transform_input(tape: Tape, place: int, padded: FloatArray, rows: FloatArray, v: FloatArray) -> None:
    """Write one row of places of V = Bᵀ d B, for every tile.

    Args:
        tape: takes the calls.
        place: the row, 0 to 3.
        padded: (2, 2·TH+2, TW+1, N·C), the even columns of the padded input and the odd ones.
        rows: (2, TH, TW+1, N·C), scratch.
        v: (4, TH, TW, N·C), written: column place, tile.
    """
    th, tw = v.shape[1:3]
    a, b = ROW_PAIRS[place]
    combine = tape.add if place == 1 else tape.subtract
    combine(_tile_rows(padded, a, th), _tile_rows(padded, b, th), out=rows)
    e, o = rows
    tape.subtract(e[:, :tw], e[:, 1:], out=v[0])
    tape.add(o[:, :tw], e[:, 1:], out=v[1])
    tape.subtract(e[:, 1:], o[:, :tw], out=v[2])
    tape.subtract(o[:, :tw], o[:, 1:], out=v[3])


def _tile_rows(padded: FloatArray, k: int, th: int) -> FloatArray:
    """Return row k of every tile: padded rows k, k + 2, .."""
    return padded[:, k : k + 2 * th : 2]


def transform_input_backward(
    tape: Tape, place: int, dv: FloatArray, columns: FloatArray, padded: FloatArray
) -> None:
    """Add one row of places to dd = B dV Bᵀ, the tiles' overlaps summed; rows come in the order of `BACK`.

    Args:
        tape: takes the calls.
        place: the row, 0 to 3.
        dv: (4, TH, TW, N·C).
        columns: (2, 2, TH, TW+1, N·C), scratch: place 1 is kept until place 2 has come.
        padded: (2, 2·TH+2, TW+1, N·C), the even columns of the padded input's gradient and the odd ones.
    """
    tw = dv.shape[2]
    t, one = columns[int(place == 1)], columns[1]
    e, o = t
    # Column places 0..3 of tile j go to columns 2j, 2j+1, 2j+2, 2j+3 with the signs of B.
    tape.add(dv[1], dv[2], out=e[:, 1:])
    tape.subtract(e[:, 1:], dv[0], out=e[:, 1:])
    tape.add(e[:, 1:tw], dv[0, :, 1:], out=e[:, 1:tw])
    tape.copy(dv[0, :, 0], out=e[:, 0])
    tape.subtract(dv[1], dv[2], out=o[:, :tw])
    tape.add(o[:, :tw], dv[3], out=o[:, :tw])
    tape.subtract(o[:, 1:tw], dv[3, :, : tw - 1], out=o[:, 1:tw])
    tape.negative(dv[3, :, tw - 1], out=o[:, tw])
    rows_back(tape, place, t.swapaxes(0, 1), one.swapaxes(0, 1), padded.swapaxes(0, 1))


def rows_back(tape: Tape, place: int, t: FloatArray, one: FloatArray, rows: FloatArray) -> None:
    """Add one place of B t to rows, the tiles' overlaps summed; places come in the order of `BACK`.

    Args:
        tape: takes the calls.
        place: 0 to 3; place 1 does nothing yet.
        t: (TH, ..), that place of every tile.
        one: (TH, ..), place 1, for place 2.
        rows: (2·TH+2, ..); tile j has rows 2j .. 2j+3.
    """
    even, odd = rows[0::2], rows[1::2]
    if place == 2:
        tape.add(one, t, out=even[1:])
        tape.subtract(one, t, out=odd[:-1])
    elif place == 0:
        tape.subtract(even[1:], t, out=even[1:])
        tape.copy(t[0], out=even[0])
        tape.add(even[1:-1], t[1:], out=even[1:-1])
    elif place == 3:
        tape.add(odd[:-1], t, out=odd[:-1])
        tape.subtract(odd[1:-1], t[:-1], out=odd[1:-1])
        tape.negative(t[-1], out=odd[-1])


def transform_output(tape: Tape, place: int, outer: FloatArray, inner: FloatArray, y: FloatArray) -> None:
    """Add one row of places to Y = Aᵀ M A; rows come in order.

    Args:
        tape: takes the calls.
        place: the row, 0 to 3.
        outer: (2, Q·F), column places 0 and 3 of that row; changed. For rows 0 and 1 it is y's own row.
        inner: (2, Q·F), column places 1 and 2.
        y: (2, 2, Q·F), row and column within the 2x2 tile.
    """
    tape.add(outer, inner[0], out=outer)
    tape.add(outer[0], inner[1], out=outer[0])
    tape.subtract(outer[1], inner[1], out=outer[1])
    if place in (1, 2):
        tape.add(y[0], outer, out=y[0])
    if place == 2:
        tape.subtract(y[1], outer, out=y[1])
    if place == 3:
        tape.add(y[1], outer, out=y[1])


def transform_output_backward(
    tape: Tape, place: int, dy: FloatArray, outer: FloatArray, inner: FloatArray
) -> FloatArray:
    """Write one row of places of dM = A dY Aᵀ.

    A's rows are (1,0) (1,1) (1,-1) (0,1): places 0 and 3 are dY's own, 1 and 2 their sum and difference.

    Args:
        tape: takes the calls.
        place: the row, 0 to 3.
        dy: (2, 2, Q·F), row and column within the 2x2 tile.
        outer: (2, Q·F), scratch.
        inner: (2, Q·F), written: column places 1 and 2.

    Returns:
        (2, Q·F), column places 0 and 3.
    """
    if place == 1:
        tape.add(dy[0], dy[1], out=outer)
    elif place == 2:
        tape.subtract(dy[0], dy[1], out=outer)
    else:
        outer = dy[place // 3]
    tape.add(outer[0], outer[1], out=inner[0])
    tape.subtract(outer[0], outer[1], out=inner[1])
    return outer
