"""What all kernels of convolutions share: the sizes of the convolution, and how its gradients are collected."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from cnncli.engine.kernels.kernel import Kernel, Workload, write_gradient
from cnncli.engine.kernels.node import Node
from cnncli.engine.kernels.products import ColumnSum, RunningSum
from cnncli.nn.layers import Conv2D
from cnncli.types import FloatArray


@dataclass(frozen=True)
class ConvSizes:
    """The sizes of a convolution of one micro-batch.

    Attributes:
        n: images.
        c: channels in.
        h: rows of the image; w: its columns.
        f: filters.
        oh: rows of the output; ow: its columns.
        kh: rows of the kernel; kw: its columns.
        sh: stride from row to row; sw: from column to column.
        top: rows of padding above the image; bottom, left and right likewise.
    """

    n: int
    c: int
    h: int
    w: int
    f: int
    oh: int
    ow: int
    kh: int
    kw: int
    sh: int
    sw: int
    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def of(cls, node: Node, images: int) -> Self:
        """Return the sizes of a convolution."""
        conv = node.layer
        assert isinstance(conv, Conv2D)
        (c, h, w), (f, oh, ow) = node.input_shape, node.output_shape
        (kh, kw), (sh, sw) = conv.kernel_size, conv.stride
        (top, bottom), (left, right) = conv.pads(node.input_shape)
        return cls(images, c, h, w, f, oh, ow, kh, kw, sh, sw, top, bottom, left, right)

    @property
    def padded_h(self) -> int:
        """Rows of the padded image."""
        return self.top + self.h + self.bottom

    @property
    def padded_w(self) -> int:
        """Columns of the padded image."""
        return self.left + self.w + self.right


class ConvKernel(Kernel):
    """A kernel whose first layer is a convolution.

    Attributes:
        sizes: of the convolution.
        db: the sum of the bias gradients; set by subclasses, in training.
        sums: all sums over the micro-batches of a step, `db` among them; likewise.
    """

    db: ColumnSum
    sums: Sequence[RunningSum]

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        self.sizes = ConvSizes.of(nodes[0], workload.images)

    @abstractmethod
    def dweight(self) -> FloatArray:
        """Return the sum of the weight gradients, (F, C, KH, KW)."""

    def collect(self, gradients: Mapping[str, FloatArray], *, add: bool) -> None:
        name = self.nodes[0].name
        write_gradient(gradients[f"{name}.weight"], self.dweight(), add=add)
        if f"{name}.bias" in gradients:
            write_gradient(gradients[f"{name}.bias"], self.db.total, add=add)
        for total in self.sums:
            total.clear()
