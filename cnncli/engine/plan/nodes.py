"""Turns a network into the nodes that kernels cover; in inference, BatchNorm is folded into the layer before it."""

from dataclasses import replace

from cnncli.engine.kernels.node import Node
from cnncli.nn.layers import BatchNorm, Conv2D, Linear
from cnncli.nn.network import Network


def nodes_of(network: Network, *, training: bool) -> list[Node]:
    """Return the network's layers as nodes.

    In inference, Dropout is left out, and a BatchNorm directly after a convolution or a dense layer is folded into it.
    """
    nodes: list[Node] = []
    shape = network.input_shape
    for index, (name, layer) in enumerate(zip(network.names, network.layers, strict=True)):
        output = network.shapes[index]
        if not training and layer.kind == "dropout":
            continue
        takes_norm = bool(nodes) and nodes[-1].folded is None and isinstance(nodes[-1].layer, Conv2D | Linear)
        if not training and isinstance(layer, BatchNorm) and takes_norm:
            nodes[-1] = replace(nodes[-1], output_shape=output, folded=layer)
        else:
            nodes.append(Node(index, name, layer, shape, output))
        shape = output
    return nodes
