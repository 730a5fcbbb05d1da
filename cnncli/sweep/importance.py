"""How much of the differences between trials each key explains alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from cnncli.config.yaml_writer import inline

BINS = 4
"""A key with more numbers than this is put into as many groups of equal size."""


def importance(trials: Sequence[tuple[Mapping[str, Any], float]]) -> dict[str, float | None]:
    """Return for each key the share of the variance of the accuracy that it explains alone, the greatest first.

    The trials are put into groups by the value of the key, and the share is epsilon squared, an estimate that is 0 on
    average for a key without influence: (SSB - (k - 1) MSW) / SST, with the sums of squares between k groups and in
    all, and the mean square within. What keys do together is not in it, so the shares need not add up to 1.

    Args:
        trials: the values and the accuracy of each.

    Returns:
        Shares from 0 to 1; None where there are too few trials or values to tell.

    Source: T. L. Kelley, An unbiased correlation ratio measure, PNAS 21 (1935).

    Example:
        >>> found = importance([({"lr": 0.1, "x": n % 2}, 0.5 + 0.1 * (n % 2)) for n in range(6)])
        >>> found["lr"], round(found["x"], 3)
        (None, 1.0)
    """
    keys = dict.fromkeys(key for values, _ in trials for key in values)
    found = {key: _share([(values.get(key), accuracy) for values, accuracy in trials]) for key in keys}
    return dict(sorted(found.items(), key=lambda item: -1.0 if item[1] is None else item[1], reverse=True))


def _share(pairs: Sequence[tuple[Any, float]]) -> float | None:
    groups = list(_grouped(pairs).values())
    count, k = len(pairs), len(groups)
    if k < 2 or count <= k:
        return None
    mean = sum(accuracy for _, accuracy in pairs) / count
    total = sum((accuracy - mean) ** 2 for _, accuracy in pairs)
    between = sum(len(group) * (sum(group) / len(group) - mean) ** 2 for group in groups)
    if total == 0:
        return None
    within = max(total - between, 0.0) / (count - k)
    return min(max((between - (k - 1) * within) / total, 0.0), 1.0)


def _grouped(pairs: Sequence[tuple[Any, float]]) -> dict[object, list[float]]:
    """Return the accuracies by the value of the key; many numbers in groups of about equal size."""
    values = [value for value, _ in pairs]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    groups: dict[object, list[float]] = {}
    if numbers and len(set(values)) > BINS:
        order = sorted(range(len(pairs)), key=lambda at: values[at])
        place = {values[at]: rank * BINS // len(order) for rank, at in enumerate(order)}
        for value, accuracy in pairs:
            groups.setdefault(place[value], []).append(accuracy)
        return groups
    for value, accuracy in pairs:
        groups.setdefault(inline(value), []).append(accuracy)
    return groups
