"""The plain values of a config before it is checked: where one is, and how an error message shows it."""

from collections.abc import Mapping, Sequence
from typing import TypeGuard

KeyPath = tuple[str | int, ...]
"""The keys that lead to a value: ("train", "batch_size"), ("model", 3, "linear"); () is the whole document."""


def is_list(value: object) -> TypeGuard[Sequence[object]]:
    """Tell whether a value is a list or a tuple: both stand for a YAML list."""
    return isinstance(value, list | tuple)


def dotted(key_path: KeyPath) -> str:
    """Return a key path in the form that an override takes: `model.3.linear`."""
    return ".".join(map(on_one_line, key_path))


def on_one_line(name: object) -> str:
    """Return a name unchanged if it is printable, else with its control characters escaped for the terminal."""
    text = str(name)
    return text if text.isprintable() else ascii(text)


def brief(value: object) -> str:
    """Return a value as an error message shows it: short, on one line, in YAML's words."""
    if isinstance(value, Mapping):
        names = ", ".join(map(on_one_line, list(value)[:4]))
        return f"a mapping of {names}" if value else "an empty mapping"
    if is_list(value):
        return f"a list of {len(value)}" if value else "an empty list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value)
    return text if len(text) <= 60 else text[:56] + "...'"
