"""Reads the values of options without the data models that Typer loads for it, a third of a whole predict.

Typer asks each parameter for an object with a method `coerce`, and builds one when there is none. Here are
small ones for the few types our commands use; a parameter of any other type is left to Typer, and so is
everything in a version of Typer that works differently.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer


class QuickValue:
    """Turns the text of one option into its type.

    Args:
        read: from text to the value; raises ValueError with a sentence on what would be right.
        several: the option may be given many times, or the argument takes many words.
        minimum: the smallest value allowed, or None.
        maximum: the largest value allowed, or None.
    """

    def __init__(
        self, read: Callable[[str], Any], several: bool, minimum: float | None, maximum: float | None
    ) -> None:
        self._read = read
        self._several = several
        self._minimum = minimum
        self._maximum = maximum

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the value of an option as given, or as its default says.

        Raises:
            typer.BadParameter: the text is not a value of this type.
        """
        try:
            if self._several:
                return [self._one(each) for each in value or ()]
            return None if value is None else self._one(value)
        except ValueError as error:
            raise typer.BadParameter(str(error), ctx=ctx, param=param) from None

    def _one(self, given: Any) -> Any:
        value = self._read(given) if isinstance(given, str) else given
        if self._minimum is not None and not value >= self._minimum:
            raise ValueError(f"{given} is below {self._minimum:g}")
        if self._maximum is not None and not value <= self._maximum:
            raise ValueError(f"{given} is above {self._maximum:g}")
        return value


def make_quick(parameters: list[Any]) -> list[Any]:
    """Give a `QuickValue` to every parameter whose type is known here, and return them all."""
    for parameter in parameters:
        descriptor = getattr(parameter, "type_descriptor", None)
        annotation = getattr(descriptor, "annotation", None)
        several = get_origin(annotation) is list
        read = _reader(get_args(annotation)[0] if several else annotation)
        if read is not None and getattr(parameter, "_runtime_param", True) is None:
            info = descriptor.parameter_info  # type: ignore[union-attr]
            parameter._runtime_param = QuickValue(read, several, info.min, info.max)
    return parameters


def _reader(annotation: Any) -> Callable[[str], Any] | None:
    readers: dict[Any, Callable[[str], Any]] = {
        str: str,
        bool: _flag,
        int: _whole_number,
        float: _number,
        Path: Path,
    }
    if get_origin(annotation) is Literal:
        return _choice(get_args(annotation))
    return readers.get(annotation)


def _choice(choices: tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"{text!r} is not one of {', '.join(map(repr, choices))}")
        return text

    return read


def _flag(text: str) -> bool:
    raise ValueError("it takes no value")


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
