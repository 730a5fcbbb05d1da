"""Reads one entry of the list of layers or augmentations: a name with options.

An entry is `relu`, `maxpool: 2` (its main option) or `conv: {filters: 32, kernel: 3}`. The main option of a block is
a list of entries: `residual: [conv: {filters: 32, kernel: 3}, relu]`. This module checks the form.
Names and options are checked where the layer or augmentation is built.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from cnncli.config.errors import Problem
from cnncli.config.values import brief, is_list
from cnncli.config.yaml_reader import MAX_INTEGER
from cnncli.options import MAIN_OPTION

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_MAX_TEXT = 4096
_A_SCALAR = "a number, text, true, false, null or a list of those"


BLOCKS = {"residual": "layers"}
"""The entries that have a list of entries inside, and the name of that option; it is their main option."""


class Options(dict[str, object]):
    """An immutable dict of options. Lists in it are tuples."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("the options of a config cannot be changed; use Config.with_overrides")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[object, ...]:
        return Options, (dict(self),)


class ListEntry(NamedTuple):
    """One layer or augmentation of a config: `ListEntry("conv", {"filters": 32, "kernel": 3})`.

    A short form keeps its one value under "_": `maxpool: 2` is `ListEntry("maxpool", {"_": 2})`.
    """

    kind: str
    options: Mapping[str, object]


def read_entry(entry: object) -> ListEntry:
    """Return the name and options of one entry in any of its forms.

    Raises:
        Problem: the entry is neither a name nor one name with options.

    Example:
        >>> read_entry({"maxpool": 2})
        ListEntry(kind='maxpool', options={'_': 2})
    """
    if isinstance(entry, ListEntry):
        entry = {entry.kind: entry.options}
    if isinstance(entry, str):
        entry = {entry: None}
    if not isinstance(entry, Mapping) or not entry:
        raise Problem(f"expected a name, or a name with options, found {brief(entry)}")
    if len(entry) > 1:
        kind, *_, last = map(str, entry)
        hint = f"give each entry its own dash, or its options in braces: '{kind}: {{{last}: ...}}'"
        raise Problem(f"expected one name, found {brief(entry)}", hint=hint, key_path=(last,))
    ((kind, options),) = entry.items()
    if not isinstance(kind, str) or not _NAME.fullmatch(kind):
        raise Problem(f"expected a name such as relu or shift, found {brief(kind)}")
    if options is None:
        return ListEntry(kind, Options())
    named = options if isinstance(options, Mapping) else {MAIN_OPTION: options}
    try:
        if kind in BLOCKS:
            return ListEntry(kind, _read_block(named, BLOCKS[kind]))
        return ListEntry(kind, read_options(named))
    except Problem as problem:
        key_path = tuple(key for key in problem.key_path if key != MAIN_OPTION)
        raise Problem(str(problem), key_path=(kind, *key_path)) from None


def _read_block(options: Mapping[Any, object], inside: str) -> Options:
    """Return the options of a block, with the entries inside it as a tuple."""
    checked: dict[str, object] = {}
    for name, value in options.items():
        if name not in (inside, MAIN_OPTION) or not is_list(value):
            checked |= read_options({name: value})
            continue
        entries = []
        for index, entry in enumerate(value):
            try:
                entries.append(read_entry(entry))
            except Problem as problem:
                raise Problem(
                    str(problem), key_path=(name, index, *problem.key_path), hint=problem.hint
                ) from None
        checked[name] = tuple(entries)
    return Options(checked)


def inner_entries(entry: ListEntry) -> tuple[tuple[str | int, ...], Sequence[ListEntry]]:
    """Return the entries inside a block, and the keys that lead to their list; none for another entry.

    Example:
        >>> inner_entries(read_entry({"residual": ["relu"]}))
        ((), [ListEntry(kind='relu', options={})])
    """
    if entry.kind not in BLOCKS:
        return (), ()
    name = MAIN_OPTION if MAIN_OPTION in entry.options else BLOCKS[entry.kind]
    inside = entry.options.get(name)
    entries = inside if is_list(inside) else ()
    return (() if name == MAIN_OPTION else (name,)), [each for each in entries if isinstance(each, ListEntry)]


def write_entry(entry: ListEntry) -> object:
    """Return the shortest form of an entry that `read_entry` reads back."""
    if not entry.options:
        return entry.kind
    if len(entry.options) == 1 and (main := entry.options.get(MAIN_OPTION)) is not None:
        return {entry.kind: thawed(main)}
    return {entry.kind: {name: thawed(value) for name, value in entry.options.items()}}


def thawed(value: object) -> object:
    """Return an option with lists in place of tuples, for YAML and JSON."""
    if isinstance(value, ListEntry):
        return write_entry(value)
    return [thawed(entry) for entry in value] if is_list(value) else value


def read_options(options: Mapping[Any, object]) -> Options:
    """Check the form of options and make them immutable."""
    checked: dict[str, object] = {}
    for name, value in options.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise Problem(f"expected an option's name, found {brief(name)}")
        try:
            checked[name] = read_option(value)
        except Problem as problem:
            raise Problem(str(problem), key_path=(name,)) from None
    return Options(checked)


def read_option(value: object) -> object:
    """Check one option and make it immutable: a scalar, or a list of options as a tuple."""
    if is_list(value):
        return tuple(map(read_option, value))
    if isinstance(value, str):
        return read_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise Problem(f"expected a finite number, found {value}")
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise Problem("a whole number too large to use")
    if value is not None and not isinstance(value, bool | int | float):
        raise Problem(f"expected {_A_SCALAR}, found {brief(value)}")
    return value


def read_text(value: object) -> str:
    """Return a value that is text, usable as a name or a path."""
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_TEXT:
        raise Problem(f"expected text, found {brief(value)}")
    if not all(c.isprintable() or c == "\u00a0" for c in value):
        raise Problem(f"expected text on one line without control characters, found {ascii(value)[:60]}")
    return value
