"""Reads the values of a config that are not of one plain type: `auto` or a number, a name alone for a mapping, ...

Each function returns the value, or raises ValueError; the description of the field then says what it takes.
"""

from collections.abc import Mapping

from pydantic import BeforeValidator

from cnncli.config.list_entries import ListEntry, read_text
from cnncli.config.values import is_list
from cnncli.names import user_path


def read_validation(value: object) -> object:
    if (type(value) is float and 0 < value < 1) or (type(value) is int and 0 <= value <= 10**9):
        return value
    if value == "auto":
        return value
    raise ValueError


def read_size(value: object) -> object:
    """Accept "auto", a number of pixels, or two in a list as [height, width]."""
    if value == "auto":
        return value
    sides = tuple(value) if is_list(value) else (value, value)
    if len(sides) != 2 or not all(type(side) is int and 1 <= side <= 1024 for side in sides):
        raise ValueError
    return sides if is_list(value) else value


def read_colour(value: object) -> object:
    if value == "auto" or isinstance(value, bool):
        return value
    raise ValueError


def read_logs(value: object) -> object:
    if is_list(value) and set(value) <= {"tensorboard"} and len(value) == len(set(value)):
        return tuple(value)
    raise ValueError


def auto_or_up_to(most: int) -> BeforeValidator:
    def check(value: object) -> object:
        if value == "auto" or (type(value) is int and 1 <= value <= most):
            return value
        raise ValueError

    return BeforeValidator(check)


def refuse_no_layers(layers: tuple[ListEntry, ...]) -> tuple[ListEntry, ...]:
    if not layers:
        raise ValueError
    return layers


def read_name_alone(value: object) -> object:
    """Read `adam` as `{name: adam}`."""
    return {"name": value} if isinstance(value, str) else value


def read_class_weights(value: object) -> object:
    """Accept "balanced", or a number above 0 for each of some classes, whose names may be numbers."""
    if value is None or value == "balanced":
        return value
    if not isinstance(value, Mapping) or not value:
        raise ValueError
    weights = {str(name): weight for name, weight in value.items() if not isinstance(name, bool)}
    if len(weights) < len(value) or not all(_is_weight(weight) for weight in weights.values()):
        raise ValueError
    return {name: float(weight) for name, weight in weights.items()}


def _is_weight(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 10**9


def read_teachers_alone(value: object) -> object:
    """Read `run-3` or a list of runs as `{teachers: [...]}`."""
    return {"teachers": value} if isinstance(value, str) or is_list(value) else value


def read_teachers(value: object) -> object:
    names = (value,) if isinstance(value, str) else tuple(value) if is_list(value) else ()
    if not names:
        raise ValueError
    return tuple(read_text(name) for name in names)


def expand_home(folder: str) -> str:
    return str(user_path(folder)) if folder.startswith("~") else folder


def read_name(value: object) -> object:
    """Accept a name, or the position of a column."""
    return str(value) if type(value) is int else value if value is None else read_text(value)
