"""Says how the pictures of a training run were prepared, so that `eval` and `predict` prepare others the same way."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from cnncli.data.dataset import FOLDER_PREFIX, SYNTHETIC, Dataset
from cnncli.errors import CheckpointError
from cnncli.mapped import take
from cnncli.pictures.whole import Background, Form, background_of_set
from cnncli.types import ByteArray, Shape

Prepare = Literal["auto", "digits", "as_is"]
"""How pictures are prepared: as digits in the form of MNIST, as they are, or as the set suggests."""

DIGIT_SETS = frozenset(("mnist", "qmnist", "emnist-digits", "emnist-mnist", SYNTHETIC))
"""The sets by name whose images are digits in the form of MNIST."""

DIGIT_SHAPE: Shape = (1, 28, 28)
"""The input of a network that reads digits in the form of MNIST."""

_MEANS = (0.08, 0.2)  # of images in the form of MNIST; MNIST itself has 0.13, EMNIST digits 0.17
_SAMPLE = 500


@dataclass(frozen=True)
class Preparation:
    """How the pictures of a training run were prepared: `preparation` in run.json and in a checkpoint.

    Attributes:
        form: "digits" for digits in the form of MNIST; "as_is" for whole pictures that were only resized.
        size: height and width of the images.
        colour: whether they have three colours.
        background: of nearly all training images; "mixed" if it varies or is not known.
        mean: the mean of the training pixels / 255; None if it is not known.
    """

    form: Form
    size: tuple[int, int]
    colour: bool
    background: Background
    mean: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the entry of run.json."""
        return {**asdict(self), "size": list(self.size)}


def preparation_of(dataset: Dataset, prepare: Prepare = "auto") -> Preparation:
    """Return how the images of a data set were prepared.

    Args:
        dataset: what is trained on.
        prepare: `data.prepare` of the config. With "auto" the form of a set of the user's own is that of its images.
    """
    from cnncli.data.registry import DATASETS

    images = dataset.train.images
    channels, *size = dataset.input_shape
    if prepare == "auto":
        names = [member.name for member in dataset.members] or [dataset.name]
        if any(name in DATASETS or name == SYNTHETIC for name in names):
            # the pictures of a folder beside a set of digits were prepared as digits
            digits = any(name in DIGIT_SETS for name in names)
        else:
            digits = are_digit_images(images, dataset.mean)
        prepare = "digits" if digits else "as_is"
    return Preparation(prepare, (size[0], size[1]), channels == 3, background_of_set(images), dataset.mean)


def are_digit_images(images: ByteArray, mean: float) -> bool:
    """Return whether nearly all images are digits in the form of MNIST: 28x28, bright on black, centered by mass.

    Args:
        images: (N, H, W) or (N, H, W, C), uint8; at most 500 are looked at.
        mean: of all their pixels / 255.
    """
    if len(images) == 0 or images.shape[1:] != DIGIT_SHAPE[1:] or not _MEANS[0] <= mean <= _MEANS[1]:
        return False
    from cnncli.pictures.digits import is_in_mnist_form  # imports Pillow

    some = take(images, slice(None, None, -(-len(images) // _SAMPLE)))
    return sum(map(is_in_mnist_form, some)) >= 0.9 * len(some)


def read_preparation(meta: Mapping[str, Any], shape: Shape) -> Preparation:
    """Return the preparation that a checkpoint records; for one without the entry, what its data set suggests.

    Args:
        meta: the JSON part of the checkpoint.
        shape: the input shape of its network.

    Raises:
        CheckpointError: the entry is not one that `Preparation.to_json` writes.
    """
    channels, *size = shape if len(shape) == 3 else (1, *shape, 1, 1)[:3]
    recorded = meta.get("preparation")
    if recorded is None:
        from cnncli.data.registry import DATASETS, DIGITS  # not needed for a checkpoint of today

        name = meta.get("dataset")
        published = name in DATASETS or name == SYNTHETIC
        if name is None:
            digits = shape == DIGIT_SHAPE
        elif published:
            digits = name in DIGIT_SETS
        else:
            folder = str(name).startswith(FOLDER_PREFIX)
            digits = shape == DIGIT_SHAPE and not folder and tuple(meta["classes"]) == DIGITS
        form: Form = "digits" if digits else "as_is"
        return Preparation(form, (size[0], size[1]), channels == 3, "dark" if published else "mixed")
    fields = recorded if isinstance(recorded, dict) else {}
    mean = fields.get("mean")
    if (
        fields.get("form") not in ("digits", "as_is")
        or fields.get("background") not in get_args(Background)
        or not (mean is None or (type(mean) in (int, float) and math.isfinite(mean)))
        or fields.get("size") != size
        or fields.get("colour") is not (channels == 3)
    ):
        raise CheckpointError(f"its preparation is not one that this version knows: {recorded!r:.200}")
    return Preparation(fields["form"], (size[0], size[1]), channels == 3, fields["background"], mean)
