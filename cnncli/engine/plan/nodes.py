"""Turns a network into the nodes that kernels cover; in inference, BatchNorm is folded into the layer before it."""

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
        last = nodes[-1] if nodes else None
        if (
            not training
            and isinstance(layer, BatchNorm)
            and last is not None
            and last.folded is None
            and isinstance(last.layer, Conv2D | Linear)
        ):
            nodes[-1] = Node(last.index, last.name, last.layer, last.input_shape, output, folded=layer)
        else:
            nodes.append(Node(index, name, layer, shape, output))
        shape = output
    return nodes
