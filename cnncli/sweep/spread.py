"""The mean and the standard deviation of accuracies over runs."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any


@dataclass(frozen=True)
class Spread:
    """How a figure varies over runs.

    Attributes:
        mean: of all runs that have it; None when there is none.
        std: the standard deviation of a sample, with n - 1 in the denominator; None for less than two runs.
        count: how many runs have it.
    """

    mean: float | None
    std: float | None
    count: int

    def to_json(self) -> dict[str, Any]:
        """Return it as values of JSON."""
        return asdict(self)


def spread(values: Iterable[float | None]) -> Spread:
    """Return mean and standard deviation of the values that are there.

    Example:
        >>> spread([0.25, 0.75, None])
        Spread(mean=0.5, std=0.3535533905932738, count=2)
    """
    known = [value for value in values if value is not None]
    return Spread(
        fmean(known) if known else None,
        stdev(known) if len(known) > 1 else None,
        len(known),
    )
