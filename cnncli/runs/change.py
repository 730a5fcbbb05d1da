"""Removes and renames run folders so that a kill at any moment leaves each of them whole, or gone."""

import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cnncli.errors import RunBusyError, RunError, StorageError
from cnncli.runs.folder import Run
from cnncli.runs.group import GROUP_FILE, Group
from cnncli.runs.holding import hold_folder
from cnncli.runs.listing import FOREIGN, look_at
from cnncli.runs.lookup import check_name
from cnncli.storage import flush_folder, storing, take_folder

REMOVED = re.compile(r"\.removed-[0-9a-f]{16}")
"""The name of a folder that is being removed; nothing else may look like this."""

OWN = re.compile(
    r"run\.json|group\.json|config\.yaml|best\.yaml|metrics\.csv|trials\.csv|curves\.png|importance\.png|parallel\.png"
    r"|report\.html|profile\.(txt|json)|events\.out\.tfevents\..*|checkpoints|eval|export|\.lock|\.stop|\..*\.tmp"
)
"""What `cnn` itself writes into the folder of a run or of a group."""


@dataclass(frozen=True)
class Target:
    """A folder that may be removed or renamed.

    Attributes:
        path: the folder, directly inside the runs folder.
        name: its name.
        bytes: the size of its files.
        members: the folders of the runs in it, if it is a group.
    """

    path: Path
    name: str
    bytes: int
    members: list[Path] = field(default_factory=list)


def find_target(text: str, runs_dir: str | os.PathLike[str] = "runs") -> Target:
    """Return the run or the group that a user names by its full name, after a check that it is nothing else.

    A beginning of a name and "latest" are not enough, because what is removed by mistake is gone.

    Args:
        text: the name, or the path of a folder in the runs folder.
        runs_dir: the folder that holds the runs.

    Raises:
        RunError: there is no such run; or it is a link, lies elsewhere, is a part of a group, or has other files.
        RunBusyError: it is being trained.
    """
    parent = Path(runs_dir)
    path = _place(text, parent)
    name = path.name
    if path.is_symlink():
        raise RunError(
            f"{path} is a symbolic link, and links are not followed",
            "remove the link itself with your system",
        )
    if not path.is_dir():
        raise RunError(f"there is no run {text!r} in {parent}", "list them: `list_runs`")
    listed = look_at(path, name)
    if listed.status == FOREIGN:
        raise RunError(f"{path} is no run: it has nothing of one in it")
    if listed.status == "running":
        raise RunBusyError(f"{name} is being trained", "wait for it, or stop it")
    members = _check_content(path)
    return Target(path, name, listed.bytes, members)


def remove_runs(targets: Sequence[Target]) -> Iterator[Target]:
    """Remove runs and groups, and yield each one that is gone; leftovers of a killed removal go too.

    Each folder first gets a hidden name in one step. A kill after that leaves a hidden folder, which is no run any more
    and which the next removal deletes.

    Raises:
        RunBusyError: one is being trained; those before it are removed.
        StorageError: a folder cannot be removed.
    """
    for parent in {target.path.parent for target in targets}:
        clear_leftovers(parent)
    for target in targets:
        with _held(target), storing(target.path, "remove"):
            _check_content(target.path)
            hidden = target.path.with_name(f".removed-{secrets.token_hex(8)}")
            os.rename(target.path, hidden)
            with suppress(StorageError):
                flush_folder(hidden.parent)
        with storing(target.path, "remove"):
            shutil.rmtree(hidden)
        yield target


def rename_run(target: Target, name: str) -> Path:
    """Give a run or a group another name, and return its new folder.

    Raises:
        UsageError: this cannot be the name of a run.
        RunBusyError: it is being trained.
        RunError: the name is taken.
        StorageError: the folder cannot be renamed.
    """
    check_name(name)
    new = target.path.with_name(name)
    with _held(target):
        if not take_folder(new):  # an empty folder, which a rename replaces
            raise RunError(f"{new} exists already", "choose another name, or remove that run first")
        with storing(target.path, "rename"):
            try:
                if os.name == "nt":
                    os.rmdir(new)  # there a rename replaces nothing
                os.rename(target.path, new)
            except OSError:
                with suppress(OSError):
                    os.rmdir(new)
                raise
        with suppress(StorageError):
            flush_folder(new.parent)
        with suppress(RunError, StorageError):  # a broken one has no file to say it in
            whole = Group(new) if (new / GROUP_FILE).exists() else Run(new)
            if whole.read_info():
                whole.write_info(name=name)
    return new


def clear_leftovers(runs_dir: Path) -> list[Path]:
    """Delete what a killed removal left in a runs folder, and return those folders."""
    found = []
    with suppress(OSError), os.scandir(runs_dir) as entries:
        for entry in entries:
            if REMOVED.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
                found.append(Path(entry.path))
    return found


def _place(text: str, parent: Path) -> Path:
    """Return where a name or path leads, if that is directly inside the runs folder."""
    bare = text.rstrip("/" + os.sep)
    given = Path(bare).expanduser()
    if bare and not set(bare) & {"/", os.sep}:
        path = parent / bare
    else:
        path = given if given.is_dir() else parent / given
    # the folder around it may be reached through a link, but the last part must be what it looks like
    around, home = (Path(os.path.realpath(each)) for each in (path.parent, parent))
    if not bare or path.name in ("", ".", "..") or path.name.startswith("."):
        raise RunError(f"{text!r} is no name of a run")
    if around == home:
        return parent / path.name
    if Path(around).parent == home and (around / GROUP_FILE).exists():
        raise RunError(
            f"{path.name} is a part of {around.name}, which needs all of its runs",
            f"name the whole group: {around.name}",
        )
    raise RunError(f"{path} is not in {parent}", "name the folder of its runs with `runs_dir`")


def _check_content(path: Path) -> list[Path]:
    """Return the folders of a group's runs; refuse a folder that has files of the user's own.

    Raises:
        RunError: there is something else in it.
        StorageError: it cannot be read.
    """
    with storing(path, "read"):
        names = sorted(os.listdir(path))
    members = []
    others = []
    for name in names:
        inner = path / name
        if OWN.fullmatch(name):
            continue
        if GROUP_FILE in names and inner.is_dir() and not inner.is_symlink():
            if look_at(inner, name).status != FOREIGN:
                _check_content(inner)
                members.append(inner)
                continue
        others.append(name)
    if others:
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        raise RunError(
            f"{path} also has files that are not of cnn: {', '.join(others[:5])}{more}",
            "move them elsewhere first, so that they are not lost",
        )
    return members


@contextmanager
def _held(target: Target) -> Iterator[None]:
    """Hold the locks of a run or group and of all runs in it."""
    with ExitStack() as stack:
        for folder in (target.path, *target.members):
            stack.enter_context(hold_folder(folder))
        yield
