"""Checks the options of layers, optimizers, schedules, averages and augmentations, the same way for all of them.

NumPy scalars count as numbers, true and false never do, and NaN and infinity are refused. Every refusal is a
`ModelError` whose key path ends with the option's name.
"""

import inspect
import math
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import numpy as np

from cnncli.errors import ModelError
from cnncli.names import did_you_mean

MAIN_OPTION = "_"
"""The name under which a short form such as `maxpool: 2` keeps its value."""

LARGEST = 2**31 - 1
"""The largest size or count that is accepted; larger values are treated as typos."""

Pair = tuple[int, int]
Entry = TypeVar("Entry")


def integer(name: str, value: object, *, at_least: int = 1, at_most: int | None = None) -> int:
    """Return a whole number within its bounds; True, 3.0 and "3" are not whole numbers.

    Example:
        >>> integer("units", np.int64(10))
        10
    """
    (number,) = _integers(name, value, [value], _integer_range(at_least, at_most), at_least, at_most)
    return number


def pair(name: str, value: object, *, at_least: int = 1) -> Pair:
    """Return (height, width) from one whole number for both, or from a list of two.

    Example:
        >>> pair("kernel", 3), pair("stride", [1, 2])
        ((3, 3), (1, 2))
    """
    is_pair = isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2
    both: Sequence[object] = value if is_pair else [value, value]  # type: ignore[assignment]
    expected = f"{_integer_range(at_least, None)} or a pair [height, width] of them"
    height, width = _integers(name, value, both, expected, at_least, None)
    return height, width


def short_form(value: Pair) -> int | list[int]:
    """Return a pair as a config writes it: one number when both are equal."""
    return value[0] if value[0] == value[1] else list(value)


def real(
    name: str,
    value: object,
    *,
    at_least: float = -math.inf,
    above: float = -math.inf,
    at_most: float = math.inf,
    below: float = math.inf,
) -> float:
    """Return a finite number within its bounds; a bool is not a number.

    Example:
        >>> real("rate", np.float32(0.25), at_least=0, below=1)
        0.25
    """
    number = math.nan
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        with suppress(OverflowError):
            number = float(value)
    if not (math.isfinite(number) and at_least <= number <= at_most and above < number < below):
        raise _refusal(name, _real_range(at_least, above, at_most, below), value)
    return number


def flag(name: str, value: object) -> bool:
    """Return true or false; 0, 1 and "yes" are neither."""
    if not isinstance(value, bool | np.bool_):
        raise _refusal(name, "true or false", value)
    return bool(value)


def choice(name: str, value: object, known: Sequence[str]) -> str:
    """Return one of the known words."""
    if not isinstance(value, str) or value not in known:
        hint = did_you_mean(value, list(known)) if isinstance(value, str) else None
        raise _refusal(name, " or ".join(known), value, hint)
    return value


def look_up(table: Mapping[str, Entry], what: str, name: str, key_path: tuple[str, ...] = ("name",)) -> Entry:
    """Return the entry of a table, such as the layer class that `conv` names.

    Args:
        table: from names to entries.
        what: how the message calls an entry: "optimizer".
        name: as the config gives it.
        key_path: of the name, as seen from the section that is built.

    Raises:
        ModelError: there is no such entry; the hint has the nearest name.
    """
    if name not in table:
        raise ModelError(f"unknown {what} {name!r}", did_you_mean(str(name), list(table), what), key_path)
    return table[name]


def full_names(
    what: str, options: Mapping[str, object], known: Iterable[str], main: str | None = None
) -> dict[str, object]:
    """Return options under their full names: MAIN_OPTION stands for `main`.

    Args:
        what: how the message calls the thing that takes the options: "conv", "optimizer adam".
        options: as the config gives them.
        known: the names of all options.
        main: the option that a short form sets, or None when there is no short form.

    Raises:
        ModelError: an option is unknown or given twice; the hint has the nearest name.
    """
    known = list(known)
    takes = f"{what} takes: {', '.join(known)}" if known else f"{what} takes no options"
    named: dict[str, object] = {}
    for given, value in options.items():
        name = main if given == MAIN_OPTION else given
        if name is None:
            raise ModelError(f"{what} has no main option that {reprlib.repr(value)} could be", takes)
        if name not in known:
            hint = did_you_mean(str(name), known, "option") if known else takes
            raise ModelError(f"{what} has no option {name!r}", hint, (str(name),))
        if name in named:
            raise ModelError(f"the option {name!r} is given twice", key_path=(name,))
        named[name] = value
    return named


def build_entry(
    table: Mapping[str, Callable[..., Entry]],
    what: str,
    name: str,
    options: Mapping[str, Any],
    *arguments: object,
) -> Entry:
    """Call an entry of a table with the options a config gives; they are its keyword-only arguments.

    Args:
        table: from names to classes or functions.
        what: how the message calls an entry: "optimizer".
        name: of the entry.
        options: as the config gives them.
        arguments: what the entry takes besides.

    Raises:
        ModelError: the name, an option or a value is wrong.
    """
    build = look_up(table, what, name)
    parameters = inspect.signature(build).parameters.values()
    known = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    return build(*arguments, **full_names(f"{what} {name}", options, known))


@contextmanager
def inside(where: str, *key_path: int | str) -> Iterator[None]:
    """Say in a `ModelError` raised in the block where it happened.

    Args:
        where: put before the message: "layer 4 (maxpool2)".
        key_path: put before the error's key path.

    Example:
        >>> with inside("layer 1 (linear1)", 0):
        ...     integer("units", 0)
        Traceback (most recent call last):
        ...
        cnncli.errors.ModelError: layer 1 (linear1): units: expected a positive whole number, found 0
    """
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{where}: {error.message}", error.hint, (*key_path, *error.key_path)) from None


def _integers(
    name: str, found: object, values: Sequence[object], expected: str, at_least: int, at_most: int | None
) -> list[int]:
    numbers = []
    for value in values:
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < at_least:
            raise _refusal(name, expected, found)
        if value > (LARGEST if at_most is None else at_most):
            raise _refusal(name, f"at most {LARGEST}" if at_most is None else expected, found)
        numbers.append(int(value))
    return numbers


def _integer_range(at_least: int, at_most: int | None) -> str:
    if at_most is not None:
        return f"a whole number from {at_least} to {at_most}"
    return "a positive whole number" if at_least == 1 else "a whole number that is not negative"


def _real_range(at_least: float, above: float, at_most: float, below: float) -> str:
    """Return the range in words: "a number from 0 up to but not including 1"."""
    if math.isfinite(at_least) and math.isfinite(at_most):
        return f"a number from {at_least:g} to {at_most:g}"
    if math.isfinite(at_least) and math.isfinite(below):
        return f"a number from {at_least:g} up to but not including {below:g}"
    bounds = {"of at least": at_least, "above": above, "of at most": at_most, "below": below}
    words = [f"{word} {bound:g}" for word, bound in bounds.items() if math.isfinite(bound)]
    return " ".join(["a number", " and ".join(words)]).strip()


def _refusal(name: str, expected: str, found: object, hint: str | None = None) -> ModelError:
    return ModelError(f"{name}: expected {expected}, found {reprlib.repr(found)}", hint, (name,))
