"""Reads `data.dataset`: the name of one data set, or a list of sets, each with a limit and a share."""

import math
from collections.abc import Iterator, Mapping

from cnncli.config.errors import Problem
from cnncli.config.list_entries import read_text
from cnncli.config.values import KeyPath, brief, is_list
from cnncli.data.dataset import SetEntry
from cnncli.names import did_you_mean

MAX_SETS = 100
MAX_IMAGES = 10**9

_LIMIT = f"a whole number of images from 1 to {MAX_IMAGES}"
_SHARE = "a number above 0 and at most 1"


def read_sets(value: object) -> str | tuple[SetEntry, ...]:
    """Return a checked `data.dataset`: a name, or the entries of a list.

    Raises:
        Problem: the first of those that `find_set_problems` finds.

    Example:
        >>> read_sets(["mnist", {"synthetic": {"limit": 60000}}])[1]
        SetEntry(name='synthetic', limit=60000, share=None)
    """
    for problem in find_set_problems(value):
        raise problem
    if not is_list(value):
        return read_text(value)
    return tuple(_entry(each) for each in value)


def write_set(entry: SetEntry) -> object:
    """Return the shortest form of an entry that `read_sets` reads back."""
    given = {"limit": entry.limit, "share": entry.share}
    options = {name: value for name, value in given.items() if value is not None}
    return {entry.name: options} if options else entry.name


def find_set_problems(value: object) -> Iterator[Problem]:
    """Yield all that is wrong with the value of `data.dataset`; key paths start below it."""
    if not is_list(value):
        try:
            read_text(value)
        except Problem:
            expected = "the name of a data set, folder:PATH, or a list of those"
            hint = None
            if isinstance(value, Mapping):
                hint = "put a dash or brackets round it: [{synthetic: {limit: 60000}}]"
            yield Problem(f"expected {expected}, found {brief(value)}", hint=hint)
        return
    if not 0 < len(value) <= MAX_SETS:
        yield Problem(f"expected a list of 1 to {MAX_SETS} data sets, found {brief(value)}")
        return
    found = [problem for index, each in enumerate(value) for problem in _entry_problems(each, index)]
    yield from found
    if not found:
        yield from _problems_together([_entry(each) for each in value])


def _entry(value: object) -> SetEntry:
    if isinstance(value, SetEntry):
        return value
    if isinstance(value, str):
        return SetEntry(value)
    assert isinstance(value, Mapping)
    ((name, options),) = value.items()
    return SetEntry(name, **(options or {}))


def _entry_problems(value: object, index: int) -> Iterator[Problem]:
    if isinstance(value, SetEntry):
        value = {value.name: {"limit": value.limit, "share": value.share}}
    if isinstance(value, str):
        value = {value: None}
    if not isinstance(value, Mapping) or not value:
        yield Problem(
            f"expected the name of a data set, or a name with options, found {brief(value)}",
            key_path=(index,),
        )
        return
    if len(value) > 1:
        name, *_, last = map(str, value)
        hint = f"give each set its own dash, or its options in braces: '{name}: {{{last}: ...}}'"
        yield Problem(f"expected one name, found {brief(value)}", key_path=(index, last), hint=hint)
        return
    ((name, options),) = value.items()
    try:
        read_text(name)
    except Problem as problem:
        yield Problem(str(problem), key_path=(index,))
        return
    here: KeyPath = (index, name)
    if options is not None and not isinstance(options, Mapping):
        yield Problem(f"expected {{limit: ..., share: ...}}, found {brief(options)}", key_path=here)
        return
    for option, given in (options or {}).items():
        if option == "limit":
            if given is not None and not (type(given) is int and 1 <= given <= MAX_IMAGES):
                yield Problem(f"expected {_LIMIT}, or null, found {brief(given)}", key_path=(*here, option))
        elif option == "share":
            if given is not None and not (
                type(given) in (int, float) and math.isfinite(given) and 0 < given <= 1
            ):
                yield Problem(f"expected {_SHARE}, or null, found {brief(given)}", key_path=(*here, option))
        else:
            near = did_you_mean(str(option), ["limit", "share"])
            yield Problem("unknown key", key_path=(*here, str(option)), hint=near)


def _problems_together(entries: list[SetEntry]) -> Iterator[Problem]:
    """Yield what is wrong with entries that are right one by one."""
    names = [entry.name for entry in entries]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Problem(f"{name} is in this list twice", key_path=(index,))
    shares = [entry.share for entry in entries if entry.share is not None]
    total = sum(shares)
    if len(shares) == len(entries) and abs(total - 1) > 1e-6:
        yield Problem(
            f"the shares of all sets are {total:g} in sum, expected 1",
            hint="leave one share out: that set gives each of its images once an epoch",
        )
    elif len(shares) < len(entries) and total > 0.999:
        yield Problem(
            f"the shares are {total:g} in sum, and a set without a share has no room beside them",
            hint="a sum below 1 leaves the rest to the sets without a share",
        )
