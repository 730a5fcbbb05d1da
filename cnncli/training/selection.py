"""Selects the images that a run trains on, validates on and is tested on, the same ones again at any later time."""

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from cnncli.batches.batches import Portion
from cnncli.data.dataset import Dataset, Split, join_splits
from cnncli.data.splits import stratified_split
from cnncli.mapped import blocks
from cnncli.randomness import stream
from cnncli.types import OF_NO_CLASS, ByteArray, IntArray

if TYPE_CHECKING:
    from cnncli.config.schema import Config

POOL = 3
"""For each image of no class in an epoch, so many are drawn to choose from."""


def select_split(
    dataset: Dataset,
    split: Literal["train", "val", "test"],
    *,
    seed: int,
    validation: int | float | Literal["auto"],
    limit: int | None = None,
) -> Split:
    """Return the images that a training run used for training, validation or test.

    A set may come with validation images. Otherwise they are drawn first, from the whole training set, and depend on
    the seed alone. A limit then keeps the first images of the rest. So these few numbers are enough to select a run's
    validation images again. Of several sets they are drawn from each that comes without any, every class of every set
    in proportion, and those of the other sets follow.

    Args:
        dataset: the whole data set.
        split: which of its parts.
        seed, validation, limit: as in the config of the run.

    Raises:
        UsageError: the set has too few images for that many validation images.
    """
    if split == "test":
        return dataset.test
    if split == "val" and dataset.validation is not None and not dataset.members:
        return dataset.validation
    train, held_out = split_indices(dataset, seed=seed, validation=validation, limit=limit)
    chosen = train if split == "train" else held_out
    part = dataset.train.part(chosen)
    return join_splits([part, dataset.validation]) if split == "val" and dataset.validation else part


def split_indices(
    dataset: Dataset, *, seed: int, validation: int | float | Literal["auto"], limit: int | None = None
) -> tuple[IntArray, IntArray]:
    """Return the positions of the training and the validation images in the training set; see `select_split`."""
    if dataset.members:
        return _split_members(dataset, seed, validation)
    if dataset.validation is not None:
        validation = 0
    train, held_out = stratified_split(dataset.train.labels, validation, stream(seed, "split"))
    return train[:limit], held_out


def _split_members(
    dataset: Dataset, seed: int, validation: int | float | Literal["auto"]
) -> tuple[IntArray, IntArray]:
    """Hold out images of every class of every set in proportion, except of the sets with validation images."""
    groups = dataset.train.labels.copy()
    drawable = np.ones(len(groups), dtype=bool)
    for number, member in enumerate(dataset.members):
        groups[member.slice] += number * len(dataset.classes)
        drawable[member.slice] = not member.has_validation
    positions = np.flatnonzero(drawable)
    if len(positions) == 0:
        return np.arange(len(groups)), positions
    _, held_out = stratified_split(groups[positions], validation, stream(seed, "split"))
    held_out = positions[held_out]
    kept = np.ones(len(groups), dtype=bool)
    kept[held_out] = False
    return np.flatnonzero(kept), held_out


def portions(dataset: Dataset, train: IntArray, outliers: int = 0) -> IntArray | list[Portion]:
    """Return what an epoch is made of, as `Batches` takes it.

    Without a share, each image is in an epoch once. With shares, this holds for the sets that have none, and the others
    are added until each is the part that its share says. If every set has a share, an epoch has as many images as all
    sets together.

    Args:
        dataset: all training images.
        train: the positions (N,) of those that are not held out for validation, sorted.
        outliers: the number of images of no class, which follow the training images; an epoch has a random part of
            them.
    """
    if outliers:
        known = portions(dataset, train)
        last = Portion(len(dataset.train) + np.arange(outliers), outliers // POOL)
        return [*(known if isinstance(known, list) else [Portion(known, len(known))]), last]
    members = dataset.members
    if all(member.share is None for member in members):
        return train
    of_member = [train[slice(*np.searchsorted(train, member.positions))] for member in members]
    shares = sum(member.share or 0 for member in members)
    alone = sum(len(each) for each, member in zip(of_member, members, strict=True) if member.share is None)
    total = alone / (1 - shares) if alone else len(train)
    return [
        Portion(each, len(each) if member.share is None else max(round(member.share * total), 1))
        for each, member in zip(of_member, members, strict=True)
    ]


def draw_outliers(config: "Config", dataset: Dataset, train: IntArray) -> ByteArray:
    """Draw the images of no class that `data.unknown` asks for, (n, 28, 28); none if it asks for none."""
    if not config.data.unknown:
        return np.empty((0, *dataset.train.images.shape[1:]), np.uint8)
    from cnncli.data.synthetic.others import draw_others

    chosen = portions(dataset, train)
    known = sum(portion.wanted for portion in chosen) if isinstance(chosen, list) else len(chosen)
    count = max(round(known * config.data.unknown / (1 - config.data.unknown)), 1)
    return draw_others(POOL * count, stream(config.seed, "unknown"))


def with_outliers(train: Split, outliers: ByteArray) -> tuple[ByteArray, IntArray]:
    """Return the training images and labels with images of no class after them."""
    if not len(outliers):
        return train.images, train.labels
    labels = np.full(len(outliers), OF_NO_CLASS, np.int64)
    return np.concatenate([train.images, outliers]), np.concatenate([train.labels, labels])


def data_checksum(dataset: Dataset, train: IntArray) -> int:
    """Return a checksum of a training set, of its own validation images and of the positions (N,) trained on."""
    arrays: list[npt.NDArray[Any]] = [dataset.train.images, dataset.train.labels, train]
    if dataset.validation is not None:
        arrays += [dataset.validation.images, dataset.validation.labels]
    return _checksum(arrays)


def set_checksum(dataset: Dataset, part: slice = slice(None)) -> int:
    """Return a checksum of the training images and labels of a set, or of one part of them."""
    return _checksum([dataset.train.images[part], dataset.train.labels[part]])


def _checksum(arrays: Sequence[npt.NDArray[Any]]) -> int:
    checksum = 0
    for array in arrays:
        for block in blocks(array):
            checksum = zlib.crc32(np.ascontiguousarray(block).data, checksum)
    return checksum
