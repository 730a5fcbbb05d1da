"""Lets one process at a time work in the folder of a run or of a group of runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cnncli import locks
from cnncli.errors import RunBusyError
from cnncli.storage import remove_abandoned, storing

LOCK = ".lock"


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Prevent other processes from working in a folder during a `with` block.

    Raises:
        RunBusyError: another process works in it; the message names the process.
        StorageError: the lock cannot be written.
    """
    path = folder / LOCK
    try:
        with storing(path):
            held = locks.hold(path)
    except locks.HeldError as error:
        raise RunBusyError(
            f"{folder.resolve().name} is being trained by {error}",
            "wait for it, stop it, or start a run of another name",
        ) from error
    try:
        remove_abandoned(folder)
        yield
    finally:
        locks.release(held)
