"""Reads and writes the JSON object of a checkpoint without trusting what a file holds."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

MAX_BYTES = 2 << 20
MAX_CONTAINERS = 100_000
"""With these two limits, parsing takes less than 64 MB of memory for any text."""


def to_json(meta: dict[str, Any]) -> bytes:
    """Return a meta object as ASCII JSON, with NumPy's numbers as plain numbers and tuples as lists.

    Raises:
        ValueError: it is too large, a field is missing or of the wrong type, or a value has no JSON form.
    """
    try:
        text = json.dumps(meta, default=_to_json_value).encode("ascii")
        wrong = wrong_field(from_json(text))
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    if wrong:
        raise ValueError(wrong)
    return text


def from_json(text: bytes) -> dict[str, Any]:
    """Read a JSON object. Duplicate keys are refused; NaN and Infinity are numbers, as Python writes them.

    Raises:
        ValueError: it is too large, or not one JSON object.
    """
    if len(text) > MAX_BYTES or text.count(b"{") + text.count(b"[") > MAX_CONTAINERS:
        raise ValueError("it is too large")
    try:
        meta = json.loads(text.decode("ascii"), object_pairs_hook=_without_duplicates)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(meta, dict):
        raise ValueError("it is not an object")
    return meta


def wrong_field(meta: dict[str, Any]) -> str | None:
    """Return what is wrong with the first field that is missing or of the wrong type, or None."""
    for name, is_right in (_REQUIRED | _OPTIONAL).items():
        if name in meta:
            if not is_right(meta[name]):
                return f"its field {name!r} is of the wrong kind: {meta[name]!r:.80}"
        elif name in _REQUIRED:
            return f"it has no field {name!r}"
    return None


def is_count(value: object) -> bool:
    """Tell whether a value is an integer, not a bool, from 0 to 2**63 - 1."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def _is_shape(value: object) -> bool:
    return isinstance(value, list) and len(value) in (1, 2, 3) and all(is_count(n) and n > 0 for n in value)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_list_of(kind: type, value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)


_REQUIRED: dict[str, Callable[[object], bool]] = {
    "format_version": lambda value: is_count(value) and value != 0,
    "sha256": _is_text,
    "config": lambda value: isinstance(value, dict | str),
    "input_shape": _is_shape,
    "classes": partial(_is_list_of, str),
}
_OPTIONAL: dict[str, Callable[[object], bool]] = {
    "dataset": _is_text,
    "seed": is_count,
    "epoch": is_count,
    "step": is_count,
    "global_step": is_count,
    "best": lambda value: value is None or isinstance(value, dict),
    "history": partial(_is_list_of, dict),
}


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key appears twice")
    return result


def _to_json_value(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} is not a JSON value")
