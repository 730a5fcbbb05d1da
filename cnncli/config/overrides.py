"""Applies `--set KEY=VALUE` to a config that was read but not yet checked, so that one check covers both."""

import re

from cnncli.config.yaml_reader import MAX_DEPTH, Place, describe, dotted, is_list, read_yaml
from cnncli.errors import ConfigError

_NAMED = {("train", "optimizer"), ("train", "schedule"), ("train", "average")}
"""Where `adam` is short for `{name: adam}`."""

_POSITION = re.compile(r"-?[0-9]{1,6}")


def apply_override(data: object, override: str) -> tuple[object, Place]:
    """Return the data with one value replaced or added, and the place of that value.

    Keys on the way are created, a short form on the way is written out first, and a list takes a position: an
    existing one, the one after the last (which appends), or a negative one (which counts from the end).

    Args:
        data: mappings, lists and scalars; left as it is.
        override: `train.batch_size=256`, `model.3.linear=64`, `train.optimizer={name: sgd, lr: 0.1}`.

    Raises:
        ConfigError: not KEY=VALUE, a value that is not YAML, or a key that leads nowhere.

    Example:
        >>> apply_override({"train": {"epochs": 10}}, "train.epochs=3")
        ({'train': {'epochs': 3}}, ('train', 'epochs'))
    """
    where = spelled(override)
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts) or len(parts) > MAX_DEPTH:
        raise ConfigError(f"{where}: expected KEY=VALUE, such as --set train.batch_size=256")
    value, _ = read_yaml(text, lambda line: where)
    return _replaced(data, (), parts, value, where)


def spelled(override: str) -> str:
    """Return the override as an error names it."""
    text = override if override.isprintable() else ascii(override)
    return f"--set {text}" if len(text) <= 80 else f"--set {text[:77]}..."


def _replaced(
    node: object, place: Place, parts: list[str], value: object, where: str
) -> tuple[object, Place]:
    """Return a copy of `node` in which what `parts` leads to is `value`, and where that is."""
    if not parts:
        return value, place
    part, rest = parts[0], parts[1:]
    node = _opened(node, place, part)
    if isinstance(node, dict):
        inner, found = _replaced(node.get(part), (*place, part), rest, value, where)
        return {**node, part: inner}, found
    if is_list(node):
        items = list(node)
        position = _position(items, part, place, where)
        old = items[position] if position < len(items) else None
        inner, found = _replaced(old, (*place, position), rest, value, where)
        items[position : position + 1] = [inner]
        return items, found
    raise ConfigError(
        f"{where}: {dotted(place)} is {describe(node)}, so there is no {part!r} in it",
        hint=f"set {dotted(place)} as a whole, such as {dotted(place)}={{{part}: ...}}",
    )


def _opened(node: object, place: Place, part: str) -> object:
    """Return the node as something to look inside: nothing becomes empty, a short form its long form."""
    if node is None:
        return [] if _POSITION.fullmatch(part) else {}
    if isinstance(node, str) and place in _NAMED:
        return {"name": node}
    if isinstance(node, str) and place and isinstance(place[-1], int):
        return {node: None}
    return node


def _position(items: list[object], part: str, place: Place, where: str) -> int:
    if not _POSITION.fullmatch(part):
        raise ConfigError(f"{where}: {dotted(place)} is a list; expected a position, found {part!r}")
    position = int(part)
    if not -len(items) <= position <= len(items):
        numbered = f"has positions 0 to {len(items) - 1}" if items else "is empty"
        raise ConfigError(f"{where}: {dotted(place)} {numbered}, there is no {position}")
    return position if position >= 0 else position + len(items)
