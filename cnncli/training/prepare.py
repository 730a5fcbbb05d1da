"""Builds all that a training run needs from its config, and refuses what cannot work before training starts."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnncli.batches.augment import make_augmentation
from cnncli.batches.batches import Batches
from cnncli.config.check import check_names
from cnncli.data.dataset import SYNTHETIC, Dataset, Split
from cnncli.data.load import (
    DEFAULT_SIZE,
    Found,
    check_form,
    has_pictures,
    load_dataset,
    set_path,
)
from cnncli.data.reading import AS_FOUND, Colour, Reading, Size
from cnncli.data.registry import DATASETS
from cnncli.engine import start_workers_early
from cnncli.errors import CnnError, ModelError, UsageError
from cnncli.memory import available_bytes
from cnncli.nn.build import build_network
from cnncli.nn.network import Network
from cnncli.optim import Average, Optimizer, Schedule, make_average, make_optimizer, make_schedule
from cnncli.randomness import stream
from cnncli.training.event_log import require_package
from cnncli.training.initial import Initial, start_from
from cnncli.training.preparation import Preparation, preparation_of
from cnncli.training.selection import (
    POOL,
    data_checksum,
    draw_outliers,
    portions,
    select_split,
    set_checksum,
    split_indices,
    with_outliers,
)
from cnncli.training.targets import Teacher, make_targets
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
        outliers: how many images of no class each epoch has.
        initial: where the first weights came from; None for random ones, and in a resume.
        teachers: whose answers are learned from.
    """

    config: "Config"
    dataset: Dataset
    validation: Split
    batches: Batches
    network: Network
    optimizer: Optimizer
    schedule: Schedule
    average: Average | None
    normalize: MeanStd | None
    data_checksum: int
    preparation: Preparation
    data_path: str | list[str | None] | None
    outliers: int = 0
    initial: Initial | None = None
    teachers: tuple[Teacher, ...] = ()


def prepare(
    config: "Config",
    *,
    data_dir: str | Path | None = None,
    found: Sequence[Found] | None = None,
    resume: bool = False,
) -> Prepared:
    """Load the data and build network, batches, optimizer, schedule and average.

    Args:
        config: what to train and how.
        data_dir: the folder of the data sets; replaces config.data.dir.
        found: where each set of the config is found now; replaces the names in config.data.dataset, and data_dir.
        resume: the weights of a checkpoint will replace the first ones, so those of `train.init_from` are not needed.

    Raises:
        ConfigError: a part of the config cannot be built; the message names file and line.
        DataError: the data set is missing or broken.
        RunError: the weights of `train.init_from` are not there, or do not fit.
        CnnError: a batch does not fit into memory.
    """
    check_names(config)
    engine = config.engine
    start_workers_early(
        engine.kind,
        workers=engine.workers,
        shards=None if engine.shards == "auto" else engine.shards,
        start_method=engine.start_method,
    )
    data_dir = config.data.dir if data_dir is None else data_dir
    found = found or [Found(entry.name, data_dir) for entry in config.data.sets]
    dataset = load_training_set(config, found)
    train, _ = _split(config, dataset)
    outliers = draw_outliers(config, dataset, train)
    paths = [set_path(*each) for each in found]
    network = _build_network(config, dataset)
    _check_memory(config, network)
    settings, normalize = config.train, config.data.mean_std
    network.freeze(settings.freeze)
    if all(parameter.frozen for parameter in network.parameters.named.values()):
        raise config.error(("train", "freeze"), "all layers are frozen, so there is nothing to train")
    initial = None
    if settings.init_from is not None and not resume:
        initial = start_from(network, settings.init_from, partial=settings.init_partial)
    try:
        augment = make_augmentation(config.data.augment)
    except ModelError as error:
        raise config.model_error(error, "data.augment") from error
    images, labels = with_outliers(dataset.train, outliers)
    targets, teachers = make_targets(config, dataset, train, labels)
    batches = Batches(
        images,
        labels,
        batch_size=settings.batch_size,
        seed=config.seed,
        normalize=normalize,
        augment=augment,
        drop_last=settings.drop_last,
        dtype=network.dtype,
        indices=portions(dataset, train, len(outliers)),
        targets=targets,
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
        outliers=len(outliers) // POOL,
        initial=initial,
        teachers=teachers,
    )


def describe_sets(prepared: Prepared) -> dict[str, Any]:
    """Return what run.json and a checkpoint say of several sets; nothing for one set.

    `images` counts the training images of a set with those held out, `epoch_images` those in each epoch.
    """
    dataset, batches = prepared.dataset, prepared.batches
    if not dataset.members:
        return {}
    counts = [portion.wanted for portion in batches.portions[: len(dataset.members)]]
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
            config.data.sets[0].name,
            config.data.dir,
            size=config.data.size,
            colour=config.data.colour,
            reading=config.data.reading,
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
    size: Size = "auto",
    colour: Colour = "auto",
    reading: Reading = AS_FOUND,
) -> Shape:
    """Return (C, H, W) of the images of a data set; no images of a published set and no pictures are read.

    Raises:
        UsageError: no data set has this name, or it is fixed to another size.
        DataError: a data set of the user's own cannot be read.
    """
    check_form(dataset, size, colour, reading)
    published = DATASETS[dataset].file("train", "images").shape if dataset in DATASETS else None
    if published is not None:
        return (1, *published[1:])
    if dataset == SYNTHETIC:
        return (1, 28, 28)
    if has_pictures(dataset):
        side = DEFAULT_SIZE if size is None or size == "auto" else size
        height, width = (side, side) if isinstance(side, int) else side
        return (3 if colour is True else 1, height, width)
    return load_dataset(dataset, data_dir, size=size, colour=colour, reading=reading).input_shape


def check_model(config: "Config") -> None:
    """Refuse sets that do not fit each other and a model that does not fit a published set, before that is fetched.

    Raises:
        ConfigError: as for `prepare`.
    """
    check_sets(config)
    if config.train.log:
        try:
            require_package()
        except UsageError as error:
            raise config.error(("train", "log"), error.message, error.hint) from error
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
) -> tuple[Optimizer, Schedule, Average | None]:
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
        average = settings.average and make_average(
            settings.average.name, settings.average.options, network, settings.epochs * steps_per_epoch
        )
    except ModelError as error:
        raise config.model_error(error, section) from error
    return optimizer, schedule, average or None


def _check_memory(config: "Config", network: Network) -> None:
    """Refuse a batch whose activations do not fit into memory; `build_network` has checked the weights."""
    activations = sum(prod(placed.output_shape) for placed in network.walk()) + prod(network.input_shape)
    copies = _PLAIN_COPIES if config.engine.kind == "plain" else 1
    image_bytes = copies * activations * network.dtype.itemsize
    needed, available = image_bytes * config.train.batch_size, available_bytes()
    if needed > available:
        raise CnnError(
            f"a batch of {config.train.batch_size} images takes about {needed / 1e9:,.1f} GB in this "
            f"network, and {available / 1e9:,.1f} GB are available",
            hint=f"use a smaller batch: `train.batch_size={max(available // (2 * image_bytes), 1)}`",
        )
