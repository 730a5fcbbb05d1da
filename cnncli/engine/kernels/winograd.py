"""The transforms of Winograd's F(2x2, 3x3), on images with even and odd columns apart.

A 3x3 convolution at stride 1 gives a 2x2 tile of outputs from a 4x4 tile of inputs with 16 products instead of 36:

    Y = Aᵀ [ (G w Gᵀ) ⊙ (Bᵀ d B) ] A

    Bᵀ = 1  0 -1  0      G = 1    0    0      Aᵀ = 1  1  1  0
         0  1  1  0          1/2  1/2  1/2         0  1 -1  1
         0 -1  1  0          1/2 -1/2  1/2
         0  1  0 -1          0    0   -1

(the signs of G's and Aᵀ's last entries are both turned against the paper's, which saves a negation). Summed over the
channels, each of the 16 places of a tile is one product of matrices: (tiles x C) @ (C x F).

Tiles overlap by two, so tile i reads the padded columns 2i .. 2i+3: even columns i and i+1, odd columns i and i+1.

Axis letters: N micro-batch, C channels in, F filters, TH TW tiles, Q = TH·TW·N.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015, arXiv 1509.09308.
"""

import numpy as np

from cnncli.engine.calls import Calls
from cnncli.types import FloatArray

_G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, -1]], np.float32)
_GG = np.kron(_G, _G)  # (16, 9): the transform of a 3x3 kernel as one product


def transform_weight(weight: FloatArray, u: FloatArray, ut: FloatArray) -> None:
    """Write U = G w Gᵀ of a weight (F, C, 3, 3) to u (16, C, F) and, the other way around, to ut (16, F, C)."""
    np.matmul(_GG, weight.reshape(-1, 9).T, out=ut.reshape(16, -1))
    u[...] = ut.swapaxes(1, 2)


def transform_weight_backward(du: FloatArray) -> FloatArray:
    """Return dw = Gᵀ dU G (F, C, 3, 3) of dU (16, C, F)."""
    _, c, f = du.shape
    return (_GG.T @ du.reshape(16, c * f)).reshape(3, 3, c, f).transpose(3, 2, 0, 1)


def transform_input(do: Calls, even: FloatArray, odd: FloatArray, rows: FloatArray, v: FloatArray) -> None:
    """Write V = Bᵀ d B for every tile.

    Args:
        do: takes the calls.
        even: (2·TH+2, TW+1, N·C), the even columns of the padded input.
        odd: (2·TH+2, TW+1, N·C), the odd ones.
        rows: (2, 4, TH, TW+1, N·C), scratch.
        v: (4, 4, TH, TW, N·C), written: row place, column place, tile.
    """
    tw = v.shape[3]
    for d, t in ((even, rows[0]), (odd, rows[1])):
        do.subtract(d[0:-2:2], d[2::2], out=t[0])
        do.add(d[1:-2:2], d[2::2], out=t[1])
        do.subtract(d[2::2], d[1:-2:2], out=t[2])
        do.subtract(d[1:-2:2], d[3::2], out=t[3])
    e, o = rows[0], rows[1]
    do.subtract(e[:, :, :tw], e[:, :, 1:], out=v[:, 0])
    do.add(o[:, :, :tw], e[:, :, 1:], out=v[:, 1])
    do.subtract(e[:, :, 1:], o[:, :, :tw], out=v[:, 2])
    do.subtract(o[:, :, :tw], o[:, :, 1:], out=v[:, 3])


def transform_input_backward(
    do: Calls, dv: FloatArray, columns: FloatArray, even: FloatArray, odd: FloatArray
) -> None:
    """Write dd = B dV Bᵀ, the tiles' overlaps summed.

    Args:
        do: takes the calls.
        dv: (4, 4, TH, TW, N·C).
        columns: (2, 4, TH, TW+1, N·C), scratch.
        even: (2·TH+2, TW+1, N·C), written: the even columns of the padded input's gradient.
        odd: (2·TH+2, TW+1, N·C), written: the odd ones.
    """
    th, tw = dv.shape[2:4]
    e, o = columns[0], columns[1]
    # Column places 0..3 of tile j go to columns 2j, 2j+1, 2j+2, 2j+3 with the signs of B.
    do.add(dv[:, 1], dv[:, 2], out=e[:, :, 1:])
    do.subtract(e[:, :, 1:], dv[:, 0], out=e[:, :, 1:])
    do.add(e[:, :, 1:tw], dv[:, 0, :, 1:], out=e[:, :, 1:tw])
    do.copy(dv[:, 0, :, 0], out=e[:, :, 0])
    do.subtract(dv[:, 1], dv[:, 2], out=o[:, :, :tw])
    do.add(o[:, :, :tw], dv[:, 3], out=o[:, :, :tw])
    do.subtract(o[:, :, 1:tw], dv[:, 3, :, : tw - 1], out=o[:, :, 1:tw])
    do.negative(dv[:, 3, :, tw - 1], out=o[:, :, tw])
    for t, d in ((e, even), (o, odd)):  # row places 0..3 of tile i likewise
        below = d[2::2]
        do.add(t[1], t[2], out=below)
        do.subtract(below, t[0], out=below)
        do.add(below[:-1], t[0, 1:], out=below[:-1])
        do.copy(t[0, 0], out=d[0])
        inner = d[1:-1:2]
        do.subtract(t[1], t[2], out=inner)
        do.add(inner, t[3], out=inner)
        do.subtract(inner[1:], t[3, :-1], out=inner[1:])
        do.negative(t[3, th - 1], out=d[2 * th + 1])


def transform_output(do: Calls, m: FloatArray) -> FloatArray:
    """Return Y = Aᵀ M A in place: (2, 2, Q·F), row and column within the 2x2 tile, of M (4, 4, Q·F)."""
    do.add(m[0], m[1], out=m[0])
    do.add(m[0], m[2], out=m[0])
    do.subtract(m[1], m[2], out=m[1])
    do.add(m[1], m[3], out=m[1])
    y = m[:2]
    do.add(y[:, 0], y[:, 1], out=y[:, 0])
    do.add(y[:, 0], y[:, 2], out=y[:, 0])
    do.subtract(y[:, 1], y[:, 2], out=y[:, 1])
    do.add(y[:, 1], y[:, 3], out=y[:, 1])
    return y[:, :2]


def transform_output_backward(do: Calls, m: FloatArray) -> None:
    """Complete dM = A dY Aᵀ in m (4, 4, Q·F), whose corners m[0::3, 0::3] hold dY (2, 2, Q·F).

    A's rows are (1,0) (1,1) (1,-1) (0,1): places 0 and 3 are dY's own, 1 and 2 their sum and difference.
    """
    do.add(m[0, 0::3], m[3, 0::3], out=m[1, 0::3])
    do.subtract(m[0, 0::3], m[3, 0::3], out=m[2, 0::3])
    do.add(m[:, 0], m[:, 3], out=m[:, 1])
    do.subtract(m[:, 0], m[:, 3], out=m[:, 2])
