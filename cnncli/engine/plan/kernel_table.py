"""The table of kernels, in the order in which they are tried: the first one that matches runs the layers it covers."""

from collections.abc import Sequence

from cnncli.engine.kernels.activation import (
    DropoutKernel,
    LeakyReLUKernel,
    ReLUKernel,
    SigmoidKernel,
    TanhKernel,
)
from cnncli.engine.kernels.batchnorm import AffineKernel, BatchNormKernel
from cnncli.engine.kernels.conv.first import FirstConv
from cnncli.engine.kernels.conv.first_pool import FirstConvPool
from cnncli.engine.kernels.conv.pool_planes import covers_pool
from cnncli.engine.kernels.conv.rows import ConvRows
from cnncli.engine.kernels.conv.taps import ConvTaps
from cnncli.engine.kernels.conv.windows import WindowsConv, WindowsConvPool
from cnncli.engine.kernels.conv.winograd_pool import WinogradConvPool
from cnncli.engine.kernels.conv.winograd_rows import WinogradRows, suits_winograd_rows
from cnncli.engine.kernels.kernel import Kernel, Workload
from cnncli.engine.kernels.linear import FlatInput, FlattenKernel, LinearKernel
from cnncli.engine.kernels.node import Node
from cnncli.engine.kernels.plain_layer import PlainLayer
from cnncli.engine.kernels.pooling import AvgPool, GlobalAvg, MaxPool, MaxPool2x2
from cnncli.engine.kernels.prelu import PReLUKernel
from cnncli.engine.kernels.residual import Add, Branch, Fork
from cnncli.engine.kernels.smooth_activation import GELUKernel, SiLUKernel
from cnncli.nn.layers import GELU, BatchNorm, Dropout, LeakyReLU, PReLU, ReLU, Sigmoid, SiLU, Tanh

KERNELS: tuple[type[Kernel], ...] = (
    FirstConvPool,
    FirstConv,
    WindowsConvPool,
    WindowsConv,
    WinogradConvPool,
    WinogradRows,
    ConvRows,
    ConvTaps,
    MaxPool2x2,
    MaxPool,
    AvgPool,
    GlobalAvg,
    FlatInput,
    FlattenKernel,
    LinearKernel,
    BatchNormKernel,
    AffineKernel,
    ReLUKernel,
    LeakyReLUKernel,
    PReLUKernel,
    TanhKernel,
    SigmoidKernel,
    SiLUKernel,
    GELUKernel,
    DropoutKernel,
    Fork,
    Branch,
    Add,
    PlainLayer,
)


_ELEMENTWISE = (BatchNorm, Dropout, GELU, LeakyReLU, PReLU, ReLU, Sigmoid, SiLU, Tanh)


def match(nodes: Sequence[Node], workload: Workload) -> tuple[type[Kernel], int]:
    """Return the first kernel of the table that matches the first nodes, and how many of them it covers."""
    for kernel in KERNELS:
        count = kernel.match(nodes, workload)
        if count:
            return kernel, count
    raise AssertionError("PlainLayer matches everything")


def read_image_major(nodes: Sequence[Node]) -> bool:
    """Return whether the first layer here that is not elementwise reads its input image by image."""
    branch = None  # what comes into a branch goes to the sum of its block
    for position, node in enumerate(nodes):
        branch = node.block if node.role == "branch" else branch
        if branch is not None and not (node.role == "add" and node.block == branch):
            continue
        branch = None
        if node.role != "layer":
            continue
        if suits_winograd_rows(node):
            return not covers_pool(nodes[position:])  # with a pool after it, another kernel runs it
        if not isinstance(node.layer, _ELEMENTWISE):
            return False
    return False
