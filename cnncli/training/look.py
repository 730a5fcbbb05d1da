"""Gets what is needed to look into a trained network: images of its data, and what "no ink" is for it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnncli.batches.batches import to_input
from cnncli.data.load import files_of, has_pictures
from cnncli.errors import CnnError
from cnncli.inside import images_at_once
from cnncli.nn.summary import summarize, totals
from cnncli.training.lookup import PartName, load_set_for
from cnncli.training.measured_set import find_sets
from cnncli.training.model import Model
from cnncli.types import ByteArray, FloatArray, IntArray

MOST_IMAGES = 1000
"""The most images that are looked at to find exciting patches."""

LEAST_IMAGES = 16

MULTIPLY_ADDS = 3_000_000_000
"""The work that is allowed for it: about a second."""


@dataclass(frozen=True)
class Sample:
    """Some images of the data of a model, evenly spread over the set.

    Attributes:
        dataset: the name of the set.
        part: "test", or "train" for a set without test images.
        images: (N, H, W) or (N, H, W, C), uint8, in the form that the model takes.
        indices: (N,), their positions in that part of the set.
        labels: (N,), their classes, by their position in `classes`.
        classes: the names of the classes of the set.
    """

    dataset: str
    part: PartName
    images: ByteArray
    indices: IntArray
    labels: IntArray
    classes: tuple[str, ...]

    @property
    def title(self) -> str:
        """What they are, such as "400 test images of mnist"."""
        part = "training" if self.part == "train" else self.part
        return f"{len(self.images):,} {part} images of {self.dataset}"

    def __repr__(self) -> str:
        return f"Sample({self.title})"


def sample_of_data(
    model: Model,
    data_dir: str | Path | None = None,
    notify: Callable[[str], None] = lambda line: None,
    *,
    most_bytes: int | None = None,
) -> Sample | None:
    """Return images of the first set that a model was trained on and that is here; nothing is downloaded.

    The larger the network, the fewer images are taken, so that it takes about a second to look at them.

    Args:
        model: from `load_model`.
        data_dir: where data sets are; None for where they were in training.
        notify: called with a sentence for each set that is not looked at.
        most_bytes: leave out a folder whose pictures are larger in all, because decoding them takes long; None for
            any size.

    Returns:
        None if none of them is here, or if the network takes no images.
    """
    shape = model.network.input_shape
    for entry in model.sets if len(shape) == 3 else ():
        try:
            size = 0 if most_bytes is None else _bytes_of_pictures(model, entry.name, data_dir)
            if most_bytes is not None and size > most_bytes:
                notify(
                    f"{entry.name} is not looked at: to read {size / 1e6:,.0f} MB of pictures takes long; "
                    "`most_bytes=None` takes the time"
                )
                continue
            dataset = load_set_for(model, entry.name, "test", data_dir=data_dir)
            part: PartName = "test"
            if not len(dataset.test):
                part = "train"
                if not len(dataset.train):
                    dataset = load_set_for(model, entry.name, "train", data_dir=data_dir)
        except CnnError as error:
            notify(f"{entry.name} is not looked at: {error.message}")
            continue
        split = dataset.test if part == "test" else dataset.train
        if len(split) and dataset.input_shape == shape:
            count = min(images_to_look_at(model), len(split))
            indices = np.arange(count) * len(split) // count
            return Sample(
                entry.name, part, split.images[indices], indices, split.labels[indices], dataset.classes
            )
        notify(
            f"{entry.name} is not looked at: its images are {dataset.input_shape}, and the network takes {shape}"
        )
    return None


def _bytes_of_pictures(model: Model, name: str, data_dir: str | Path | None) -> int:
    """Return the size of all pictures of a set; 0 for a set that is not made of picture files."""
    name, folder = find_sets(model, name, joined=False, data_dir=data_dir).found[0]
    if not has_pictures(name):
        return 0
    return sum(file.stat().st_size for file in files_of(name, folder) if file.is_file())


def images_to_look_at(model: Model) -> int:
    """Return how many images go through a network in about a second, from `LEAST_IMAGES` to `MOST_IMAGES`."""
    work = totals(summarize(model.network)).multiply_adds
    return min(max(MULTIPLY_ADDS // max(work, 1), LEAST_IMAGES), MOST_IMAGES)


def input_batches(model: Model, images: ByteArray) -> Iterator[FloatArray]:
    """Yield images as the normalized inputs of a model, (B, C, H, W), as many at once as memory is meant for.

    Args:
        model: from `load_model`.
        images: (N, H, W) or (N, H, W, C), uint8, in the form that the model takes.
    """
    at_once = images_at_once(model.network)
    for start in range(0, len(images), at_once):
        yield to_input(images[start : start + at_once], model.normalize, model.network.dtype)


def pixel_without_ink(model: Model) -> int:
    """Return the pixel that shows nothing: the background of the training pictures, 0 or 255, or their mean gray."""
    preparation = model.preparation
    if preparation.background != "mixed":
        return 0 if preparation.background == "dark" else 255
    mean = preparation.mean if preparation.mean is not None else (model.normalize or (0.5, 1.0))[0]
    return min(max(round(255 * mean), 0), 255)


def no_ink(model: Model) -> float:
    """Return a pixel that shows nothing, as the network gets it: normalized."""
    pixel = np.full((1, 1, 1), pixel_without_ink(model), np.uint8)
    return float(to_input(pixel, model.normalize, np.float64)[0, 0, 0, 0])
