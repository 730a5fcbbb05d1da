"""Loads a data set to measure a run on, with its pictures prepared as those of the training were."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from cnncli.data.dataset import SYNTHETIC, Dataset, SetEntry, Split, pixel_statistics
from cnncli.data.load import DEFAULT_SIZE, Found, has_pictures, is_own, load_dataset, own_folder
from cnncli.data.mixture import join_sets
from cnncli.pictures.whole import background_of_set
from cnncli.training.model import Model
from cnncli.training.preparation import Prepare, are_digit_images
from cnncli.training.training_set import has_digits, load_member

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
    found: Sequence[Found], entries: Sequence[SetEntry], model: Model, prepare: Prepare, *, is_own: bool
) -> tuple[Dataset, list[str]]:
    """Load a set to measure a model on, its pictures prepared as those of the training were.

    Args:
        found: where the set is; several for all the sets that the model was trained on.
        entries: the same as the config of the model has them.
        model: from `load_model`.
        prepare: how pictures in a folder become images. With "auto" the digits of another set are found for a network
            that reads digits in the form of MNIST, unless the pictures have that form already.
        is_own: whether the model was trained on it.

    Returns:
        The set, and a note if its digits were found.
    """
    if is_own and model.has_list_of_sets:
        return _load_own(found, entries, model, prepare), []
    name, data_dir = found[0]
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


def _load_own(found: Sequence[Found], entries: Sequence[SetEntry], model: Model, prepare: Prepare) -> Dataset:
    """Load one of the several sets of a training run, or all of them as one, as the training did."""
    data = model.data_config
    size = data.get("size", DEFAULT_SIZE)
    loaded = [
        load_member(
            # the limit is of training images, and the drawn test images are the same without it
            replace(entry, limit=None) if entry.name == SYNTHETIC and len(entries) == 1 else entry,
            where,
            among_digits=has_digits(model.sets),
            prepare=str(data.get("prepare", "auto")) if prepare == "auto" else prepare,
            size=tuple(size) if isinstance(size, list) else size,
            colour=bool(data.get("colour", False)),
        )
        for entry, where in zip(entries, found, strict=True)
    ]
    return loaded[0] if len(entries) == 1 else join_sets(entries, loaded)


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
