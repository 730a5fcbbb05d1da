"""Finds the images on which a written file is compared with the network that it was made from."""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from cnncli.batches.batches import to_input
from cnncli.errors import CnnError
from cnncli.nn.network import Network
from cnncli.training.lookup import load_set_for
from cnncli.training.model import Model
from cnncli.types import ByteArray, FloatArray, MeanStd, Shape

CHUNK = 500
"""Images in one forward pass."""


class Images(NamedTuple):
    """Images in the form that a network takes.

    Attributes:
        pixels: (N, H, W) or (N, H, W, 3), uint8.
        origin: says which they are, such as "test images of mnist".
    """

    pixels: ByteArray
    origin: str


def find_images(
    model: Model, count: int, part: Literal["train", "test"] = "test", data_dir: str | Path | None = None
) -> Images:
    """Return the first images of the set that a model was trained on, or drawn digits if that set is not at hand.

    Args:
        model: from `load_model`.
        count: how many at most.
        part: which images of the set.
        data_dir: where data sets are; None for where they were in training.
    """
    shape = model.network.input_shape
    if model.sets:
        name = model.sets[0].name
        try:
            dataset = load_set_for(model, name, part, data_dir=data_dir)
        except CnnError:
            dataset = None  # the set was moved, or never downloaded here
        if dataset is not None and dataset.input_shape == shape:
            pixels = getattr(dataset, part).images[:count]
            if len(pixels):
                return Images(pixels, f"{part} images of {name}")
    return Images(_drawn(count, shape), "drawn digits")


def pixels_of(images: Images) -> ByteArray:
    """Return the pixels in the order in which exported networks take them: (N, C, H, W), contiguous.

    Example:
        >>> pixels_of(Images(np.zeros((2, 28, 28), np.uint8), "")).shape
        (2, 1, 28, 28)
    """
    pixels = images.pixels
    return np.ascontiguousarray(pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2))


def logits_of(network: Network, normalize: MeanStd | None, images: Images) -> FloatArray:
    """Return the logits (N, K) that a network computes in inference."""
    pieces = [images.pixels[start : start + CHUNK] for start in range(0, len(images.pixels), CHUNK)]
    return np.concatenate([network.forward(to_input(each, normalize, network.dtype)) for each in pieces])


def _drawn(count: int, shape: Shape) -> ByteArray:
    """Draw digits, and stretch them to another shape (C, H, W) than that of MNIST."""
    from cnncli.data.synthetic.draw import draw_digits

    images = draw_digits(np.arange(count) % 10, np.random.default_rng(0))
    channels, height, width = shape
    if (height, width) != images.shape[1:]:
        rows, columns = (np.arange(size) * 28 // size for size in (height, width))
        images = images[:, rows[:, None], columns]
    return images if channels == 1 else np.repeat(images[..., None], channels, axis=3)
