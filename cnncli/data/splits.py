"""Takes a validation part out of a training set, with every class in its proportion."""

import math

import numpy as np
import numpy.typing as npt

from cnncli.errors import DataError, UsageError
from cnncli.types import IntArray

Indices = npt.NDArray[np.int64]


def stratified_split(
    labels: IntArray, count: int | float, rng: np.random.Generator
) -> tuple[Indices, Indices]:
    """Draw `count` validation samples so that each class keeps its share of them.

    Class c with n_c of the N samples gives floor(count·n_c / N); the samples still missing come one each from
    the classes with the largest remainders; so every class is within one sample of its share.

    Args:
        labels: (N,) class numbers from 0.
        count: how many samples, or a fraction of them between 0 and 1; 0 takes none.
        rng: decides which samples.

    Returns:
        The indices to train on and those to validate on, each sorted; together every sample once.

    Raises:
        UsageError: the count is not a number of samples this set can give.
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
    for_the_rest = np.argsort(-remainders, kind="stable")[: wanted - int(quotas.sum())]
    quotas[for_the_rest] += 1
    chosen = [
        rng.permutation(np.flatnonzero(labels == label))[:quota]
        for label, quota in zip(classes, quotas, strict=True)
    ]
    in_validation = np.zeros(total, dtype=bool)
    in_validation[np.concatenate(chosen)] = True
    return np.flatnonzero(~in_validation), np.flatnonzero(in_validation)


def _sample_count(count: int | float, total: int) -> int:
    """Return a number of samples, from a number or a fraction; at least one has to be left to train on."""
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
            "take a smaller one: --set data.validation=NUMBER",
        )
    return wanted
