"""Finds the folder of a sweep: that of an earlier call with the same file, or one that is still free."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from cnncli.config.errors import Origin
from cnncli.config.load import load_config
from cnncli.errors import CnnError, RunError
from cnncli.runs import Group
from cnncli.runs.lookup import find_group
from cnncli.sweep.definition import SweepDefinition, read_sweep

if TYPE_CHECKING:
    from cnncli.config.schema import Config

KIND = "sweep"

_FREE = ("trials", "minutes")
"""The keys of a sweep file that may change when it goes on."""


def find_sweep(definition: SweepDefinition, runs_dir: str | os.PathLike[str], name: str | None) -> Group:
    """Return the group of a sweep: an earlier one of the same file, else a folder that is still free.

    Nothing is created.

    Args:
        definition: of the sweep; its trials and minutes may have changed.
        runs_dir: the folder that holds the runs.
        name: of the sweep; None for the name of its file, and a number if that is taken.

    Raises:
        UsageError: the name cannot be one.
        RunError: there is something else of that name.
    """
    stem = Path(definition.source).stem
    return find_group(runs_dir, name, stem, lambda group: _is_same(group, definition), KIND, "another sweep")


def load_group(group: Group, *, trials: int | None = None, minutes: float | None = None) -> SweepDefinition:
    """Return the definition of a sweep that was started earlier.

    Args:
        group: its folder.
        trials, minutes: replace what it was started with.

    Raises:
        RunError: it is no sweep, or is damaged.
    """
    info = group.read_info()
    document = info.get("definition")
    if info.get("kind") != KIND or not isinstance(document, dict):
        raise RunError(f"{group.path} is no sweep")
    base = load_config(group.path / "config.yaml")
    budget = info.get("budget") or {}
    return read_sweep(
        document,
        Origin(str(info.get("source"))),
        base=base,
        trials=trials if trials is not None else budget.get("trials"),
        minutes=minutes if minutes is not None else budget.get("minutes"),
    )


def _is_same(group: Group, definition: SweepDefinition) -> bool:
    """Return whether a group is a sweep of this definition; how many trials there are may differ."""
    try:
        info = group.read_info()
        stored = info.get("definition")
        if info.get("kind") != KIND or not isinstance(stored, dict):
            return False
        old: Config = load_config(group.path / "config.yaml")
    except CnnError:
        return False
    new = definition.base
    free = [
        f"engine.workers={old.engine.workers}",
        f"engine.shards={old.engine.shards}"
        if new.engine.shards == "auto"
        else f"engine.shards={new.engine.shards}",
        f"data.dir={json.dumps(old.data.dir)}",
    ]
    same = {key: value for key, value in stored.items() if key not in _FREE} == json.loads(
        json.dumps({key: value for key, value in definition.document.items() if key not in _FREE})
    )
    return same and new.with_overrides(free) == old
