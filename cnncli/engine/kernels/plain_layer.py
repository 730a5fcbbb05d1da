"""The fallback for a layer without a kernel: its own forward and backward, on copies in NCHW."""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import ClassVar

import numpy as np

from cnncli.engine.kernels.arrays import empty, zeros
from cnncli.engine.kernels.kernel import Kernel, LayerGenerators, Workload, write_gradient
from cnncli.engine.kernels.layout import Layout, matching_columns, single_block, transposed, transposed_shape
from cnncli.engine.kernels.node import Node
from cnncli.engine.kernels.tape import Tape
from cnncli.nn.layers import Mode
from cnncli.types import FloatArray


class PlainLayer(Kernel):
    """One layer, run by its own code.

    A layer keeps what its backward needs in itself. So every slot has a shallow copy of the layer, which shares the
    parameters' values and has gradients of its own.
    """

    description: ClassVar[str] = "the plain layer"

    @classmethod
    def match(cls, nodes: Sequence[Node], workload: Workload) -> int:
        return 1

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        node = nodes[0]
        self.copies = [copy(node.layer) for _ in range(workload.input_slots)]
        self.x = empty(*transposed_shape(node.input_shape, workload.images))
        if workload.training:
            self.dx = empty(*self.x.shape)
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
        layer = self.copies[slot % len(self.copies)]
        # A copy: the layer may keep its input, and the next slot overwrites this buffer.
        x = np.array(transposed(self.x), order="C")
        y = layer.forward(x, Mode(self.workload.training, self.rng))
        for values, view in matching_columns(single_block(transposed(y)), out):
            view[...] = values

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        tape.record(self._backward, slot, dy)
        return single_block(self.dx)

    def _backward(self, slot: int, dy: Layout) -> None:
        layer = self.copies[slot]
        g = empty(*transposed_shape(self.nodes[0].output_shape, self.workload.images))
        for gradient, view in matching_columns(dy, single_block(g)):
            view[...] = gradient
        dx = layer.backward(np.ascontiguousarray(transposed(g)))
        for key, total in self.sums.items():
            total += layer.parameters[key].grad
        self.dx[...] = transposed(dx)

    def collect(self, gradients: Mapping[str, FloatArray], *, add: bool) -> None:
        for key, total in self.sums.items():
            write_gradient(gradients[f"{self.nodes[0].name}.{key}"], total, add=add)
            total.fill(0)
