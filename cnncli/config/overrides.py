"""Applies overrides, `KEY=VALUE`, to a config before the check, so that one check covers the file and the overrides."""

import re

from cnncli.config.values import KeyPath, brief, dotted, is_list
from cnncli.config.yaml_reader import MAX_DEPTH, read_yaml
from cnncli.errors import ConfigError

_NAMED = {("train", "optimizer"), ("train", "schedule"), ("train", "average")}
"""The keys where `adam` is short for `{name: adam}`."""

_POSITION = re.compile(r"-?[0-9]{1,6}")


class Override(str):
    """An override with the words that the user wrote for it, such as `--epochs 3` for `train.epochs=3`.

    Args:
        text: `KEY=VALUE`.
        written: how error messages name it; empty for "override KEY=VALUE".
    """

    written: str

    def __new__(cls, text: str, written: str = "") -> "Override":
        made = super().__new__(cls, text)
        made.written = written
        return made


def apply_override(data: object, override: str) -> tuple[object, KeyPath]:
    """Return the data with one value replaced or added, and the key path of that value.

    Missing keys on the path are created, and a short form on the path is expanded first. A list takes a position: an
    existing one, the one after the last (which appends), or a negative one (which counts from the end).

    Args:
        data: mappings, lists and scalars; not modified.
        override: `train.batch_size=256`, `model.3.linear=64`, `train.optimizer={name: sgd, lr: 0.1}`.

    Raises:
        ConfigError: not KEY=VALUE, a value that is not YAML, or a key that leads nowhere.

    Example:
        >>> apply_override({"train": {"epochs": 10}}, "train.epochs=3")
        ({'train': {'epochs': 3}}, ('train', 'epochs'))
    """
    where = spelled(override)
    key, equals, text = override.partition("=")
    keys = key.strip().split(".")
    if not equals or not all(keys) or len(keys) > MAX_DEPTH:
        raise ConfigError(f"{where}: expected KEY=VALUE, such as train.batch_size=256")
    value, _ = read_yaml(text, lambda line: where)
    return _replaced(data, (), keys, value, where)


def spelled(override: str) -> str:
    """Return the override as an error message shows it."""
    text = getattr(override, "written", "") or f"override {override}"
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= 90 else f"{text[:87]}..."


def _replaced(
    node: object, key_path: KeyPath, keys: list[str], value: object, where: str
) -> tuple[object, KeyPath]:
    """Return a copy of `node` with `value` at the end of `keys`, and the key path of that value."""
    if not keys:
        return value, key_path
    key, *rest = keys
    node = _opened(node, key_path, key)
    if isinstance(node, dict):
        inner, found = _replaced(node.get(key), (*key_path, key), rest, value, where)
        return {**node, key: inner}, found
    if is_list(node):
        items = list(node)
        position = _position(items, key, key_path, where)
        old = items[position] if position < len(items) else None
        inner, found = _replaced(old, (*key_path, position), rest, value, where)
        items[position : position + 1] = [inner]
        return items, found
    raise ConfigError(
        f"{where}: {dotted(key_path)} is {brief(node)}, so there is no {key!r} in it",
        hint=f"set {dotted(key_path)} as a whole, such as {dotted(key_path)}={{{key}: ...}}",
    )


def _opened(node: object, key_path: KeyPath, key: str) -> object:
    """Return the node in a form that has keys or positions: null becomes empty, a short form its long form."""
    if node is None:
        return [] if _POSITION.fullmatch(key) else {}
    if isinstance(node, str) and key_path in _NAMED:
        return {"name": node}
    if isinstance(node, str) and key_path and isinstance(key_path[-1], int):
        return {node: None}
    return node


def _position(items: list[object], key: str, key_path: KeyPath, where: str) -> int:
    if not _POSITION.fullmatch(key):
        raise ConfigError(f"{where}: {dotted(key_path)} is a list; expected a position, found {key!r}")
    position = int(key)
    if not -len(items) <= position <= len(items):
        numbered = f"has positions 0 to {len(items) - 1}" if items else "is empty"
        raise ConfigError(f"{where}: {dotted(key_path)} {numbered}, there is no {position}")
    return position if position >= 0 else position + len(items)
