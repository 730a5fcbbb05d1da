"""Writes a config as YAML that `yaml_reader` reads back exactly."""

import json
import re
from collections.abc import Mapping

from cnncli.config.values import is_list
from cnncli.config.yaml_reader import read_scalar

_PLAIN_TEXT = re.compile(r"[A-Za-z_./][A-Za-z0-9_./-]*")


def write_yaml(document: Mapping[str, object]) -> str:
    """Return what `read_yaml` reads back exactly: a line for each key and each layer, the rest inline.

    Example:
        >>> print(write_yaml({"seed": 1, "train": {"optimizer": {"name": "adam", "lr": 0.001}}}), end="")
        seed: 1
        train:
          optimizer: {name: adam, lr: 0.001}
    """
    return "".join(line + "\n" for line in _block(document, indent=""))


def _block(mapping: Mapping[str, object], indent: str) -> list[str]:
    lines: list[str] = []
    for key, value in mapping.items():
        name = f"{indent}{inline(key)}:"
        if isinstance(value, Mapping) and value and not indent:
            lines += [name, *_block(value, "  ")]
        elif is_list(value) and value:
            lines += [name, *(f"{indent}  - {_item(item)}" for item in value)]
        else:
            lines.append(f"{name} {inline(value)}")
    return lines


def _item(item: object) -> str:
    """Write a one-key mapping without braces, because each list entry has its own line."""
    if isinstance(item, Mapping) and len(item) == 1:
        ((key, value),) = item.items()
        return f"{inline(key)}: {inline(value)}"
    return inline(item)


def inline(value: object) -> str:
    """Return a value as YAML on one line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        if _PLAIN_TEXT.fullmatch(value) and read_scalar(value) == value and value not in (".", "..."):
            return value
        return _quoted(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{inline(key)}: {inline(entry)}" for key, entry in value.items()) + "}"
    if is_list(value):
        return "[" + ", ".join(map(inline, value)) + "]"
    return repr(value)


def _quoted(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)
