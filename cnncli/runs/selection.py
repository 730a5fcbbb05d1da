"""Chooses runs by conditions, by patterns of their names, and by groups."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from cnncli.errors import RunError, UsageError
from cnncli.names import did_you_mean
from cnncli.runs.filters import read_filter
from cnncli.runs.group import Group
from cnncli.runs.listing import LISTED, SORTS, Listed, list_folder, sort_runs
from cnncli.runs.lookup import find_run


def select_runs(
    runs_dir: Path,
    filters: Sequence[str] | None,
    status: str | None,
    *,
    group: str | None = None,
    everything: bool = False,
) -> list[Listed]:
    """Return what is in a runs folder and meets all conditions.

    Raises:
        UsageError: a condition cannot be read, or there is no such status.
        RunError: there is no such group.
    """
    wanted = [each.strip() for each in status.split(",")] if status else None
    for each in wanted or []:
        if each not in LISTED:
            raise UsageError(f"{status}: there is no status {each!r}", did_you_mean(each, LISTED))
    conditions = sorted(map(read_filter, filters or []), key=lambda each: each.reads_config)
    if group is not None and not Group(runs_dir / group).exists():
        raise RunError(f"there is no group {group!r} in {runs_dir}", "list all runs: `list_runs`")
    found = list(list_folder(runs_dir, group))
    if everything and group is None:
        found += [inner for each in found if each.kind != "run" for inner in list_folder(runs_dir, each.name)]
    return [
        each
        for each in found
        if (wanted is None or each.status in wanted) and all(one.accepts(each) for one in conditions)
    ]


def in_order(listed: list[Listed], sort: str) -> list[Listed]:
    """Return the runs sorted by a key as the user writes it; a minus before it turns the order.

    Raises:
        UsageError: there is no such key.
    """
    key = sort.removeprefix("-")
    key = {"time": "seconds", "val_accuracy": "val", "test_accuracy": "test", "created": "when"}.get(key, key)
    if key not in SORTS:
        raise UsageError(f"{sort}: runs have no {key!r}", did_you_mean(key, list(SORTS)))
    return sort_runs(listed, key, reverse=sort.startswith("-"))


def folders_of(names: Sequence[str], runs_dir: Path) -> dict[str, Path]:
    """Return the folder of each run that is meant, a group's runs one by one; by the names of the runs."""
    folders: dict[str, Path] = {}
    for name in names:
        group = Group(runs_dir / name.rstrip("/"))
        if group.exists():
            folders |= {f"{group.name}/{run.path.name}": run.path for run in group.runs()}
        else:
            path = find_run(name, runs_dir, needs=()).path
            inside = Group(path.parent)
            folders[f"{inside.name}/{path.name}" if inside.exists() else path.resolve().name] = path
    return folders


def expand(names: Sequence[str], runs_dir: Path) -> list[str]:
    """Return names with each pattern replaced by the folders that match it.

    Raises:
        RunError: none matches a pattern.
    """
    chosen: list[str] = []
    for name in names:
        if not set(name) & set("*?["):
            chosen.append(name)
            continue
        matching = sorted(each for each in folder_names(runs_dir) if fnmatchcase(each, name))
        if not matching:
            raise RunError(f"no run in {runs_dir} matches {name!r}")
        chosen += matching
    return chosen


def folder_names(runs_dir: Path) -> list[str]:
    try:
        return [each.name for each in runs_dir.iterdir() if each.name[0] != "." and each.is_dir()]
    except OSError:
        return []
