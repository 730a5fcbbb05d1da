"""Shows what the first layer looks for: each of its filters as a small picture.

F filters, C channels, KH KW height and width of a filter.
"""

from typing import NamedTuple

import numpy as np

from cnncli.errors import ModelError
from cnncli.nn.layers import Conv2D, Linear
from cnncli.nn.network import Network
from cnncli.types import ByteArray, FloatArray


class Filters(NamedTuple):
    """The weights of the first layer that has any.

    Attributes:
        layer: its name.
        weights: (F, C, KH, KW). The units of a linear layer have the size of the image.
    """

    layer: str
    weights: FloatArray


def first_filters(network: Network) -> Filters | None:
    """Return the filters that look at the pixels themselves; None if the network has none, or takes no images.

    Example:
        >>> first_filters(Network([Conv2D(3, 8, 5)], (3, 32, 32))).weights.shape
        (8, 3, 5, 5)
    """
    if len(network.input_shape) != 3:
        return None
    for name, layer in zip(network.names, network.layers, strict=True):
        if isinstance(layer, Conv2D):
            return Filters(name, layer.weight)
        if isinstance(layer, Linear):
            # a unit is a picture only if it reads pixels, and not what pooling has left of them
            if layer.in_features != np.prod(network.input_shape):
                return None
            return Filters(name, layer.weight.reshape(-1, *network.input_shape))
        if layer.kind == "globalavgpool":
            return None
    return None


def filter_pictures(weights: FloatArray) -> ByteArray:
    """Return filters as pictures on one scale: gray is 0, white the largest weight of all, black its negative.

    Args:
        weights: (F, C, KH, KW) with one channel or three.

    Returns:
        (F, KH, KW) for one channel, (F, KH, KW, 3) for three: each channel is that color's.

    Raises:
        ModelError: another number of channels.

    Example:
        >>> filter_pictures(np.array([[[[-2.0, 0.0, 1.0]]]])).tolist()
        [[[0, 128, 191]]]
    """
    if weights.shape[1] not in (1, 3):
        raise ModelError(f"filters of {weights.shape[1]} channels are no pictures", "one channel, or three")
    finite = np.nan_to_num(weights.astype(np.float64), posinf=0.0, neginf=0.0)
    largest = np.abs(finite).max(initial=0.0) or 1.0
    pictures = np.rint(127.5 + 127.5 * finite / largest).astype(np.uint8)
    return pictures[:, 0] if weights.shape[1] == 1 else pictures.transpose(0, 2, 3, 1)
