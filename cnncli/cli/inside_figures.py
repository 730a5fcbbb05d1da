"""Brings what is inside a network into the form that the figures of a report take."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnncli.inside import filter_pictures, layer_outputs, patch_tile
from cnncli.report.inside import MOST_FILTERS, MOST_MAPS, LayerMaps, PatchRow, draw_insides, draw_look
from cnncli.training.explained import Insides, Looked, patches_title
from cnncli.training.model import Model
from cnncli.types import FloatArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cnncli.training.predictions import PicturePrediction

BEYOND = 128
"""The gray of what lies beyond the border of a patch."""


def insides_figure(model: Model, insides: Insides) -> "Figure":
    """Return the figure of `cnn inspect RUN --save`."""
    filters, heading = None, ""
    if insides.filters is not None:
        filters = filter_pictures(insides.filters.weights)
        size = "x".join(map(str, filters.shape[1:3]))
        heading = f"{insides.filters.layer}: {len(filters)} filters of {size}; gray is 0"
    rows = []
    sample = insides.sample
    for patches in insides.patches:
        assert sample is not None
        tiles = [
            [
                patch_tile(sample.images[image], patches, filter_index, rank, BEYOND)
                for rank, image in enumerate(images)
                if image >= 0
            ]
            for filter_index, images in enumerate(patches.images[:MOST_FILTERS].tolist())
        ]
        rows.append(PatchRow(patches_title(patches, model.classes), tiles, len(patches.values)))
    title = f"Inside {model.name}" + (f", with {sample.title}" if sample is not None else "")
    return draw_insides(filters, heading, rows, title)


def look_figure(
    model: Model,
    prediction: "PicturePrediction",
    looked: Looked,
    x: FloatArray,
    names: Sequence[str] = (),
) -> "Figure":
    """Return the figure of `cnn inspect RUN IMAGE --save`.

    Args:
        model: the network.
        prediction: what it read, with one digit.
        looked: where it looked.
        x: (C, H, W), what the network got.
        names: of the layers to show; none for all.
    """
    layers = []
    for output in layer_outputs(model.network, x[np.newaxis]):
        if names and output.name not in names:
            continue
        values = output.values[0]
        shape = "x".join(map(str, values.shape))
        if output.kind in ("dropout", "flatten"):
            layers.append(LayerMaps(f"{output.name}: {shape}, the same numbers", None))
            continue
        span = f"{float(values.min()):.3g} to {float(values.max()):.3g}"
        more = f"; the first {MOST_MAPS}" if values.ndim == 3 and len(values) > MOST_MAPS else ""
        layers.append(LayerMaps(f"{output.name}: {shape}, {span}{more}", values))
    digit, found = prediction.digits[0], looked.integrated
    subtitle = (
        f"Where it looked for class {model.classes[looked.label]}: orange speaks for it, blue against it. "
        f"The integrated gradients add up to {found.total:.3f} of the change of the logit, {found.change:.3f}. "
        "Maps: each layer on one scale, white on black, or red and blue where there are negative numbers."
    )
    title = f"{model.name} on {prediction.path}"
    return draw_look(digit.pixels, digit.top, looked.heats, layers, title, subtitle)
