"""How a training run gets a name of its own, and how the other commands find its folder again."""

import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path

from cnncli.errors import RunError, StorageError, UsageError
from cnncli.names import did_you_mean, matching
from cnncli.runs.folder import CONTENTS, Run
from cnncli.runs.group import Group, natural_order
from cnncli.runs.info import KILLED
from cnncli.storage import make_folder, storing, take_folder, write_text_atomic

BUNDLED = "bundled"
"""The name of the model that ships with the package, in place of the name of a run."""

STOPPED = ("interrupted", "failed", KILLED)
"""The statuses of a run that can be resumed without asking for more epochs."""

_MAX_NAME = 100
_NUMBERED = re.compile(r"run-(\d{1,9})")


def create_run(
    runs_dir: str | os.PathLike[str] = "runs",
    name: str | None = None,
    exist_ok: bool = False,
    *,
    config: str | None = None,
) -> Run:
    """Create a run folder that nobody else has, even when many processes ask at once.

    Without a name it is run-N, N being one more than the highest there is.

    Args:
        runs_dir: the folder that holds the runs; it is created when missing.
        name: the name of the run, or None.
        exist_ok: take a folder of that name that exists, and remove the earlier run's files from it.
        config: the text of config.yaml, so that a run that is killed early can be resumed; None leaves it to
            `train_run`.

    Raises:
        UsageError: the name cannot be one.
        RunError: the name is taken, or that run is being trained.
        StorageError: the folder cannot be created.
    """
    if name is not None:
        check_name(name)
    parent = Path(runs_dir)
    make_folder(parent)
    run = _take_number(parent) if name is None else _take_name(parent, name, exist_ok)
    try:
        make_folder(run.checkpoints)
        make_folder(run.eval_dir)
        if config is not None:
            write_text_atomic(run.config_path, config)
        run.write_info(name=run.name, status="running", created=datetime.now(UTC).isoformat())
    except StorageError:
        with suppress(OSError):
            run.config_path.unlink(missing_ok=True)
        for folder in (run.checkpoints, run.eval_dir, run.path):  # leave no empty shell on a full disk
            with suppress(OSError):
                folder.rmdir()
        raise
    return run


def list_runs(runs_dir: str | os.PathLike[str] = "runs") -> list[Run]:
    """Return the runs in a folder, oldest first; other files and folders there are ignored."""
    parent = Path(runs_dir)
    with storing(parent, "read"):
        try:
            names = os.listdir(parent)
        except (FileNotFoundError, NotADirectoryError):
            return []
    runs = [Run(parent / name) for name in names if not name.startswith(".")]
    found = (run for run in runs if len(run.missing()) < len(CONTENTS) and not Group(run.path).exists())
    return sorted(found, key=_age)


def list_groups(runs_dir: str | os.PathLike[str] = "runs") -> list[Group]:
    """Return the groups in a folder: repeats over seeds, and sweeps."""
    with storing(runs_dir, "read"):
        try:
            names = sorted(os.listdir(runs_dir))
        except (FileNotFoundError, NotADirectoryError):
            return []
    groups = [Group(Path(runs_dir) / name) for name in names if not name.startswith(".")]
    return [group for group in groups if group.exists()]


def latest_run(runs_dir: str | os.PathLike[str] = "runs", *, to_resume: bool = False) -> Run | None:
    """Return the run that "latest" means, None when there are no runs.

    It is the latest finished one. As long as no run is finished, it is the latest one with a checkpoint, else the
    latest of all. A group stands for its best run.

    Args:
        runs_dir: the folder that holds the runs.
        to_resume: prefer the latest run that stopped before its end and is not being trained.
    """
    runs = list_runs(runs_dir)
    if not to_resume and (best := [run for run in map(Group.best, list_groups(runs_dir)) if run]):
        runs = sorted([*runs, *best], key=_age)
    runs.reverse()
    with_checkpoint = [run for run in runs if not run.missing(["checkpoint"])]
    stopped = (run for run in runs if to_resume and run.status() in STOPPED)
    finished = (run for run in with_checkpoint if run.status() == "done")
    return next(chain(stopped, finished, with_checkpoint, runs), None)


def find_group_to_resume(text: str, runs_dir: str | os.PathLike[str] = "runs") -> Group | None:
    """Return the group that is meant by what a user wants to resume; None if it is a run.

    Args:
        text: as for `find_run`; "latest" is a group if one of repeats has stopped after every run that has stopped.
        runs_dir: where names are looked up.
    """
    if text != "latest":
        bare = text.rstrip("/" + os.sep)
        named = [Group(Path(runs_dir) / bare), Group(Path(text).expanduser())] if bare else []
        return next((group for group in named if group.exists()), None)
    stopped = [group for group in list_groups(runs_dir) if group.status() in STOPPED]
    if not stopped:
        return None
    group = max(stopped, key=_age)
    run = latest_run(runs_dir, to_resume=True)
    return group if run is None or run.status() not in STOPPED or _age(run) < _age(group) else None


def find_run(
    text: str,
    runs_dir: str | os.PathLike[str] = "runs",
    needs: Sequence[str] = CONTENTS,
    *,
    to_resume: bool = False,
) -> Run:
    """Find the run that a user means.

    Args:
        text: a name, a path, the beginning of one name only, or "latest", as `latest_run` understands it. The name of
            a group means its best run, and GROUP/RUN one of its runs.
        runs_dir: where names are looked up.
        needs: what the folder must have, of CONTENTS.
        to_resume: "latest" is rather a run that stopped before its end.

    Raises:
        RunError: there is no such run, there are several, or it lacks something.
    """
    if text == BUNDLED:
        raise RunError(
            f"'{BUNDLED}' is the model that ships with cnncli, and no run: it has no folder and cannot be resumed",
            f"train its network from the start with the config {BUNDLED}.yaml",
        )
    run = _look_up(text, Path(runs_dir), to_resume)
    missing = run.missing(needs)
    if missing:
        hint = None
        if missing == ["checkpoint"]:
            hint = f"its status is {run.status()}; the first checkpoint is saved during the first epoch"
        raise RunError(f"{run.path} has no {' and no '.join(missing)}", hint)
    return run


def _look_up(text: str, runs_dir: Path, to_resume: bool) -> Run:
    bare = text.rstrip("/" + os.sep)
    path = Path(text).expanduser()
    if bare and bare not in (".", "..") and not set(bare) & {"/", os.sep}:
        if (runs_dir / bare).is_dir():
            return _run_or_best(runs_dir / bare)
        found = (
            latest_run(runs_dir, to_resume=to_resume) if bare == "latest" else _look_up_name(bare, runs_dir)
        )
        if found is not None:
            return found
    if path.is_dir() and text:
        return _run_or_best(path)
    if bare and not path.is_absolute() and ".." not in path.parts and (runs_dir / path).is_dir():
        return Run(runs_dir / path)
    if path.is_file():
        raise RunError(f"{text} is a file; a run is a folder", _hint_for_file(path))
    runs = list_runs(runs_dir)
    if not runs:
        raise RunError(f"there is no run {text!r}: {runs_dir} holds no runs yet", "train one: `train_run`")
    raise RunError(f"there is no run {text!r} in {runs_dir}", _nearest(text, [run.name for run in runs]))


def _run_or_best(folder: Path) -> Run:
    """Return the run in a folder; of a group its best run.

    Raises:
        RunError: none of the runs of the group is finished.
    """
    group = Group(folder)
    if not group.exists():
        return Run(folder)
    best = group.best()
    if best is None:
        names = [f"{group.name}/{run.path.name}" for run in group.runs()]
        hint = f"name one of its runs: {', '.join(names[:3])}" if names else None
        raise RunError(f"{folder} is a group of runs, and none of them is finished", hint)
    return best


def _look_up_name(text: str, runs_dir: Path) -> Run | None:
    # run-1 is the whole name of a run that does not exist, and not the beginning of run-12.
    if _NUMBERED.fullmatch(text):
        return None
    known = [group.path.name for group in list_groups(runs_dir)]
    names = matching(text, known + [run.path.name for run in list_runs(runs_dir)])
    if len(names) > 1:
        more = f" and {len(names) - 8} older ones" if len(names) > 8 else ""
        raise RunError(f"{text!r} may be any of {', '.join(names[-8:])}{more}", "type more of the name")
    return _run_or_best(runs_dir / names[0]) if names else None


def _take_number(parent: Path) -> Run:
    with storing(parent, "read"):
        numbers = [int(match[1]) for match in map(_NUMBERED.fullmatch, os.listdir(parent)) if match]
    number = max(numbers, default=0) + 1
    while not take_folder(parent / f"run-{number}"):
        number += 1
    return Run(parent / f"run-{number}")


def _take_name(parent: Path, name: str, exist_ok: bool) -> Run:
    run = Run(parent / name)
    if take_folder(run.path):
        return run
    if not exist_ok or not run.path.is_dir():
        raise RunError(
            f"{run.path} exists already",
            "choose another `name`, replace it with `exist_ok=True`, or go on with it: `resume=True`",
            run=run.path,
        )
    with run.lock(), storing(run.path):
        run.clear()
    return run


def find_group(
    runs_dir: str | os.PathLike[str],
    name: str | None,
    stem: str,
    is_same: Callable[[Group], bool],
    kind: str,
    other: str,
) -> Group:
    """Return the group that an earlier call has begun, else one whose folder is still free. Nothing is created.

    Args:
        runs_dir: the folder that holds the runs.
        name: of the group; None for the stem, with a number if that is taken.
        stem: the name that it has otherwise.
        is_same: whether a group is that of an earlier call.
        kind: of such groups in group.json.
        other: what the message calls another group of this kind.

    Raises:
        UsageError: the name cannot be one.
        RunError: there is something else of that name.
    """
    if name is not None:
        check_name(name)
        group = Group(Path(runs_dir) / name)
        if not group.is_free() and not is_same(group):
            what = other if group.read_info().get("kind") == kind else "something else"
            hint = "choose another `name`"
            raise RunError(f"{group.path} exists already, and is {what}", hint, run=group.path)
        return group
    for number in count(1):
        group = Group(Path(runs_dir) / (stem if number == 1 else f"{stem}-{number}"))
        if group.is_free() or is_same(group):
            return group
    raise AssertionError("there is always a free number")


def check_name(name: str) -> None:
    """Refuse names with a path separator, with another meaning to a command, or with characters that shells change.

    Raises:
        UsageError: the name cannot be one.
    """
    if name.lower() == "latest":
        raise UsageError("a run cannot be called 'latest': that word means the latest run")
    if name.lower() == BUNDLED:
        raise UsageError(f"a run cannot be called '{BUNDLED}': that is the model that ships with cnncli")
    if len(name) > _MAX_NAME:
        raise UsageError(f"a run's name has at most {_MAX_NAME} characters, this one has {len(name)}")
    if not re.fullmatch(r"\w([\w.+=@-]*[\w+=@-])?", name):
        raise UsageError(
            f"{name!r} cannot be the name of a run",
            "use letters, digits, and - _ . + = @ between them; give the folder with `runs_dir`",
        )


def _age(run: Run | Group) -> tuple[str, list[tuple[int, str]]]:
    """Sort by the time of creation, then by name with numbers as numbers."""
    try:
        created = datetime.fromisoformat(str(run.read_info().get("created")))
        stamp = created.astimezone(UTC)
    except (RunError, StorageError, ValueError):
        stamp = datetime.fromtimestamp(os.stat(run.path).st_mtime, UTC)
    return stamp.isoformat(), natural_order(run.path.name)


def _nearest(text: str, names: list[str]) -> str | None:
    hint = did_you_mean(text, names)
    if hint and hint.startswith("known") and len(names) > 8:
        return f"the latest are {', '.join(names[-8:])}"
    return hint


def _hint_for_file(path: Path) -> str | None:
    for folder in path.resolve().parents[:2]:
        if not Run(folder).missing(["run.json"]):
            return f"did you mean {folder}?"
    return None
