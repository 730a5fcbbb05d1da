"""A lock on a run folder, so that two processes do not train one run; a killed process holds it no longer."""

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cnncli.errors import RunError
from cnncli.storage import storing

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_held: set[int] = set()
"""Open lock files of this process, by descriptor."""


@contextmanager
def exclusive(path: Path, run_name: str) -> Iterator[None]:
    """Hold a lock file for the length of a `with` block.

    The file stays behind when the block ends, empty: removing it could take it from under the next holder.

    Args:
        path: the lock file; it is created when it does not exist.
        run_name: what the message calls the run.

    Raises:
        RunError: another process holds it; names that process.
        StorageError: the file cannot be created.
    """
    with storing(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    _held.add(descriptor)
    try:
        _acquire(descriptor, path, run_name)
        holder = json.dumps({"pid": os.getpid(), "host": socket.gethostname()})
        with storing(path):
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, holder.encode())
        try:
            yield
        finally:
            if descriptor in _held:  # not in a forked child, where the number may mean another file by now
                with suppress(OSError):
                    os.ftruncate(descriptor, 0)
    finally:
        if descriptor in _held:
            _held.remove(descriptor)
            os.close(descriptor)


def _acquire(descriptor: int, path: Path, run_name: str) -> None:
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # beyond the text, which others must be able to read
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise RunError(
            f"{run_name} is being trained by {_holder(path)}",
            "wait for it, stop it, or start a run of another name",
        ) from error
    except OSError:
        pass  # a file system without locks: going on unguarded is better than not at all


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_bytes()[:1000])
        where = "" if holder["host"] == socket.gethostname() else f" on {holder['host']}"
        return f"process {int(holder['pid'])}{where}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _forget_in_child() -> None:
    """Close the lock in a forked child: a worker that outlives its parent must not keep the run locked."""
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
