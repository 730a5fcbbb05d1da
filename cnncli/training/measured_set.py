"""Loads a data set to measure a run on, with its pictures prepared as those of the training were."""

from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from cnncli.data.dataset import SYNTHETIC, Dataset, SetEntry, Split, pixel_statistics
from cnncli.data.load import (
    Found,
    find_all_again,
    has_pictures,
    is_own,
    load_dataset,
    own_folder,
)
from cnncli.data.mixture import join_sets
from cnncli.data.reading import AS_FOUND, Reading
from cnncli.errors import RunError, StorageError
from cnncli.pictures.whole import background_of_set
from cnncli.runs import Run
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


class MeasuredSets(NamedTuple):
    """The set that a model is measured on, or all the sets that it was trained on.

    Attributes:
        name: as a user calls it.
        entries: each set as the config of the model has it.
        found: where each is now.
        is_own: whether the model was trained on it.
    """

    name: str
    entries: tuple[SetEntry, ...]
    found: tuple[Found, ...]
    is_own: bool


def find_sets(model: Model, name: str | None, *, joined: bool, data_dir: str | Path | None) -> MeasuredSets:
    """Find a set to measure a model on; this loads nothing.

    Args:
        model: from `load_model`.
        name: of the set; None for the first one that the model was trained on.
        joined: find all the sets that it was trained on, instead.
        data_dir: where data sets are; None for where they were in training.
    """
    own = model.sets
    known = tuple(each for each in own if name is None or is_same_set(name, each.name))
    folder = model.data_config.get("dir", "data")
    if not known:
        other = name or ""
        found = Found(other, folder if data_dir is None else data_dir)
        return MeasuredSets(other, (SetEntry(other),), (found,), is_own=False)
    entries = own if joined else known[:1]
    every = find_all_again([each.name for each in own], folder, _recorded_path(model), moved_to=data_dir)
    return MeasuredSets(
        model.meta["dataset"] if joined else entries[0].name,
        entries,
        tuple(every[own.index(each)] for each in entries),
        is_own=True,
    )


def _recorded_path(model: Model) -> object:
    """Return where the set was, or each set, in training, as the run.json beside the checkpoint says."""
    with suppress(RunError, StorageError):
        return Run(model.path.absolute().parent.parent).read_info().get("data_path")
    return None


def load_measured_set(
    sets: MeasuredSets, model: Model, prepare: Prepare, *, draw_test: bool = True
) -> tuple[Dataset, list[str]]:
    """Load a set to measure a model on, its pictures prepared as those of the training were.

    Args:
        sets: from `find_sets`.
        model: from `load_model`.
        prepare: how pictures in a folder become images. With "auto" the digits of another set are found for a network
            that reads digits in the form of MNIST, unless the pictures have that form already.
        draw_test: as for `load_dataset`.

    Returns:
        The set, and a note if its digits were found.
    """
    if sets.is_own and model.has_list_of_sets:
        return _load_own(sets, model, prepare, draw_test=draw_test), []
    name, data_dir = sets.found[0]
    shape = model.network.input_shape
    if len(shape) != 3 or not is_own(name):
        return load_dataset(name, data_dir, draw_test=draw_test), []
    channels, height, width = shape
    load = partial(
        load_dataset,
        name,
        data_dir,
        size=(height, width),
        colour=channels == 3,
        draw_test=draw_test,
        reading=Reading.from_config(model.data_config) if sets.is_own else AS_FOUND,
    )
    if not has_pictures(name):
        return load(), []
    if sets.is_own and prepare == "auto":
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


def _load_own(sets: MeasuredSets, model: Model, prepare: Prepare, *, draw_test: bool) -> Dataset:
    """Load one of the several sets of a training run, or all of them as one, as the training did."""
    data, alone = model.data_config, len(sets.entries) == 1
    size, colour = data.get("size", "auto"), data.get("colour", "auto")
    loaded = [
        load_member(
            # the limit is of training images, and the drawn test images are the same without it
            replace(entry, limit=None) if entry.name == SYNTHETIC and alone else entry,
            where,
            among_digits=has_digits(model.sets),
            prepare=str(data.get("prepare", "auto")) if prepare == "auto" else prepare,
            size=tuple(size) if isinstance(size, list) else size,
            colour=colour if isinstance(colour, bool) else "auto",
            reading=Reading.from_config(data),
            draw_test=draw_test,
        )
        for entry, where in zip(sets.entries, sets.found, strict=True)
    ]
    return loaded[0] if alone else join_sets(sets.entries, loaded)


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
