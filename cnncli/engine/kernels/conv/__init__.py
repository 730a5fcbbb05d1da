"""Kernels for convolutions.

`plan/kernel_table.py` tries them in this order. The first that matches runs the convolution and the ReLU after it:

    kernel            file              runs                          method
    FirstConvPool     first_pool.py     first layer + 2x2 max-pool    im2col, one window per pooled pixel
    FirstConv         first.py          first layer, few channels     im2col
    WinogradConvPool  winograd_pool.py  3x3 + 2x2 max-pool            Winograd F(2x2, 3x3), a tile is a pool window
    WinogradRows      winograd_rows.py  3x3                           Winograd F(2, 3) across the rows
    ConvRows          rows.py           any other dense one           im2col along the rows, a product per kernel row
    ConvTaps          taps.py           groups, dilation              a product per group and tap

The Winograd kernels take stride 1 and 9 channels or more. im2col lays out the input window of every output pixel as a
row of a matrix, so that a convolution is one product of matrices.

Shared parts: `conv_kernel.py` (sizes, collecting gradients), `bias_relu.py` and `pool_planes.py` (what follows the
products), `winograd_transforms.py`, and for `ConvRows` `row_windows.py` and `rows_backward.py`.
"""
