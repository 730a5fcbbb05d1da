"""Says in a few figures what each folder of a runs folder is; only small files are read, so thousands are fast."""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from cnncli.errors import RunError, StorageError
from cnncli.runs.group import GROUP_FILE, natural_order
from cnncli.runs.info import KILLED, UNKNOWN, read_info, status_of
from cnncli.storage import storing

BROKEN = "broken"
"""The status of a run folder without a run.json that can be read."""

FOREIGN = "no run"
"""The status of a folder that has nothing of a run in it."""

LISTED = ("running", "done", "failed", "interrupted", "killed", BROKEN, FOREIGN)
"""The statuses that a folder can have in a list."""

SIGNS = {"run.json", "config.yaml", "checkpoints"}
"""What makes a folder a run folder, be it whole or not."""

_DEEPEST = 6
"""How many levels of folders the size counts."""


@dataclass(frozen=True)
class Listed:
    """A folder in a runs folder.

    Attributes:
        name: of the run; of a run in a group, GROUP/RUN.
        path: the folder.
        kind: "run", "seeds" or "sweep".
        status: one of LISTED.
        config: the name of the config file.
        dataset: what it was trained on.
        seed: of the run.
        epochs: how many are done.
        epochs_wanted: how many it was to train.
        best_epoch: the epoch whose weights are kept.
        val_accuracy, val_loss: of that epoch; of repeats the mean, of a sweep those of the winner.
        test_accuracy, test_loss: of its weights, in the same way.
        val_std, test_std: the standard deviation of the accuracy over repeats.
        seconds: of the whole training.
        parameters: how many numbers are learned.
        created: when it was started.
        members: how many runs a group has.
        problem: why it is broken or failed.
    """

    name: str
    path: Path
    kind: str
    status: str
    config: str | None = None
    dataset: str | None = None
    seed: int | None = None
    epochs: int | None = None
    epochs_wanted: int | None = None
    best_epoch: int | None = None
    val_accuracy: float | None = None
    val_loss: float | None = None
    test_accuracy: float | None = None
    test_loss: float | None = None
    val_std: float | None = None
    test_std: float | None = None
    seconds: float | None = None
    parameters: int | None = None
    created: datetime | None = None
    members: int | None = None
    problem: str | None = None

    @cached_property
    def bytes(self) -> int:
        """The size of all files; it takes as long as all else together, so it is measured when it is first needed."""
        return _measure(os.fspath(self.path))

    def to_json(self) -> dict[str, Any]:
        """Return it as values of JSON."""
        created = self.created and self.created.isoformat(timespec="seconds")
        return {**self.__dict__, "path": str(self.path), "created": created, "bytes": self.bytes}


def list_folder(runs_dir: str | os.PathLike[str] = "runs", group: str | None = None) -> Iterator[Listed]:
    """Yield what each folder in a runs folder is, in no order; files and hidden folders are left out.

    Args:
        runs_dir: the folder that holds the runs.
        group: the name of a group in it, to list the runs of that group.

    Raises:
        StorageError: the folder cannot be read.
    """
    parent = Path(runs_dir) if group is None else Path(runs_dir) / group
    with storing(parent, "read"):
        try:
            with os.scandir(parent) as entries:
                names = [entry.name for entry in entries if entry.name[0] != "." and _is_folder(entry)]
        except (FileNotFoundError, NotADirectoryError):
            return
    for name in names:
        listed = look_at(os.path.join(parent, name), name if group is None else f"{group}/{name}")
        if group is None or listed.status != FOREIGN:
            yield listed


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle
        return False


def look_at(path: str | os.PathLike[str], name: str) -> Listed:
    """Return what a folder is, whatever is in it."""
    try:
        inside = set(os.listdir(path))
    except OSError as error:
        return Listed(name, Path(path), "run", BROKEN, problem=(error.strerror or str(error)).lower())
    is_group = GROUP_FILE in inside and "run.json" not in inside
    if not is_group and not SIGNS & inside and inside - {".lock"}:
        return Listed(name, Path(path), "run", FOREIGN, created=_changed(path))
    file = os.path.join(path, GROUP_FILE if is_group else "run.json")
    try:
        info = read_info(file)
        status = status_of(info)
        problem = f"{file} has the status {info.get('status')!r:.40}" if info else f"{file} is missing"
    except (RunError, StorageError) as error:
        status, problem = UNKNOWN, error.message
    if status == UNKNOWN:
        return Listed(name, Path(path), "run", BROKEN, problem=problem, created=_changed(path))
    facts: dict[str, Any] = {"status": "killed" if status == KILLED else status}
    if "created" not in info:
        facts["created"] = _changed(path)
    return Listed(name, Path(path), **facts, **(_of_group(info) if is_group else _of_run(info)))


def _of_run(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of a run; a value of another type is as good as none."""
    config, dataset, error = (_text(info.get(key)) for key in ("config", "dataset", "error"))
    found: dict[str, Any] = {
        "kind": "run",
        "config": config and _last_part(config),
        "dataset": dataset,
        "problem": error,
        "epochs": _whole(info.get("epochs_done")),
        "epochs_wanted": _whole(info.get("epochs")),
    }
    for key in ("seed", "best_epoch", "parameters"):
        found[key] = _whole(info.get(key))
    for key in ("val_accuracy", "val_loss", "test_accuracy", "test_loss", "seconds"):
        found[key] = _number(info.get(key))
    return found | _start(info)


def _of_group(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of a group."""
    config, kind = _text(info.get("config")), info.get("kind")
    found: dict[str, Any] = {
        "kind": kind if kind in ("seeds", "sweep") else "seeds",
        "config": config and _last_part(config),
        "dataset": _text(info.get("dataset")),
        "members": _whole(info.get("members")),
        "seconds": _number(info.get("seconds")),
        "problem": _text(info.get("error")),
    }
    for split in ("val", "test"):
        accuracy = info.get(f"{split}_accuracy")
        spread = accuracy if isinstance(accuracy, Mapping) else {"mean": accuracy}
        found[f"{split}_accuracy"] = _number(spread.get("mean"))
        found[f"{split}_std"] = _number(spread.get("std"))
    return found | _start(info)


def _start(info: Mapping[str, Any]) -> dict[str, datetime]:
    try:
        return {"created": datetime.fromisoformat(info["created"]).astimezone(UTC)}
    except (KeyError, TypeError, ValueError, OverflowError):
        return {}


def _measure(folder: str, depth: int = 0) -> int:
    """Return the bytes of all files in a folder and below."""
    total = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    total += entry.stat(follow_symlinks=False).st_size
                elif depth < _DEEPEST:
                    total += _measure(entry.path, depth + 1)
    except OSError:  # it was removed a moment ago, or may not be read
        pass
    return total


def _changed(folder: str | os.PathLike[str]) -> datetime | None:
    """Return when something was last created or removed in a folder."""
    try:
        return datetime.fromtimestamp(os.stat(folder).st_mtime, UTC)
    except (OSError, OverflowError, ValueError):
        return None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e300:
        return None
    return value if math.isfinite(value) else None


def _whole(value: object) -> int | None:
    return value if type(value) is int and abs(value) < 2**63 else None


def _last_part(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def _text(value: object) -> str | None:
    """Return a text on one line, without what could confuse a terminal."""
    if not isinstance(value, str):
        return None
    text = value[:200]
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


SORTS: dict[str, Callable[[Listed], Any]] = {
    "name": lambda each: natural_order(each.name),
    "config": lambda each: each.config or "",
    "status": lambda each: LISTED.index(each.status),
    "epochs": lambda each: each.epochs,
    "val": lambda each: each.val_accuracy,
    "test": lambda each: each.test_accuracy,
    "val_loss": lambda each: each.val_loss,
    "test_loss": lambda each: each.test_loss,
    "seconds": lambda each: each.seconds,
    "size": lambda each: each.bytes,
    "parameters": lambda each: each.parameters,
    "seed": lambda each: each.seed,
    "when": lambda each: each.created,
}
"""What a list can be sorted by."""

_GREATEST_FIRST = ("epochs", "val", "test", "seconds", "size", "parameters", "when")


def sort_runs(listed: list[Listed], key: str, *, reverse: bool = False) -> list[Listed]:
    """Return the runs sorted, the best or the newest first; those without a value come last.

    Args:
        listed: what to sort.
        key: one of SORTS.
        reverse: the worst or the oldest first.
    """
    value = SORTS[key]
    by_name = sorted(listed, key=lambda each: natural_order(each.name))
    known = [each for each in by_name if value(each) is not None]
    return sorted(known, key=value, reverse=(key in _GREATEST_FIRST) != reverse) + [
        each for each in by_name if value(each) is None
    ]
