"""Builds all that a training run needs from its config, and refuses what cannot work before training starts."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cnncli.batches.augment import make_augmentation
from cnncli.batches.batches import Batches, Portion
from cnncli.config.check import check_names
from cnncli.data.dataset import SYNTHETIC, Dataset, Split
from cnncli.data.load import DEFAULT_SIZE, Found, check_form, has_pictures, load_dataset, set_path
from cnncli.data.registry import DATASETS
from cnncli.data.splits import stratified_split
from cnncli.errors import CnnError, ModelError, UsageError
from cnncli.memory import available_bytes
from cnncli.nn.build import build_network
from cnncli.nn.network import Network
from cnncli.optim import ExponentialAverage, Optimizer, Schedule, make_average, make_optimizer, make_schedule
from cnncli.randomness import stream
from cnncli.training.preparation import Preparation, preparation_of
from cnncli.training.training_set import check_sets, load_training_set
from cnncli.types import IntArray, MeanStd, Shape

if TYPE_CHECKING:
    from cnncli.config.schema import Config

_PLAIN_COPIES = 3
"""How many arrays the plain executor holds per activation: the value, its gradient, a convolution's windows."""


@dataclass(frozen=True)
class Prepared:
    """All that a training run works on, ready to start.

    Attributes:
        config: what the rest was built from.
        dataset: the whole data set.
        validation: the images held out of the training set; may be empty.
        batches: the remaining training images, augmented and normalized.
        network: with its initial weights.
        optimizer, schedule, average: as the config names them.
        normalize: mean and standard deviation, or None.
        data_checksum: of the training images and labels in use; a resume must find the same.
        preparation: how the pictures became images; `eval` and `predict` do the same.
        data_path: where the set was found, None for drawn digits; of several sets a list.
    """

    config: "Config"
    dataset: Dataset
    validation: Split
    batches: Batches
    network: Network
    optimizer: Optimizer
    schedule: Schedule
    average: ExponentialAverage | None
    normalize: MeanStd | None
    data_checksum: int
    preparation: Preparation
    data_path: str | list[str | None] | None


def prepare(
    config: "Config", *, data_dir: str | Path | None = None, found: Sequence[Found] | None = None
) -> Prepared:
    """Load the data and build network, batches, optimizer, schedule and average.

    Args:
        config: what to train and how.
        data_dir: the folder of the data sets; replaces config.data.dir.
        found: where each set of the config is found now; replaces the names in config.data.dataset, and data_dir.

    Raises:
        ConfigError: a part of the config cannot be built; the message names file and line.
        DataError: the data set is missing or broken.
        CnnError: a batch does not fit into memory.
    """
    check_names(config)
    data_dir = config.data.dir if data_dir is None else data_dir
    found = found or [Found(entry.name, data_dir) for entry in config.data.sets]
    dataset = load_training_set(config, found)
    train, _ = _split(config, dataset)
    paths = [set_path(*each) for each in found]
    network = _build_network(config, dataset)
    _check_memory(config, network)
    settings, normalize = config.train, config.data.mean_std
    try:
        augment = make_augmentation(config.data.augment)
    except ModelError as error:
        raise config.model_error(error, "data.augment") from error
    batches = Batches(
        dataset.train.images,
        dataset.train.labels,
        batch_size=settings.batch_size,
        seed=config.seed,
        normalize=normalize,
        augment=augment,
        drop_last=settings.drop_last,
        dtype=network.dtype,
        indices=portions(dataset, train),
    )
    optimizer, schedule, average = _build_optimization(config, network, len(batches))
    return Prepared(
        config=config,
        dataset=dataset,
        validation=select_split(
            dataset, "val", seed=config.seed, validation=config.data.validation, limit=config.data.limit
        ),
        batches=batches,
        network=network,
        optimizer=optimizer,
        schedule=schedule,
        average=average,
        normalize=normalize,
        data_checksum=data_checksum(dataset, train),
        preparation=preparation_of(dataset, config.data.prepare),
        data_path=paths[0] if isinstance(config.data.dataset, str) else paths,
    )


def data_checksum(dataset: Dataset, train: IntArray) -> int:
    """Return a checksum of a training set, of its own validation images and of the positions (N,) trained on."""
    arrays = [dataset.train.images, dataset.train.labels, train]
    if dataset.validation is not None:
        arrays += [dataset.validation.images, dataset.validation.labels]
    checksum = 0
    for array in arrays:
        checksum = zlib.crc32(np.ascontiguousarray(array).data, checksum)
    return checksum


def set_checksum(dataset: Dataset, part: slice = slice(None)) -> int:
    """Return a checksum of the training images and labels of a set, or of one part of them."""
    checksum = 0
    for array in (dataset.train.images[part], dataset.train.labels[part]):
        checksum = zlib.crc32(np.ascontiguousarray(array).data, checksum)
    return checksum


def describe_sets(prepared: Prepared) -> dict[str, Any]:
    """Return what run.json and a checkpoint say of several sets; nothing for one set.

    `images` counts the training images of a set with those held out, `epoch_images` those in each epoch.
    """
    dataset, batches = prepared.dataset, prepared.batches
    if not dataset.members:
        return {}
    counts = [portion.wanted for portion in batches.portions]
    if not counts and batches.indices is not None:
        counts = [
            int(np.diff(np.searchsorted(batches.indices, each.positions))[0]) for each in dataset.members
        ]
    return {
        "sets": [
            {
                "name": member.name,
                "images": member.positions[1] - member.positions[0],
                "epoch_images": count,
                "checksum": set_checksum(dataset, member.slice),
            }
            for member, count in zip(dataset.members, counts, strict=True)
        ]
    }


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
    images, labels = dataset.train.images[chosen], dataset.train.labels[chosen]
    if split == "val" and dataset.validation is not None:
        images = np.concatenate([images, dataset.validation.images])
        labels = np.concatenate([labels, dataset.validation.labels])
    return Split(images, labels)


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


def portions(dataset: Dataset, train: IntArray) -> IntArray | list[Portion]:
    """Return what an epoch is made of, as `Batches` takes it.

    Without a share, each image is in an epoch once. With shares, this holds for the sets that have none, and the others
    are added until each is the part that its share says. If every set has a share, an epoch has as many images as all
    sets together.

    Args:
        dataset: all training images.
        train: the positions (N,) of those that are not held out for validation, sorted.
    """
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


def _split(config: "Config", dataset: Dataset) -> tuple[IntArray, IntArray]:
    data = config.data
    try:
        return split_indices(dataset, seed=config.seed, validation=data.validation, limit=data.limit)
    except UsageError as error:
        raise config.error(("data", "validation"), error.message, error.hint) from error


def build_untrained(config: "Config", shape: Shape | None = None) -> Network:
    """Return the network of a config with its random initial weights.

    Args:
        config: what to build.
        shape: (C, H, W) of the images; None to look it up, which reads no images of a published set.

    Raises:
        ConfigError: the network cannot be built, or no data set has the config's name; names file and line.
        DataError: a data set of the user's own cannot be read.
    """
    try:
        shape = shape or input_shape(
            config.data.sets[0].name, config.data.dir, size=config.data.size, colour=config.data.colour
        )
    except UsageError as error:
        raise config.error(("data", "dataset"), error.message, error.hint) from error
    try:
        return build_network(
            config.model, shape, rng=stream(config.seed, "init"), dtype=np.dtype(config.engine.dtype)
        )
    except ModelError as error:
        raise config.model_error(error) from error


def input_shape(
    dataset: str,
    data_dir: str | Path,
    *,
    size: int | tuple[int, int] = DEFAULT_SIZE,
    colour: bool = False,
) -> Shape:
    """Return (C, H, W) of the images of a data set; no images of a published set and no pictures are read.

    Raises:
        UsageError: no data set has this name, or it is fixed to another size.
        DataError: a data set of the user's own cannot be read.
    """
    check_form(dataset, size, colour)
    published = DATASETS[dataset].file("train", "images").shape if dataset in DATASETS else None
    if published is not None:
        return (1, *published[1:])
    if dataset == SYNTHETIC:
        return (1, 28, 28)
    if has_pictures(dataset):
        height, width = (size, size) if isinstance(size, int) else size
        return (3 if colour else 1, height, width)
    return load_dataset(dataset, data_dir).input_shape


def check_model(config: "Config") -> None:
    """Refuse sets that do not fit each other and a model that does not fit a published set, before that is fetched.

    Raises:
        ConfigError: as for `prepare`.
    """
    check_sets(config)
    for entry in config.data.sets:
        if (spec := DATASETS.get(entry.name)) and spec.file("train", "images").shape:
            _check_outputs(config, build_untrained(config), entry.name, len(spec.classes))
            return


def _build_network(config: "Config", dataset: Dataset) -> Network:
    network = build_untrained(config, dataset.input_shape)
    _check_outputs(config, network, dataset.name, len(dataset.classes), int(dataset.train.labels.min()))
    return network


def _check_outputs(
    config: "Config", network: Network, dataset: str, classes: int, first_label: int = 0
) -> None:
    outputs = network.output_shape[0]
    if outputs != classes:
        without = f" (its labels go from {first_label} to {classes - 1})" if first_label else ""
        raise config.error(
            ("model", len(config.model) - 1),
            f"the network has {outputs} outputs, but {dataset} has {classes} classes{without}",
            f"set the last layer to {classes} units: linear: {classes}",
        )


def _build_optimization(
    config: "Config", network: Network, steps_per_epoch: int
) -> tuple[Optimizer, Schedule, ExponentialAverage | None]:
    settings = config.train
    section = "train.optimizer"
    try:
        optimizer = make_optimizer(settings.optimizer.name, settings.optimizer.options, network.parameters)
        section = "train.schedule"
        schedule = make_schedule(
            settings.schedule.name,
            settings.schedule.options,
            base_lr=settings.optimizer.lr,
            total_steps=settings.epochs * steps_per_epoch,
            steps_per_epoch=steps_per_epoch,
            warmup_epochs=settings.warmup_epochs,
        )
        section = "train.average"
        average = settings.average and make_average(settings.average.name, settings.average.options, network)
    except ModelError as error:
        raise config.model_error(error, section) from error
    return optimizer, schedule, average or None


def _check_memory(config: "Config", network: Network) -> None:
    """Refuse a batch whose activations do not fit into memory; `build_network` has checked the weights."""
    activations = sum(prod(shape) for shape in network.shapes) + prod(network.input_shape)
    copies = _PLAIN_COPIES if config.engine.kind == "plain" else 1
    image_bytes = copies * activations * network.dtype.itemsize
    needed, available = image_bytes * config.train.batch_size, available_bytes()
    if needed > available:
        raise CnnError(
            f"a batch of {config.train.batch_size} images takes about {needed / 1e9:,.1f} GB in this "
            f"network, and {available / 1e9:,.1f} GB are available",
            hint=f"use a smaller batch: `train.batch_size={max(available // (2 * image_bytes), 1)}`",
        )
