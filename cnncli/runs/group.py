"""A group of runs in one folder: the repeats of one config over several seeds, or the trials of a sweep."""

import os
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnncli.errors import RunError, StorageError
from cnncli.runs.folder import CONTENTS, Run
from cnncli.runs.holding import hold_folder
from cnncli.runs.info import UNKNOWN, read_info, status_of, write_info

GROUP_FILE = "group.json"


@dataclass(unsafe_hash=True)
class Group:
    """A folder whose subfolders are runs, and the file that says what they have in common.

    Args:
        path: the folder.
    """

    path: Path

    def __post_init__(self) -> None:
        self.info_path = self.path / GROUP_FILE

    @property
    def name(self) -> str:
        return self.path.resolve().name

    def exists(self) -> bool:
        """Return whether the folder is that of a group."""
        return self.info_path.is_file()

    def is_free(self) -> bool:
        """Return whether the folder does not exist, or has nothing but the beginning of a group in it."""
        try:
            names = set(os.listdir(self.path))
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return GROUP_FILE not in names and not {name for name in names if name[0] != "."} - {"config.yaml"}

    def read_info(self) -> dict[str, Any]:
        """Return the content of group.json, {} when there is no such file; raises RunError."""
        return read_info(self.info_path)

    def write_info(self, **fields: Any) -> dict[str, Any]:
        """Set fields of group.json, keep the others, and return them all; raises StorageError."""
        return write_info(self.info_path, **fields)

    def status(self) -> str:
        """Return running, done, failed, interrupted, "interrupted (killed)", or unknown."""
        try:
            return status_of(self.read_info())
        except (RunError, StorageError):
            return UNKNOWN

    def lock(self) -> AbstractContextManager[None]:
        """Prevent other processes from working on this group during a `with` block; raises RunBusyError."""
        return hold_folder(self.path)

    def runs(self) -> list[Run]:
        """Return its runs, in the order of the numbers in their names."""
        folders = (each for each in self.path.iterdir() if not each.name.startswith(".") and each.is_dir())
        found = [run for run in map(Run, folders) if len(run.missing()) < len(CONTENTS)]
        return sorted(found, key=lambda run: natural_order(run.path.name))

    def best(self) -> Run | None:
        """Return the run that the group recommends: the best by validation; None as long as there is none."""
        name = self.read_info().get("best")
        return Run(self.path / name) if isinstance(name, str) and (self.path / name).is_dir() else None


def natural_order(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts names with the numbers in them as numbers.

    Example:
        >>> sorted(["run-10", "run-9", "a"], key=natural_order)
        ['a', 'run-9', 'run-10']
    """
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]
