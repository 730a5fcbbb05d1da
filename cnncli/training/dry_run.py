"""Prepares a short training run in a temporary folder, to find mistakes before a long one."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cnncli.batches.batches import Batches
from cnncli.data.dataset import Split
from cnncli.runs import Run, create_run
from cnncli.training.prepare import Prepared, prepare

if TYPE_CHECKING:
    from cnncli.config.schema import Config

BATCHES = 3
HELD_OUT = 500
"""The most validation images and the most test images."""


class DryRun(NamedTuple):
    """What `train_run` needs for the short run.

    Attributes:
        config: the user's config, shortened to one epoch of a few batches.
        run: in a temporary folder.
        prepared: the parts of the training run, with few validation and test images.
        images: the number of training images.
    """

    config: "Config"
    run: Run
    prepared: Prepared
    images: int


@contextmanager
def dry_run(config: "Config") -> Iterator[DryRun]:
    """Provide everything for a short run of a config; the folder is removed at the end of the `with` block.

    Raises:
        ConfigError, DataError, CnnError: see `prepare`.

    Example:
        >>> from cnncli import load_config, train_run
        >>> with dry_run(load_config("synthetic")) as short:
        ...     *_, result = train_run(short.config, short.run, prepared=short.prepared, plots=False)
        >>> result.epochs
        1
    """
    images = min(config.data.limit or BATCHES * config.train.batch_size, BATCHES * config.train.batch_size)
    changes = ["train.epochs=1", f"train.warmup_epochs={min(config.train.warmup_epochs, 1)}"]
    if isinstance(config.data.dataset, str):
        changes.append(f"data.limit={images}")
    shorter = config.with_overrides(changes)
    whole = prepare(shorter)
    if whole.batches.count > images:  # several sets have no limit for all of them
        whole = replace(whole, batches=_few_of(whole.batches, images))
    members = tuple(replace(member, test=_few(member.test)) for member in whole.dataset.members)
    dataset = replace(whole.dataset, test=_few(whole.dataset.test), members=members)
    prepared = replace(whole, dataset=dataset, validation=_few(whole.validation))
    with tempfile.TemporaryDirectory(prefix="cnn-dry-run-") as folder:
        yield DryRun(shorter, create_run(folder, "dry-run"), prepared, images)


def _few_of(batches: Batches, count: int) -> Batches:
    """Return batches of so many images, drawn from the first epoch."""
    return Batches(
        batches.images,
        batches.labels,
        batch_size=batches.batch_size,
        seed=batches.seed,
        normalize=batches.normalize,
        augment=batches.augment,
        drop_last=batches.drop_last,
        dtype=batches.dtype,
        indices=np.sort(batches.order(1)[:count]),
        targets=batches.targets,
    )


def _few(split: Split) -> Split:
    return Split(split.images[:HELD_OUT], split.labels[:HELD_OUT])
