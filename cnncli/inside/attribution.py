"""Says which parts of a picture speak for a class: its gradient, and Grad-CAM, which is calmer.

N images, C channels, H W image, h w maps of a layer.
"""

from collections.abc import Iterator

import numpy as np

from cnncli.errors import ModelError
from cnncli.nn.layers import INFERENCE, Conv2D, Mode, Residual
from cnncli.nn.network import Network
from cnncli.types import FloatArray, IntArray

from .activations import as_batch, images_at_once
from .receptive_field import Geometry, geometry

ELEMENTWISE = ("batchnorm", "relu", "leaky_relu", "prelu", "silu", "gelu", "tanh", "sigmoid")
"""The kinds of layers that belong to the convolution before them: each number of a map stays in its place."""


def input_gradient(network: Network, x: FloatArray, classes: IntArray | None = None) -> FloatArray:
    """Return how the logit of a class changes with each pixel.

    Source: Simonyan et al., Deep Inside Convolutional Networks (2013), section 3.

    Args:
        network: any. The gradients of its parameters are overwritten.
        x: (N, *input_shape), normalized.
        classes: (N,); None for the most probable class of each image.

    Returns:
        (N, *input_shape), in units of the logit per unit of the input.

    Example:
        >>> from cnncli.nn.layers import Flatten, Linear
        >>> network = Network([Flatten(), Linear(4, 2)], (1, 2, 2))
        >>> network.layers[1].weight = [[1, 2, 3, 4], [0, 0, 0, 0]]
        >>> input_gradient(network, np.ones((1, 1, 2, 2)), np.array([0])).tolist()
        [[[[1.0, 2.0], [3.0, 4.0]]]]
    """
    parts = [gradient for _, gradient in _gradients(network, as_batch(network, x), classes, -1)]
    return np.concatenate(parts) if parts else np.empty_like(as_batch(network, x))


def cam_layer(network: Network) -> str | None:
    """Return the layer whose maps Grad-CAM weighs; None if there is none.

    It is the last convolution or residual block whose maps have more than one position, with the batch normalization
    and the activation function right behind it: the deepest place where the network still knows where something is,
    before pooling makes it coarser.

    Example:
        >>> from cnncli.nn.layers import Flatten, Linear, MaxPool2D, ReLU
        >>> cam_layer(Network([Conv2D(1, 2, 3), ReLU(), MaxPool2D(2), Flatten(), Linear(18, 2)], (1, 8, 8)))
        'relu1'
    """
    spatial = [
        index
        for index, (layer, shape) in enumerate(zip(network.layers, network.shapes, strict=True))
        if isinstance(layer, Conv2D | Residual) and len(shape) == 3 and shape[1] * shape[2] > 1
    ]
    if not spatial:
        return None
    index = spatial[-1]
    while index + 1 < len(network.layers) and network.layers[index + 1].kind in ELEMENTWISE:
        index += 1
    return network.names[index]


def grad_cam(network: Network, x: FloatArray, classes: IntArray | None = None) -> FloatArray:
    """Return where a network looked: the maps of its last convolution, weighed by what they do for a class.

        map[n] = max(0, sum over k of weight[n, k] · A[n, k])
        weight[n, k] = mean over positions of d logit[n] / d A[n, k]

    The map of `cam_layer` is spread over the image: each position stands at the center of its receptive field, and
    pixels between are interpolated. A network without such a layer has no maps: the absolute input gradient, summed
    over the channels, takes their place.

    Source: Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks (2017), section 3.

    Args:
        network: takes images, (C, H, W). The gradients of its parameters are overwritten.
        x: (N, C, H, W), normalized.
        classes: (N,); None for the most probable class of each image.

    Returns:
        (N, H, W), not negative. An image in which nothing speaks for the class is 0 everywhere. The values of two
        images can be compared, those of two networks cannot.

    Raises:
        ModelError: the network takes no images.
    """
    if len(network.input_shape) != 3:
        raise ModelError(f"Grad-CAM needs images, and the network takes {network.input_shape}")
    name = cam_layer(network)
    if name is None:
        saliency: FloatArray = np.abs(input_gradient(network, x, classes)).sum(axis=1)
        return saliency
    field = geometry(network)[name]
    assert field is not None
    _, H, W = network.input_shape
    return spread(class_maps(network, x, classes, name), field, (H, W))


def class_maps(
    network: Network, x: FloatArray, classes: IntArray | None = None, layer: str | None = None
) -> FloatArray:
    """Return the maps of Grad-CAM at the size of the layer.

    Args:
        network: takes images, (C, H, W). The gradients of its parameters are overwritten.
        x: (N, C, H, W), normalized.
        classes: (N,); None for the most probable class of each image.
        layer: a layer with maps; None for `cam_layer`.

    Returns:
        (N, h, w), not negative.

    Raises:
        ModelError: the layer has no maps.
    """
    name = layer if layer is not None else cam_layer(network)
    if name is None:
        raise ModelError("the network has no convolution with maps")
    index = network.names.index(name)
    shape = network.shapes[index]
    if len(shape) != 3:
        raise ModelError(f"{name} has no maps, but {shape[0]} numbers", "name a layer before flatten")
    parts = []
    for maps, dmaps in _gradients(network, as_batch(network, x), classes, index):
        weights = dmaps.mean(axis=(2, 3))  # (B, K)
        parts.append(np.maximum(np.einsum("bk,bkij->bij", weights, maps), 0))
    return np.concatenate(parts) if parts else np.empty((0, *shape[1:]), network.dtype)


def spread(maps: FloatArray, field: Geometry, size: tuple[int, int]) -> FloatArray:
    """Return maps (N, h, w) at the size of the image: a value stands at the center of its receptive field.

    Pixels between centers are interpolated, in both directions, and pixels outside of all have the value of the
    nearest one.

    Args:
        maps: (N, h, w).
        field: where their receptive fields are.
        size: height and width of the image.

    Returns:
        (N, H, W).

    Example:
        >>> spread(np.array([[[0.0, 1.0]]]), Geometry((1, 2), (1, 2), (0, 0)), (1, 4)).round(2).tolist()
        [[[0.0, 0.25, 0.75, 1.0]]]
    """
    for axis in (0, 1):
        count = maps.shape[1 + axis]
        first = field.center((0, 0))[axis]
        at = np.clip((np.arange(size[axis]) - first) / field.jump[axis], 0, count - 1)
        low = np.minimum(at.astype(int), max(count - 2, 0))
        share = (at - low).astype(maps.dtype)
        shape = [1, 1, 1]
        shape[1 + axis] = size[axis]
        above = np.take(maps, np.minimum(low + 1, count - 1), axis=1 + axis)
        maps = np.take(maps, low, axis=1 + axis) * (1 - share).reshape(shape) + above * share.reshape(shape)
    return maps


def _gradients(
    network: Network, x: FloatArray, classes: IntArray | None, index: int
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield, for a few images at a time, the output of a layer and the gradient of a logit with respect to it.

    Args:
        network: any.
        x: (N, *input_shape).
        classes: (N,), or None for the most probable.
        index: of the layer; −1 for the input.
    """
    at_once = images_at_once(network, keep=True)
    for start in range(0, len(x), at_once):
        values = x[start : start + at_once]
        with np.errstate(over="ignore", invalid="ignore"):
            for layer in network.layers[: index + 1]:
                values = layer.forward(values, INFERENCE)
            logits = values
            for layer in network.layers[index + 1 :]:
                logits = layer.forward(logits, Mode(keep=True))
            wanted = logits.argmax(axis=1) if classes is None else classes[start : start + at_once]
            gradient = np.zeros_like(logits)
            gradient[np.arange(len(logits)), wanted] = 1
            for layer in reversed(network.layers[index + 1 :]):
                gradient = layer.backward(gradient)
        yield values, gradient
