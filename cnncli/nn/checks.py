"""Reading a layer's options: each check returns the value or says what was expected and what was found."""

import reprlib
from collections.abc import Sequence

import numpy as np

from cnncli.errors import ModelError, did_you_mean

Pair = tuple[int, int]

LARGEST = 2**31 - 1  # of any one size; what is larger is a slip, and would make counts of thousands of digits


def whole(name: str, value: object, minimum: int = 1) -> int:
    """Return a whole number that is at least `minimum`; True, 3.0 and "3" are not whole numbers."""
    (number,) = _wholes(name, value, [value], minimum, _wanted(minimum))
    return number


def pair(name: str, value: object, minimum: int = 1) -> Pair:
    """Return (height, width) from one whole number for both or from two of them."""
    is_pair = isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2
    both: Sequence[object] = value if is_pair else [value, value]  # type: ignore[assignment]
    wanted = f"{_wanted(minimum)} or a pair [height, width] of them"
    height, width = _wholes(name, value, both, minimum, wanted)
    return height, width


def number(name: str, value: object, low: float, high: float, wanted: str) -> float:
    """Return a number with low <= number < high.

    Args:
        name: of the option.
        value: what was found.
        low: the smallest number allowed.
        high: the smallest number above it that is not.
        wanted: the range in words, such as "a number from 0 up to but not including 1".
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise _expected(name, wanted, value)
    if not low <= value < high:  # no infinity and no nan is
        raise _expected(name, wanted, value)
    return float(value)


def flag(name: str, value: object) -> bool:
    """Return true or false; 0, 1 and "yes" are neither."""
    if not isinstance(value, (bool, np.bool_)):
        raise _expected(name, "true or false", value)
    return bool(value)


def choice(name: str, value: object, known: Sequence[str]) -> str:
    """Return one of the known words."""
    if not isinstance(value, str) or value not in known:
        error = _expected(name, " or ".join(known), value)
        error.hint = did_you_mean(value, list(known)) if isinstance(value, str) else None
        raise error
    return value


def plain(value: Pair) -> int | list[int]:
    """Return a pair as YAML would say it: one number when both are equal."""
    return value[0] if value[0] == value[1] else list(value)


def _wholes(name: str, found: object, values: Sequence[object], minimum: int, wanted: str) -> list[int]:
    numbers = []
    for value in values:
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < minimum:
            raise _expected(name, wanted, found)
        if value > LARGEST:
            raise _expected(name, f"at most {LARGEST}", found)
        numbers.append(int(value))
    return numbers


def _wanted(minimum: int) -> str:
    return "a positive whole number" if minimum == 1 else "a whole number that is not negative"


def _expected(name: str, wanted: str, found: object) -> ModelError:
    return ModelError(f"{name}: expected {wanted}, found {reprlib.repr(found)}", place=(name,))
