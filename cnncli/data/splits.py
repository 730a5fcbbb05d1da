"""Takes a validation set out of a training set, so that every class keeps its proportion."""

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from cnncli.data.dataset import Split
from cnncli.errors import DataError, UsageError
from cnncli.randomness import stream
from cnncli.types import IntArray

Indices = npt.NDArray[np.int64]

AUTO_COUNT, AUTO_FRACTION = 5000, 0.1
"""By default, the validation set is this many images, or this fraction of a set with fewer images."""


def stratified_split(
    labels: IntArray, count: int | float | Literal["auto"], rng: np.random.Generator
) -> tuple[Indices, Indices]:
    """Draw `count` validation samples so that every class keeps its proportion.

    A class with n of the N samples gets floor(count·n / N) validation samples. The rest comes from the classes with
    the largest remainders, one sample each. So every class is within one sample of its exact proportion.

    Args:
        labels: (N,), class numbers from 0.
        count: the number of validation samples, or a fraction between 0 and 1 of all samples; "auto" for 5,000, or a
            tenth of all samples if that is less.
        rng: draws the samples.

    Returns:
        The indices of the training samples and of the validation samples, each sorted; every sample is in one of them.

    Raises:
        UsageError: the count is not possible for this set.
        DataError: the set is empty.

    Example:
        >>> train, validation = stratified_split(np.array([0, 0, 0, 1, 1, 1]), 2, np.random.default_rng(0))
        >>> len(train), len(validation)
        (4, 2)
    """
    total = len(labels)
    if total == 0:
        raise DataError("there are no images to take a validation part from")
    wanted = _sample_count(count, total)
    classes, sizes = np.unique(labels, return_counts=True)
    quotas = sizes * wanted // total
    remainders = sizes * wanted % total
    largest_remainders = np.argsort(-remainders, kind="stable")[: wanted - int(quotas.sum())]
    quotas[largest_remainders] += 1
    chosen = [
        rng.permutation(np.flatnonzero(labels == label))[:quota]
        for label, quota in zip(classes, quotas, strict=True)
    ]
    in_validation = np.zeros(total, dtype=bool)
    in_validation[np.concatenate(chosen)] = True
    return np.flatnonzero(~in_validation), np.flatnonzero(in_validation)


def cut_test(train: Split, fraction: float = 0.2, seed: int = 0) -> tuple[Split, Split]:
    """Take a test set out of the images of a set that comes without one.

    Args:
        train: all images.
        fraction: of each class.
        seed: seed of the draw.

    Returns:
        The remaining training images and the test images.
    """
    kept, held_out = stratified_split(train.labels, fraction, stream(seed, "split"))
    return train.part(kept), train.part(held_out)


def _sample_count(count: int | float | Literal["auto"], total: int) -> int:
    """Convert a count or a fraction to a number of samples that leaves at least one to train on."""
    if count == "auto":
        return min(AUTO_COUNT, max(round(total * AUTO_FRACTION), 1), total - 1)
    if isinstance(count, bool) or not math.isfinite(count) or count < 0:
        raise UsageError(
            f"a validation part of {count} is not possible", "give a number of images, or a fraction"
        )
    if 0 < count < 1:
        wanted = round(total * count)
        if wanted == 0:
            raise UsageError(
                f"a validation part of {count} of {total:,} images is none", "take a larger fraction"
            )
    elif count == int(count):
        wanted = int(count)
    else:
        raise UsageError(
            f"a validation part of {count} images is not possible", "a fraction lies between 0 and 1"
        )
    if wanted >= total:
        raise UsageError(
            f"a validation part of {wanted:,} images leaves none of the {total:,} to train on",
            "take a smaller one: `data.validation=auto` or a number",
        )
    return wanted
