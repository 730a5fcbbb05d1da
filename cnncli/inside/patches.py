"""Finds the parts of pictures that excite each filter of the later layers most.

A filter behind the first layer reads maps, not pixels, so its weights are no picture. What it looks for shows in the
patches of the data to which it answers most.

Source: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks (2013), section 3 and figure 2.

N images, B of a batch, F filters, K patches of each.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cnncli.errors import ModelError
from cnncli.nn.layers import INFERENCE, Conv2D, Linear, Residual
from cnncli.nn.network import Network
from cnncli.options import Pair
from cnncli.types import BoolArray, ByteArray, FloatArray, IntArray

from .activations import as_batch
from .receptive_field import geometry, receptive_fields


@dataclass(frozen=True)
class Patches:
    """The patches that excite the filters of one layer most, the most exciting first.

    Attributes:
        layer: its name, such as "conv2".
        measured_at: the layer whose output is measured: itself, or the batch normalization right behind it.
        values: (F, K), what the filter answers; −inf where an answer is not a number.
        images: (F, K), the number of the image, from 0; −1 where an answer is not a number.
        positions: (F, K, 2), row and column in the map of the filter.
        boxes: (F, K, 4), the patch in the image: left, top, right, bottom in pixels.
        corners: (F, K, 2), row and column where the window of the patch begins; negative where a border cuts it.
        window: height and width of a patch that no border cuts, in pixels; at most those of the image.
        silent: (F,), whether the ReLU behind it lets nothing of the filter through, for any of the images.
        is_last: whether the output of the layer is that of the network, the logits.
    """

    layer: str
    measured_at: str
    values: FloatArray
    images: IntArray
    positions: IntArray
    boxes: IntArray
    corners: IntArray
    window: Pair
    silent: BoolArray
    is_last: bool

    def __repr__(self) -> str:
        filters, count = self.values.shape
        height, width = self.window
        return f"Patches({self.layer!r}: {count} of {height}x{width} for each of {filters} filters)"


@dataclass
class _Place:
    """Where a layer is measured, and the best answers so far."""

    layer: str
    index: int
    values: FloatArray
    images: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]


def exciting_patches(
    network: Network,
    batches: Iterable[FloatArray],
    *,
    top: int = 9,
    layers: Sequence[str] | None = None,
) -> dict[str, Patches]:
    """Return the patches that excite each filter most, at most one from each image.

    A filter is measured before its activation function. All of these rise with their input, so the order is the same
    as behind it, but there an answer of ReLU or of a saturated tanh would often be that of many images.

    Equal answers are in the order of the images, and of the positions within one. Memory holds one batch, and `top`
    answers of each filter.

    Args:
        network: takes images, (C, H, W).
        batches: each (B, C, H, W), normalized; see `images_at_once` for how many images a batch may have.
        top: K, how many for each filter.
        layers: names of convolutions and linear layers; None for all but the first. To a unit of a linear layer,
            the patch is the whole image.

    Returns:
        For each layer its patches. K is smaller if there are fewer images.

    Raises:
        ModelError: a name is that of no convolution or linear layer, or the network takes no images.

    Example:
        >>> network = Network([Conv2D(1, 2, 3), Conv2D(2, 4, 3)], (1, 8, 8))
        >>> exciting_patches(network, [np.ones((5, 1, 8, 8))], top=2)
        {'conv2': Patches('conv2': 2 of 5x5 for each of 4 filters)}
    """
    if len(network.input_shape) != 3:
        raise ModelError(f"patches are parts of images, and the network takes {network.input_shape}")
    places = [
        _Place(
            name,
            _measured(network, network.names.index(name)),
            np.full((_width(network, name), 0), -np.inf, network.dtype),
            *(np.zeros((_width(network, name), 0), np.int64) for _ in range(2)),
        )
        for name in _chosen(network, layers)
    ]
    measured = {place.index: place for place in places}
    seen = 0
    for batch in batches:
        x = as_batch(network, batch)
        for index in range(max(measured, default=-1) + 1):
            with np.errstate(over="ignore", invalid="ignore"):
                x = network.layers[index].forward(x, INFERENCE)
            if index in measured:
                _keep_best(measured[index], x, seen, top)
        seen += len(batch)
    return {place.layer: _patches(network, place) for place in places}


def cut_patch(image: ByteArray, box: Sequence[int] | IntArray) -> ByteArray:
    """Return the part of an image (H, W) or (H, W, 3) in a box: left, top, right, bottom."""
    left, top, right, bottom = (int(edge) for edge in box)
    return image[top:bottom, left:right]


def _chosen(network: Network, layers: Sequence[str] | None) -> list[str]:
    known = [
        name
        for name, layer in zip(network.names, network.layers, strict=True)
        if isinstance(layer, Conv2D | Linear | Residual)
    ]
    if layers is None:
        return known[1:]
    if wrong := [name for name in layers if name not in known]:
        raise ModelError(f"{wrong[0]} is no convolution or linear layer", f"known: {', '.join(known)}")
    return [name for name in known if name in layers]


def _width(network: Network, name: str) -> int:
    return network.shapes[network.names.index(name)][0]


def _measured(network: Network, index: int) -> int:
    """Return the index of the layer where a layer is measured."""
    following = network.layers[index + 1 : index + 2]
    return index + 1 if following and following[0].kind == "batchnorm" else index


def _keep_best(place: _Place, x: FloatArray, seen: int, top: int) -> None:
    """Merge the answers of a batch (B, F, OH, OW) or (B, F) into the best so far."""
    answers = x.reshape(*x.shape[:2], -1)  # (B, F, positions)
    answers = np.where(np.isnan(answers), -np.inf, answers)
    where = answers.argmax(axis=2)  # of equal answers the first position
    best = np.take_along_axis(answers, where[..., None], axis=2)[..., 0]  # (B, F)
    numbers = np.broadcast_to(np.arange(seen, seen + len(x)), best.T.shape)
    values = np.concatenate([place.values, best.T], axis=1)
    # a stable sort leaves equal answers in the order of the images
    order = np.argsort(-values, axis=1, kind="stable")[:, :top]
    place.values = np.take_along_axis(values, order, axis=1)
    place.images = np.take_along_axis(np.concatenate([place.images, numbers], axis=1), order, axis=1)
    place.places = np.take_along_axis(np.concatenate([place.places, where.T], axis=1), order, axis=1)


def _patches(network: Network, place: _Place) -> Patches:
    shape = network.shapes[place.index]
    width = shape[2] if len(shape) == 3 else 1
    rows, columns = np.divmod(place.places, width)
    field = geometry(network)[network.names[place.index]]
    _, H, W = network.input_shape
    missing = np.isneginf(place.values)
    next_layer = network.layers[place.index + 1 : place.index + 2]
    is_relu = bool(next_layer) and next_layer[0].kind == "relu"
    window, corners = (H, W), np.zeros((*rows.shape, 2), np.int64)
    if field is not None:
        window = min(field.window[0], H), min(field.window[1], W)
        for axis, (places, size) in enumerate(((rows, H), (columns, W))):
            if field.window[axis] < size:  # a larger one begins where the image does
                corners[..., axis] = field.start[axis] + places * field.jump[axis]
    return Patches(
        place.layer,
        network.names[place.index],
        place.values,
        np.where(missing, -1, place.images),
        np.stack([rows, columns], axis=-1),
        receptive_fields(network, network.names[place.index], rows, columns),
        corners,
        window,
        np.logical_and((place.values <= 0).all(axis=1), is_relu),
        place.index == len(network.layers) - 1,
    )


def patch_tile(image: ByteArray, patches: Patches, filter_index: int, rank: int, fill: int) -> ByteArray:
    """Return a patch at the size of the whole window: what lies beyond the border is filled.

    Args:
        image: (H, W) or (H, W, 3), uint8; the one that `images` names.
        patches: from `exciting_patches`.
        filter_index: which filter, from 0.
        rank: which of its patches, from 0.
        fill: the gray beyond the border, 0 to 255.

    Returns:
        (*window, [3]), uint8.
    """
    tile = np.full((*patches.window, *image.shape[2:]), fill, np.uint8)
    left, top, right, bottom = patches.boxes[filter_index, rank].tolist()
    row, column = patches.corners[filter_index, rank].tolist()
    tile[top - row : bottom - row, left - column : right - column] = image[top:bottom, left:right]
    return tile
