"""Hides one part of a picture after the other, and looks how much less of a class is left.

Source: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks (2013), section 4.2.

C channels, H W image.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cnncli.nn.network import Network
from cnncli.options import Pair
from cnncli.types import FloatArray

from .activations import as_batch, images_at_once

WINDOWS = 5
"""About as many windows beside each other cover the shorter side of an image."""

OVERLAP = 3
"""A pixel is hidden by about as many windows in each direction."""


@dataclass(frozen=True)
class Occlusion:
    """How much a logit falls where a part of the image is hidden.

    Attributes:
        drops: (H, W), float64, in units of the logit: the mean fall over the windows that hide a pixel. It is negative
            where the logit rises: what was hidden there speaks against the class.
        label: the class.
        logit: of the whole image.
        window: height and width of what is hidden at once, in pixels.
        stride: the distance from one window to the next, in pixels.
    """

    drops: npt.NDArray[np.float64]
    label: int
    logit: float
    window: Pair
    stride: Pair


def usual_window(height: int, width: int) -> Pair:
    """Return the window for an image of this size: square, with a fifth of its shorter side."""
    side = max(round(min(height, width) / WINDOWS), 1)
    return side, side


def occlusion_map(
    network: Network,
    x: FloatArray,
    fill: float | FloatArray,
    label: int | None = None,
    *,
    window: Pair | None = None,
    stride: Pair | None = None,
) -> Occlusion:
    """Slide a window over an image, and measure the logit of a class with the window hidden.

    Windows also hang over the border, so that every pixel is hidden by about as many of them.

    Args:
        network: takes images, (C, H, W).
        x: (C, H, W), normalized.
        fill: what is put in the window, normalized: one number, or an array of the shape of x.
        label: the class; None for the most probable one.
        window: height and width of the window; None for a fifth of the shorter side.
        stride: vertical and horizontal; None for a third of the window. At most the window.

    Example:
        >>> from cnncli.nn.layers import Flatten, Linear
        >>> network = Network([Flatten(), Linear(2, 2)], (1, 1, 2))
        >>> network.layers[1].weight = [[3, -1], [0, 0]]
        >>> occlusion_map(network, np.array([[[1.0, 2.0]]]), 0.0, 0, window=(1, 1)).drops.tolist()
        [[3.0, -2.0]]
    """
    x = as_batch(network, x[np.newaxis])[0]
    _, H, W = x.shape
    KH, KW = window or usual_window(H, W)
    SH, SW = stride or (max(round(KH / OVERLAP), 1), max(round(KW / OVERLAP), 1))
    hidden = np.broadcast_to(np.asarray(fill, network.dtype), x.shape)
    logits = network.forward(x[np.newaxis])[0]
    label = int(logits.argmax()) if label is None else label
    corners = [(top, left) for top in range(SH - KH, H, SH) for left in range(SW - KW, W, SW)]
    sums, counts = np.zeros((H, W)), np.zeros((H, W))
    at_once = images_at_once(network)
    for first in range(0, len(corners), at_once):
        several = corners[first : first + at_once]
        images = np.repeat(x[np.newaxis], len(several), axis=0)
        places = [np.s_[max(top, 0) : top + KH, max(left, 0) : left + KW] for top, left in several]
        for image, place in zip(images, places, strict=True):
            image[:, *place] = hidden[:, *place]
        falls = logits[label].astype(np.float64) - network.forward(images)[:, label]
        for place, fall in zip(places, falls, strict=True):
            sums[place] += fall
            counts[place] += 1
    return Occlusion(sums / counts, label, float(logits[label]), (KH, KW), (SH, SW))
