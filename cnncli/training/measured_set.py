"""Loads a data set to measure a run on, with its pictures prepared as those of the training were."""

from functools import partial
from pathlib import Path

from cnncli.data.dataset import Dataset, Split, pixel_statistics
from cnncli.data.load import has_pictures, is_own, load_dataset, own_folder
from cnncli.pictures.whole import background_of_set
from cnncli.training.model import Model
from cnncli.training.preparation import Prepare, are_digit_images

FAR = 0.1
"""A mean of pixels in 0..1 that is farther than this from that of the training is worth a warning."""

WARNING = "warning: "
"""How a note starts that names a likely mistake."""


def is_same_set(name: str, trained_on: object) -> bool:
    """Return whether two names mean one set: for folders of the user's own, whether they are the same folder."""
    if name == trained_on or not isinstance(trained_on, str):
        return name == trained_on
    return (
        is_own(name) and is_own(trained_on) and own_folder(name).resolve() == own_folder(trained_on).resolve()
    )


def load_measured_set(
    name: str, data_dir: str | Path, model: Model, prepare: Prepare, *, is_own: bool
) -> tuple[Dataset, list[str]]:
    """Load a set to measure a model on, its pictures prepared as those of the training were.

    Args:
        name, data_dir: as for `load_dataset`.
        model: from `load_model`.
        prepare: how pictures in a folder become images. With "auto" the digits of another set are found for a network
            that reads digits in the form of MNIST, unless the pictures have that form already.
        is_own: whether it is the set that the model was trained on.

    Returns:
        The set, and a note if its digits were found.
    """
    shape = model.network.input_shape
    if len(shape) != 3 or not has_pictures(name):
        return load_dataset(name, data_dir), []
    channels, height, width = shape
    load = partial(load_dataset, name, data_dir, size=(height, width), colour=channels == 3)
    if is_own and prepare == "auto":
        prepare = "digits" if model.data_config.get("prepare") == "digits" else "as_is"
    if prepare != "auto":
        return load(prepare=prepare), []
    dataset = load()
    images = (dataset.train if len(dataset.train) else dataset.test).images
    if model.preparation.form == "as_is" or are_digit_images(images, dataset.mean):
        return dataset, []
    reason = f"mean {dataset.mean:.2f}, {background_of_set(images)} background"
    return load(prepare="digits"), [
        f"the pictures of {dataset.name} are not in the form of MNIST ({reason}), so the digit of each is found; "
        "`prepare='as_is'` prevents that"
    ]


def differences(model: Model, name: str, images: Split) -> list[str]:
    """Return a warning if the images are much brighter or darker than those of the training."""
    trained = model.preparation
    mean, background = pixel_statistics(images.images)[0], background_of_set(images.images)
    before = trained.mean if trained.mean is not None or model.normalize is None else model.normalize[0]
    if {background, trained.background} == {"dark", "bright"}:
        return [
            f"{WARNING}the images of {name} have a {background} background (mean {mean:.2f}), and those that "
            f"{model.name} was trained on a {trained.background} one"
            + (f" (mean {before:.2f})" if before is not None else "")
        ]
    if before is None or abs(mean - before) <= FAR:
        return []
    return [
        f"{WARNING}the images of {name} have mean {mean:.2f}, and those that {model.name} was trained on {before:.2f}"
    ]
