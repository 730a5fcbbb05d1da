"""Any layer without a kernel of its own: its plain forward and backward, between the plan's layout and NCHW."""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import ClassVar

import numpy as np

from cnncli.engine.kernels.activation import buffer_shape
from cnncli.engine.kernels.kernel import Kernel, LayerGenerators, Workload, write_gradient
from cnncli.engine.kernels.layout import Layout, matching_columns, single_block
from cnncli.engine.kernels.node import Node
from cnncli.engine.kernels.tape import Tape
from cnncli.engine.kernels.workspace import empty, zeros
from cnncli.nn.layers import Mode
from cnncli.types import FloatArray


class PlainLayer(Kernel):
    """One layer, run by its own code.

    A layer keeps what its backward needs in itself, so every slot has a shallow copy of it, with the parameters'
    values shared and gradients of its own.
    """

    pattern: ClassVar[str] = "the plain layer"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        return 1

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        node = nodes[0]
        self.copies = [copy(node.layer) for _ in range(workload.slots if workload.training else 1)]
        self.x = empty(*buffer_shape(node.input_shape, workload.images))
        if workload.training:
            self.dx = empty(*buffer_shape(node.input_shape, workload.images))
            self.sums = {key: zeros(*parameter.shape) for key, parameter in node.layer.parameters.items()}

    def prepare(self, generators: LayerGenerators) -> None:
        self.rng = generators(self.nodes[0].index) if self.workload.training else None
        for clone in self.copies:
            clone.parameters = {key: p.twin() for key, p in self.nodes[0].layer.parameters.items()}

    def input_layout(self, slot: int) -> Layout:
        return single_block(self.x)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        tape.record(self._forward, slot, out)

    def _forward(self, slot: int, out: Layout) -> None:
        layer = self.copies[slot if self.workload.training else 0]
        # A copy: the layer may keep its input, and this buffer is written again for the next slot.
        x = np.array(self.x.transpose(2, 3, 0, 1) if self.x.ndim == 4 else self.x, order="C")
        y = layer.forward(x, Mode(self.workload.training, self.rng))
        for own, view in matching_columns(single_block(y.transpose(2, 3, 0, 1) if y.ndim == 4 else y), out):
            view[...] = own

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        tape.record(self._backward, slot, dy)
        return single_block(self.dx)

    def _backward(self, slot: int, dy: Layout) -> None:
        layer = self.copies[slot]
        shape = buffer_shape(self.nodes[0].output_shape, self.workload.images)
        g = empty(*shape)
        for view, own in matching_columns(dy, single_block(g)):
            own[...] = view
        dx = layer.backward(np.ascontiguousarray(g.transpose(2, 3, 0, 1)) if g.ndim == 4 else g)
        for key, total in self.sums.items():
            total += layer.parameters[key].grad
        self.dx[...] = dx.transpose(2, 3, 0, 1) if dx.ndim == 4 else dx

    def collect(self, gradients: Mapping[str, FloatArray], *, add: bool) -> None:
        for key, total in self.sums.items():
            write_gradient(gradients[f"{self.nodes[0].name}.{key}"], total, add=add)
            total.fill(0)
