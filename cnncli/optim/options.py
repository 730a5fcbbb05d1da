"""Checks what a config says of an optimizer, a schedule or an average, so that no typo is ignored."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from cnncli.errors import ModelError, did_you_mean

Entry = TypeVar("Entry")


def look_up(table: Mapping[str, Entry], what: str, name: str) -> Entry:
    """Return the table's entry of that name.

    Raises:
        ModelError: there is none; the place is ("name",) and the hint the nearest name.
    """
    if name not in table:
        raise ModelError(
            f"unknown {what} {name!r}", hint=did_you_mean(str(name), sorted(table)), place=("name",)
        )
    return table[name]


def check_names(what: str, build: Callable[..., Any], options: Mapping[str, object]) -> None:
    """Refuse options that `build` has no keyword-only argument for.

    Args:
        what: how the message names it: "optimizer adam".
        build: the class or function whose keyword-only arguments are the options.
        options: as the config gives them.

    Raises:
        ModelError: for the first unknown option; the place is (option,).
    """
    signature = inspect.signature(build)
    known = [p.name for p in signature.parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    for option in options:
        if option not in known:
            hint = did_you_mean(str(option), known) or f"{what} has no options"
            raise ModelError(f"{what} has no option {option!r}", hint=hint, place=(str(option),))


def number(
    option: str,
    value: object,
    *,
    at_least: float | None = None,
    above: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> float:
    """Return the value as a float when it is a finite number inside the bounds; a bool is not a number.

    Raises:
        ModelError: it is not; the place is (option,).
    """
    words = []
    inside = isinstance(value, int | float) and not isinstance(value, bool)
    x = float(value) if inside else 0.0  # type: ignore[arg-type]
    inside = inside and abs(x) != float("inf") and x == x
    for bound, word, holds in (
        (at_least, "at least", at_least is None or x >= at_least),
        (above, "above", above is None or x > above),
        (below, "below", below is None or x < below),
        (at_most, "at most", at_most is None or x <= at_most),
    ):
        if bound is not None:
            words.append(f"{word} {bound:g}")
            inside = inside and holds
    if not inside:
        expected = " ".join(["a number", " and ".join(words)]).strip()
        raise ModelError(f"{option}: expected {expected}, found {value!r}", place=(option,))
    return x


def whole(option: str, value: object, *, at_least: int) -> int:
    """Return the value when it is a whole number of at least that much.

    Raises:
        ModelError: it is not; the place is (option,).
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        message = f"{option}: expected a whole number of at least {at_least}, found {value!r}"
        raise ModelError(message, place=(option,))
    return value


def flag(option: str, value: object) -> bool:
    """Return the value when it is true or false.

    Raises:
        ModelError: it is not; the place is (option,).
    """
    if not isinstance(value, bool):
        raise ModelError(f"{option}: expected true or false, found {value!r}", place=(option,))
    return value
