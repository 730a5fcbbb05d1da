"""3x3 convolutions at stride 1 by Winograd's F(2x2, 3x3), with bias, ReLU and a 2x2 max-pool in the same step."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from cnncli.engine.calls import Calls
from cnncli.engine.images import Parts, columns_apart
from cnncli.engine.kernels.base import Draws, Kernel, Load, empty, flags, give, zeros
from cnncli.engine.kernels.products import ColumnSum, SummedProduct, product
from cnncli.engine.kernels.winograd import (
    transform_input,
    transform_input_backward,
    transform_output,
    transform_output_backward,
    transform_weight,
    transform_weight_backward,
)
from cnncli.engine.nodes import Node
from cnncli.nn.layers import Conv2D, MaxPool2D, ReLU
from cnncli.types import FloatArray

_FEWEST_CHANNELS = 17  # in; below, the transforms cost more than the products they save


def suits_winograd(node: Node) -> bool:
    """Return whether a layer is a 3x3 convolution at stride 1 that is worth Winograd's transforms."""
    layer = node.layer
    return (
        isinstance(layer, Conv2D)
        and layer.kernel_size == (3, 3)
        and layer.stride == (1, 1)
        and layer.in_channels >= _FEWEST_CHANNELS
    )


class _Winograd(Kernel):
    """What both Winograd kernels share: the padded input, the 16 products, and their gradients.

    Args:
        tiles: (TH, TW), the 2x2 output tiles that are computed.
    """

    def __init__(self, nodes: Sequence[Node], load: Load, tiles: tuple[int, int]) -> None:
        super().__init__(nodes, load)
        conv = nodes[0].layer
        assert isinstance(conv, Conv2D)
        n, (c, h, w) = load.images, nodes[0].input_shape
        f = conv.out_channels
        th, tw = tiles
        (self.top, _), (self.left, _) = conv.pads(nodes[0].input_shape)
        self.c, self.f, self.th, self.tw, self.h, self.w = c, f, th, tw, h, w
        self.q = th * tw * n
        # Tiles may reach past the padded input (an odd size) or stop short of it (a pool that drops a row).
        rows, pairs = max(2 * th + 2, self.top + h), max(tw + 1, -(-(self.left + w) // 2))
        self.x = zeros(2, rows, pairs, n * c)  # even columns, odd columns
        self.rows = empty(2, 4, th, tw + 1, n * c)
        self.v = empty(load.slots if load.training else 1, 4, 4, th, tw, n * c)
        self.m = empty(16, self.q, f)
        self.u, self.ut = empty(16, c, f), empty(16, f, c)
        self.bias_row = empty(tw, n, f)
        self.input = self._parts(self.x)
        if load.training:
            self.du = SummedProduct((16,), self.q, c, f)
            self.db = ColumnSum(self.q, f)
            if load.needs_dx:
                self.dv = empty(16, self.q, c)
                self.dx = zeros(2, rows, pairs, n * c)  # rows that no tile reads stay zero
                self.dx_parts = self._parts(self.dx)

    def _parts(self, padded: FloatArray) -> Parts:
        """Return the real image (H, W, N, C) inside a padded one (2, rows, column pairs, N·C)."""
        n, rows = self.load.images, slice(self.top, self.top + self.h)
        found = []
        for start in (0, 1):  # real column `start`, `start + 2`, .. lies in one parity of the padded columns
            parity, first = (start + self.left) % 2, (start + self.left) // 2
            count = len(range(start, self.w, 2))
            view = padded[parity, rows, first : first + count]
            found.append(view.reshape(self.h, count, n, self.c))
        return columns_apart(found[0], found[1])

    def prepare(self, draws: Draws) -> None:
        weight, bias = self.nodes[0].weight_and_bias()
        transform_weight(weight, self.u, self.ut)
        self.bias_row[...] = bias

    def target(self, slot: int) -> Parts:
        return self.input

    def _products(self, do: Calls, slot: int) -> FloatArray:
        """Return the convolution without bias as four planes (2, 2, Q·F)."""
        v = self.v[slot if self.load.training else 0]
        tw, th = self.tw, self.th
        even, odd = self.x[:, : 2 * th + 2, : tw + 1]
        transform_input(do, even, odd, self.rows, v)
        product(do, v.reshape(16, self.q, self.c), self.u, self.m)
        return transform_output(do, self.m.reshape(4, 4, -1))

    def _products_backward(self, do: Calls, slot: int) -> Parts:
        """Take dY from the corners of m, add to dU, and return dx."""
        transform_output_backward(do, self.m.reshape(4, 4, -1))
        self.du.add(do, self.v[slot].reshape(16, self.q, self.c), self.m)
        if not self.load.needs_dx:
            return ()
        product(do, self.m, self.ut, self.dv)
        th, tw = self.th, self.tw
        transform_input_backward(
            do,
            self.dv.reshape(4, 4, th, tw, -1),
            self.rows,
            self.dx[0, : 2 * th + 2, : tw + 1],
            self.dx[1, : 2 * th + 2, : tw + 1],
            self.top,
            self.top + self.h,
        )
        return self.dx_parts

    def collect(self, gradients: Mapping[str, FloatArray], *, add: bool) -> None:
        name = self.nodes[0].name
        give(gradients[f"{name}.weight"], transform_weight_backward(self.du.total), add=add)
        if f"{name}.bias" in gradients:
            give(gradients[f"{name}.bias"], self.db.total, add=add)
        self.du.clear()
        self.db.clear()


class WinogradConv(_Winograd):
    """conv 3x3 -> [ReLU]: the four planes of a tile are written to the even and odd rows and columns of the output."""

    pattern: ClassVar[str] = "3x3 convolution by Winograd tiles"

    @classmethod
    def match(cls, nodes: Sequence[Node], load: Load) -> int:
        if not suits_winograd(nodes[0]):
            return 0
        return 2 if len(nodes) > 1 and isinstance(nodes[1].layer, ReLU) else 1

    def __init__(self, nodes: Sequence[Node], load: Load) -> None:
        _, oh, ow = nodes[0].output_shape
        super().__init__(nodes, load, ((oh + 1) // 2, (ow + 1) // 2))
        self.oh, self.ow, self.relu = oh, ow, len(nodes) == 2
        n, f = load.images, self.f
        self.zero = zeros(self.th, self.tw, n, f)
        if load.training:
            self.positive = flags(load.slots, 2, 2, self.th, self.tw, n, f) if self.relu else None
            self.mask = empty(self.th, self.tw, n, f)
            self.d = self.m.reshape(4, 4, self.th, self.tw, n, f)

    def _tile_parts(self, image: Parts) -> list[tuple[int, int, FloatArray, tuple[slice, slice]]]:
        """Return (row, column in the tile, view of the image's positions, the tiles that exist there)."""
        found = []
        for part in image:
            for a in (0, 1):
                for b in (0, 1):
                    if part.step == 2:
                        if part.start != b:
                            continue
                        view = part.array[a::2]
                    else:
                        view = part.array[a::2, b::2]
                    found.append((a, b, view, (slice(view.shape[0]), slice(view.shape[1]))))
        return found

    def forward(self, do: Calls, slot: int, out: Parts) -> None:
        y = self._products(do, slot).reshape(2, 2, self.th, self.tw, self.load.images, self.f)
        if self.nodes[0].has_bias():
            do.add(y, self.bias_row, out=y)
        if self.load.training and self.positive is not None:
            do.greater(y, self.zero, out=self.positive[slot])
        for a, b, view, tiles in self._tile_parts(out):
            if self.relu:
                do.maximum(y[a, b][tiles], self.zero[tiles], out=view)
            else:
                do.copy(y[a, b][tiles], out=view)

    def backward(self, do: Calls, slot: int, dy: Parts) -> Parts:
        for a, b, view, tiles in self._tile_parts(dy):
            d = self.d[3 * a, 3 * b]
            if view.shape[:2] != d.shape[:2]:
                do.call(d.fill, 0)  # tiles that reach past an odd edge
            if self.positive is not None:
                mask = self.mask[tiles]
                do.copy(self.positive[slot, a, b][tiles], out=mask)
                do.multiply(view, mask, out=d[tiles])
            else:
                do.copy(view, out=d[tiles])
            if self.nodes[0].has_bias():
                self.db.add(do, d.reshape(-1, self.f))
        return self._products_backward(do, slot)


class WinogradConvPool(_Winograd):
    """conv 3x3 -> [ReLU] -> max-pool 2x2: one Winograd tile is one pool window, pooled before bias and ReLU.

    A maximum commutes with adding the same number to all and with ReLU, so pooling first leaves a quarter of the
    elements to bias and ReLU.
    """

    pattern: ClassVar[str] = "3x3 convolution by Winograd tiles, each tile one pool window"

    @classmethod
    def match(cls, nodes: Sequence[Node], load: Load) -> int:
        if not suits_winograd(nodes[0]):
            return 0
        return covers_pool(nodes)

    def __init__(self, nodes: Sequence[Node], load: Load) -> None:
        _, ph, pw = nodes[-1].output_shape
        super().__init__(nodes, load, (ph, pw))
        n, f = load.images, self.f
        self.pool = PoolPlanes(load, self.q * f, relu=len(nodes) == 3)
        self.shape = (ph, pw, n, f)
        if load.training:
            self.g = empty(*self.shape)

    def forward(self, do: Calls, slot: int, out: Parts) -> None:
        y = self.pool.forward(do, slot, self._products(do, slot)).reshape(self.shape)
        do.add(y, self.bias_row, out=y)
        self.pool.activate(do, slot, y, out)

    def backward(self, do: Calls, slot: int, dy: Parts) -> Parts:
        g = self.pool.activate_backward(do, slot, dy, self.g)
        self.db.add(do, g.reshape(-1, self.f))
        corners = self.m.reshape(4, 4, -1)[0::3, 0::3]
        self.pool.backward(do, slot, g.reshape(-1), corners)
        return self._products_backward(do, slot)


def covers_pool(nodes: Sequence[Node]) -> int:
    """Return how many nodes `conv [relu] maxpool(2x2, stride 2, no padding)` covers, or 0."""
    for count in (2, 3):
        if len(nodes) < count:
            break
        last = nodes[count - 1].layer
        if (
            isinstance(last, MaxPool2D)
            and last.pool_size == (2, 2)
            and last.stride == (2, 2)
            and last.padding == (0, 0)
            and (count == 2 or isinstance(nodes[1].layer, ReLU))
        ):
            return count
    return 0


class PoolPlanes:
    """2x2 max-pooling of four planes, one for each position in the window, with the ReLU behind it.

    The winner is the first maximum in row-major order: a later plane wins only where it is strictly greater.

    Args:
        load: how many slots are kept.
        size: elements of a plane.
        relu: whether a ReLU belongs to the step.
    """

    def __init__(self, load: Load, size: int, *, relu: bool) -> None:
        self.training, self.relu = load.training, relu
        self.h = empty(2, size)
        self.zero = zeros(size)
        if self.training:
            self.right = flags(load.slots, size)  # the winner is in the right column
            self.below = flags(load.slots, size)  # the winner is in the lower row
            self.positive = flags(load.slots, size)
            self.right_in_row = flags(2, size)
            self.mask, self.part = empty(size), empty(size)

    def forward(self, do: Calls, slot: int, planes: FloatArray) -> FloatArray:
        """Return the maximum (size,) of planes (2, 2, size)."""
        h = self.h
        do.maximum(planes[:, 0], planes[:, 1], out=h)
        if self.training:
            upper, lower = self.right_in_row
            do.greater(planes[:, 1], planes[:, 0], out=self.right_in_row)
            do.greater(h[1], h[0], out=self.below[slot])
            # right = lower if below else upper, in operations on bytes
            do.either(upper, lower, out=lower)
            do.both(lower, self.below[slot], out=lower)
            do.either(upper, lower, out=self.right[slot])
        top: FloatArray = h[0]
        do.maximum(top, h[1], out=top)
        return top

    def activate(self, do: Calls, slot: int, y: FloatArray, out: Parts) -> None:
        """Write ReLU(y), or y, to `out`; y is (H, W, N, F), or has its columns apart in axis 1 of (H, 2, W/2, N, F)."""
        if self.relu and self.training:
            do.greater(y.reshape(-1), self.zero, out=self.positive[slot])
        zero = self.zero.reshape(y.shape)
        for source, floor, view in _pairs(y, zero, out):
            if self.relu:
                do.maximum(source, floor, out=view)
            else:
                do.copy(source, out=view)

    def activate_backward(self, do: Calls, slot: int, dy: Parts, g: FloatArray) -> FloatArray:
        """Write dy · (y > 0), or dy, to g, shaped as y was."""
        mask = self.mask.reshape(g.shape)
        if self.relu:
            do.copy(self.positive[slot].reshape(g.shape), out=mask)
        for d, m, view in _pairs(g, mask, dy):
            if self.relu:
                do.multiply(view, m, out=d)
            else:
                do.copy(view, out=d)
        return g

    def backward(self, do: Calls, slot: int, g: FloatArray, planes: FloatArray) -> None:
        """Send g (size,) to the winners' places in planes (2, 2, size), zero elsewhere; g is changed."""
        mask, right = self.mask, self.part
        do.copy(self.right[slot], out=mask)
        do.multiply(g, mask, out=right)
        do.subtract(g, right, out=g)  # what is left goes to the left
        do.copy(self.below[slot], out=mask)
        for column, half in ((0, g), (1, right)):
            do.multiply(half, mask, out=planes[1, column])
            do.subtract(half, planes[1, column], out=planes[0, column])


def _pairs(a: FloatArray, b: FloatArray, parts: Parts) -> list[tuple[FloatArray, FloatArray, FloatArray]]:
    """Return matching views of two own arrays and of a neighbour's parts.

    The own arrays are both (H, W, N, F), or both (H, 2, W/2, N, F) with even and odd columns apart.
    """
    if a.ndim == 4:
        return [(part.of(a), part.of(b), part.array) for part in parts]
    found = []
    for part in parts:
        for parity in (0, 1):
            if part.step == 1:
                found.append((a[:, parity], b[:, parity], part.array[:, parity::2]))
            elif part.start == parity:
                found.append((a[:, parity], b[:, parity], part.array))
    return found
