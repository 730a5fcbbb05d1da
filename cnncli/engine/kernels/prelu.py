"""PReLU, the one activation with weights: its kernel sums their gradients over the pixels."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from cnncli.engine.kernels.arrays import ChannelRow, empty, shared_zeros
from cnncli.engine.kernels.kernel import Kernel, LayerGenerators, Workload, of_slot, write_gradient
from cnncli.engine.kernels.layout import Layout, record_copy, transposed_shape
from cnncli.engine.kernels.node import Node
from cnncli.engine.kernels.products import ColumnSum
from cnncli.engine.kernels.tape import Tape
from cnncli.nn.layers import Layer, PReLU
from cnncli.types import FloatArray


class PReLUKernel(Kernel):
    """y = max(x, 0) + weight · min(x, 0), with a weight for each channel. It keeps x, since y may have either sign."""

    description: ClassVar[str] = "PReLU"
    layer: ClassVar[type[Layer]] = PReLU

    def __init__(self, nodes: Sequence[Node], workload: Workload) -> None:
        super().__init__(nodes, workload)
        self.shape = transposed_shape(nodes[0].input_shape, workload.images)
        size, channels = math.prod(self.shape), self.shape[-1]
        self.x = empty(workload.input_slots, size)
        self.zeros, self.weight = shared_zeros(size), ChannelRow(size // channels, channels)
        self.y, self.negative = (workload.scratch.empty(size) for _ in range(2))
        if workload.training:
            self.dx, self.dy = empty(size), workload.scratch.empty(size)
            self.positive = workload.scratch.empty_mask(size)
            self.dweight = ColumnSum(size // channels, channels)

    def prepare(self, generators: LayerGenerators) -> None:
        self.weight.set(self.nodes[0].layer.parameters["weight"].value)

    def input_layout(self, slot: int) -> Layout:
        return self.workload.layout(of_slot(self.x, slot), self.shape)

    def record_forward(self, tape: Tape, slot: int, out: Layout) -> None:
        x, rows = of_slot(self.x, slot), self.weight.across(self.negative)
        tape.minimum(x, self.zeros, out=self.negative)
        tape.multiply(rows, self.weight.row, out=rows)
        tape.maximum(x, self.zeros, out=self.y)
        tape.add(self.y, self.negative, out=self.y)
        record_copy(tape, self.workload.layout(self.y, self.shape), out)

    def record_backward(self, tape: Tape, slot: int, dy: Layout) -> Layout:
        x, rows = of_slot(self.x, slot), self.weight.across(self.dx)
        record_copy(tape, dy, self.workload.layout(self.dy, self.shape))
        tape.minimum(x, self.zeros, out=self.negative)
        tape.multiply(self.negative, self.dy, out=self.negative)
        self.dweight.record_add(tape, self.negative.reshape(-1, self.shape[-1]))
        # dx = dy · weight, and dy · (1 - weight) more where x > 0
        tape.greater(x, self.zeros, out=self.positive)
        tape.copy(self.positive, out=self.y)
        tape.multiply(self.y, self.dy, out=self.y)
        tape.multiply(self.weight.across(self.dy), self.weight.row, out=rows)
        positive = self.weight.across(self.y)
        tape.record(self._scale_positive, positive)
        tape.add(rows, positive, out=rows)
        return self.workload.layout(self.dx, self.shape)

    def _scale_positive(self, rows: FloatArray) -> None:
        np.multiply(rows, 1 - self.weight.row, out=rows)

    def collect(self, gradients: Mapping[str, FloatArray], *, add: bool) -> None:
        weight = self.nodes[0].layer.parameters["weight"]
        total = self.dweight.total
        value = total if weight.shape == total.shape else total.sum(keepdims=True)
        write_gradient(gradients[f"{self.nodes[0].name}.weight"], value, add=add)
        self.dweight.clear()
