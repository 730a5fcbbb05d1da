"""Turns a network into the nodes that kernels cover; in inference, BatchNorm is folded into the layer before it."""

from dataclasses import replace

from cnncli.engine.kernels.node import Node
from cnncli.nn.layers import BatchNorm, Conv2D, Linear, Residual
from cnncli.nn.network import Network


def nodes_of(network: Network, *, training: bool) -> list[Node]:
    """Return the network's layers as nodes, with those inside of blocks.

    In inference, Dropout is left out, and a BatchNorm directly after a convolution or a dense layer is folded into it.
    """
    nodes: list[Node] = []
    index = -1
    for name, layer, before, after in network.walk():
        if "." in name:
            continue  # it is added with its block
        index += 1
        if isinstance(layer, Residual):
            _add_block(nodes, index, name, layer, training=training)
            index += len(layer.parts)
        else:
            _add_layer(nodes, Node(index, name, layer, before, after), training=training)
    return nodes


def _add_block(nodes: list[Node], index: int, name: str, block: Residual, *, training: bool) -> None:
    """Add the nodes of a residual block; the numbers of its layers follow its own, as `Network.walk` yields them."""
    before, after = block.input_shape, block.body[-1].output_shape
    nodes.append(Node(index, f"{name}.input", block, before, before, role="fork", block=index))
    for number, part in enumerate(block.parts, start=1):
        if number == len(block.body) + 1:
            shapes = after, before
            nodes.append(Node(index, f"{name}.shortcut", block, *shapes, role="branch", block=index))
        inner = Node(index + number, f"{name}.{part.name}", part.layer, part.input_shape, part.output_shape)
        _add_layer(nodes, inner, training=training)
    nodes.append(Node(index, name, block, after, after, role="add", block=index))


def _add_layer(nodes: list[Node], node: Node, *, training: bool) -> None:
    """Add the node of a layer, or fold it into the last one."""
    layer = node.layer
    if not training and layer.kind == "dropout":
        return
    takes_norm = bool(nodes) and nodes[-1].folded is None and isinstance(nodes[-1].layer, Conv2D | Linear)
    if not training and isinstance(layer, BatchNorm) and takes_norm:
        nodes[-1] = replace(nodes[-1], output_shape=node.output_shape, folded=layer)
    else:
        nodes.append(node)
