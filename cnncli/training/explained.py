"""Explains a trained network: what excites its filters, and where it looked in a picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnncli.batches.batches import to_input
from cnncli.inside import (
    Filters,
    Integrated,
    Occlusion,
    Patches,
    cam_layer,
    exciting_patches,
    first_filters,
    grad_cam,
    integrated_gradients,
    occlusion_map,
)
from cnncli.inside.occlusion import usual_window
from cnncli.nn.summary import summarize, totals
from cnncli.training.look import Sample, input_batches, no_ink, sample_of_data
from cnncli.training.model import Model
from cnncli.types import ByteArray, FloatArray

LARGE = 200_000_000
"""The multiply-adds of a network from which on it counts as large."""

TOP = 9
"""How many patches are looked for, for each filter."""


@dataclass(frozen=True)
class Insides:
    """What excites the filters of a network.

    Attributes:
        classes: the names of its classes.
        filters: those of the first layer; None if it has none to look at.
        sample: the images that were looked at; None if no set of the network is here.
        patches: of each later layer.
    """

    classes: tuple[str, ...]
    filters: Filters | None
    sample: Sample | None
    patches: tuple[Patches, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the entries of `cnn inspect RUN --json`."""
        filters = None
        if self.filters is not None:
            filters = {"layer": self.filters.layer, "weights": self.filters.weights}
        sample = self.sample
        if sample is None:
            return {"filters": filters, "patches": None}
        return {
            "filters": filters,
            "patches": {
                "dataset": sample.dataset,
                "part": sample.part,
                "images": len(sample.images),
                "layers": [
                    {
                        "layer": each.layer,
                        "measured_at": each.measured_at,
                        "window": each.window,
                        "silent": each.silent,
                        "values": each.values,
                        "images": np.where(each.images < 0, -1, sample.indices[each.images]),
                        "boxes": each.boxes,
                    }
                    for each in self.patches
                ],
            },
        }


def insides_of(
    model: Model,
    data_dir: str | Path | None = None,
    notify: Callable[[str], None] = lambda line: None,
    layers: Sequence[str] = (),
    *,
    most_bytes: int | None = None,
) -> Insides:
    """Return the filters of a model, and the patches of its own data that excite the later ones.

    Args:
        model: from `load_model`.
        data_dir: where data sets are; None for where they were in training.
        notify: called with a sentence for each set that is not here.
        layers: convolutions and linear layers to look at; none for all.
        most_bytes: as for `sample_of_data`.

    Raises:
        ModelError: a layer is neither.
    """
    filters = first_filters(model.network)
    wanted = list(layers) or None
    if filters is not None and wanted is not None:
        if filters.layer in wanted:
            wanted.remove(filters.layer)
        else:
            filters = None
    sample = sample_of_data(model, data_dir, notify, most_bytes=most_bytes)
    patches: tuple[Patches, ...] = ()
    if sample is not None:
        found = exciting_patches(model.network, input_batches(model, sample.images), top=TOP, layers=wanted)
        patches = tuple(found.values())
    return Insides(model.classes, filters, sample, patches)


def unit_names(patches: Patches, classes: Sequence[str]) -> list[str]:
    """Return what the filters of a layer are called: by their numbers, and those of the last layer by their classes."""
    count = len(patches.values)
    return list(classes) if _are_classes(patches, classes) else [str(number) for number in range(count)]


def patches_title(patches: Patches, classes: Sequence[str]) -> str:
    """Return what the filters of a layer are, such as "conv2: 32 filters, each sees 8x8 pixels"."""
    count = len(patches.values)
    kinds = ("class", "classes") if _are_classes(patches, classes) else ("filter", "filters")
    if patches.layer.startswith("linear") and kinds[0] == "filter":
        kinds = ("unit", "units")
    size = "x".join(map(str, patches.window))
    return f"{patches.layer}: {count:,} {kinds[count != 1]}, each sees {size} pixels"


def _are_classes(patches: Patches, classes: Sequence[str]) -> bool:
    return patches.is_last and len(patches.values) == len(classes)


@dataclass(frozen=True)
class Looked:
    """Where a network looked in a picture.

    Attributes:
        label: the class that is explained, by its number.
        cam_layer: the layer of Grad-CAM; None for the absolute input gradient in its place.
        cam: (H, W), not negative.
        occlusion: how the logit falls where a part is hidden.
        integrated: the share of each pixel in the change of the logit.
    """

    label: int
    cam_layer: str | None
    cam: FloatArray
    occlusion: Occlusion
    integrated: Integrated

    @property
    def heats(self) -> list[tuple[str, FloatArray]]:
        """A short name and an array (H, W) of each."""
        name = "input gradient" if self.cam_layer is None else f"Grad-CAM at {self.cam_layer}"
        height, width = self.occlusion.window
        return [
            (name, self.cam),
            (f"occlusion by {height}x{width}", self.occlusion.drops),
            ("integrated gradients", self.integrated.values.sum(axis=0)),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the entries of `cnn inspect RUN IMAGE --json`."""
        found = self.integrated
        return {
            "logit": found.logit,
            "grad_cam": {"layer": self.cam_layer, "values": self.cam},
            "occlusion": {
                "window": self.occlusion.window,
                "stride": self.occlusion.stride,
                "values": self.occlusion.drops,
            },
            "integrated_gradients": {
                "baseline_logit": found.baseline_logit,
                "sum": found.total,
                "change": found.change,
                "gap": found.gap,
                "gradients": found.steps,
                "values": found.values,
            },
        }


def is_large(model: Model) -> bool:
    """Return whether it takes more than some seconds to look where a network looked."""
    return totals(summarize(model.network)).multiply_adds > LARGE


def where_it_looked(model: Model, pixels: ByteArray, label: int) -> Looked:
    """Return where a network looked in a picture for a class.

    Args:
        model: from `load_model`.
        pixels: (H, W) or (H, W, 3), uint8, prepared for the network as `predict_pictures` does.
        label: the class, by its number.
    """
    network, nothing = model.network, no_ink(model)
    # the windows of a large network do not overlap, which takes a ninth of the time
    stride = usual_window(*pixels.shape[:2]) if is_large(model) else None
    x = to_input(pixels[np.newaxis], model.normalize, network.dtype)
    return Looked(
        label,
        cam_layer(network),
        grad_cam(network, x, np.array([label]))[0],
        occlusion_map(network, x[0], nothing, label, stride=stride),
        integrated_gradients(network, x[0], nothing, label),
    )
