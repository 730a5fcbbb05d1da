"""The values that a key of the config can take in a search."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnncli.config.errors import Problem
from cnncli.config.values import brief, is_list
from cnncli.names import did_you_mean

if TYPE_CHECKING:
    import numpy as np

FORMS = ("uniform", "log", "int", "log_int", "choice")

_DIGITS = 4
"""Significant digits of a drawn number, so that a config can be read."""


@dataclass(frozen=True)
class Range:
    """All numbers between two.

    Attributes:
        low, high: the ends, which belong to it.
        log: draw evenly on a log scale.
        whole: whole numbers only.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def draw(self, rng: "np.random.Generator") -> float:
        """Return a number."""
        if self.whole and not self.log:
            return int(rng.integers(int(self.low), int(self.high) + 1))
        # half a unit at both ends, so that the ends of a range of whole numbers are as likely as the others
        low, high = (self.low - 0.5, self.high + 0.5) if self.whole else (self.low, self.high)
        share = float(rng.random())
        if self.log:
            value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
        else:
            value = low + share * (high - low)
        value = round(value) if self.whole else float(f"{value:.{_DIGITS}g}")
        return min(max(value, self.low), self.high)

    def examples(self) -> list[object]:
        """Return values that a config is checked with."""
        return [self.low, self.high]


@dataclass(frozen=True)
class Choice:
    """A list of values.

    Attributes:
        values: of any type that a config can have.
    """

    values: tuple[object, ...]

    def draw(self, rng: "np.random.Generator") -> object:
        """Return one of the values."""
        return self.values[int(rng.integers(len(self.values)))]

    def examples(self) -> list[object]:
        """Return values that a config is checked with."""
        return list(self.values)


Space = Range | Choice


def read_space(value: object) -> Space:
    """Return what a key of `search` stands for: a list of values, or {log: [low, high]} and the like.

    Raises:
        Problem: it is neither; its key path starts at the value.

    Example:
        >>> read_space({"log": [1e-4, 0.1]})
        Range(low=0.0001, high=0.1, log=True, whole=False)
    """
    for problem in _problems(value):
        raise problem
    if is_list(value):
        return Choice(tuple(value))
    assert isinstance(value, Mapping)
    ((form, ends),) = value.items()
    if form == "choice":
        return Choice(tuple(ends))
    low, high = ends
    return Range(low, high, log=form in ("log", "log_int"), whole=form in ("int", "log_int"))


def _problems(value: object) -> Iterator[Problem]:
    expected = "a list of values, or {log: [low, high]} with one of " + ", ".join(FORMS)
    if is_list(value):
        yield from _choice_problems(value, ())
        return
    if not isinstance(value, Mapping) or len(value) != 1:
        yield Problem(f"expected {expected}, found {brief(value)}")
        return
    ((form, ends),) = value.items()
    if form not in FORMS:
        yield Problem("unknown kind of range", key_path=(form,), hint=did_you_mean(str(form), FORMS))
    elif form == "choice":
        yield from _choice_problems(ends, (form,))
    elif not is_list(ends) or len(ends) != 2:
        yield Problem(f"expected [low, high], found {brief(ends)}", key_path=(form,))
    else:
        yield from _range_problems(form, ends)


def _choice_problems(value: object, key_path: tuple[str, ...]) -> Iterator[Problem]:
    if not is_list(value) or not value:
        yield Problem(f"expected a list of values, found {brief(value)}", key_path=key_path)


def _range_problems(form: str, ends: Sequence[object]) -> Iterator[Problem]:
    whole = form in ("int", "log_int")
    low, high = ends
    for end in ends:
        if type(end) not in ((int,) if whole else (int, float)) or not math.isfinite(end):  # type: ignore[arg-type]
            kind = "a whole number" if whole else "a number"
            yield Problem(f"expected {kind}, found {brief(end)}", key_path=(form,))
            return
    assert isinstance(low, int | float) and isinstance(high, int | float)
    if low >= high:
        yield Problem(f"expected [low, high], found [{low}, {high}]", key_path=(form,))
    elif form in ("log", "log_int") and low <= 0:
        yield Problem(f"a log scale starts above 0, found {low}", key_path=(form,))
