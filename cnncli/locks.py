"""Exclusive locks on files; the system releases a lock when its process ends, even when it is killed."""

import json
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_held: set[int] = set()
"""The descriptors that `hold` opened in this process."""


class HeldError(Exception):
    """Another process holds the lock; the text of the error names that process."""


def lock(file: int | BinaryIO, *, wait: bool = False) -> bool:
    """Lock an open file for this process alone, until the file is closed.

    Args:
        file: a descriptor or a file object.
        wait: wait until the lock is free; on Windows for 10 seconds at most.

    Returns:
        Whether this process has the lock now; False means that another process holds it.

    Raises:
        OSError: the file system has no locks.
    """
    try:
        if sys.platform == "win32":
            descriptor = file if isinstance(file, int) else file.fileno()
            os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # beyond the text, which others must be able to read
            msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def hold(path: Path) -> int:
    """Create and lock a lock file, and write into it which process holds it.

    A forked child does not keep the lock: a worker that outlives its parent must not block the next holder. On a
    file system without locks the file is written all the same, because working unguarded beats not working.

    Returns:
        The descriptor to pass to `release`.

    Raises:
        HeldError: another process holds the lock.
        OSError: the file cannot be created or written.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    _held.add(descriptor)
    try:
        with suppress(OSError):
            if not lock(descriptor):
                raise HeldError(_holder(path))
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
    except BaseException:
        _held.remove(descriptor)
        os.close(descriptor)
        raise
    return descriptor


def release(descriptor: int) -> None:
    """Empty and unlock a lock file; it stays on the disk, because the next process may have opened it already.

    In a forked child this does nothing: the descriptor may belong to another file by now.
    """
    if descriptor in _held:
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
        _held.remove(descriptor)
        os.close(descriptor)


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_bytes()[:1000])
        where = "" if holder["host"] == socket.gethostname() else f" on {holder['host']}"
        return f"process {int(holder['pid'])}{where}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _forget_in_child() -> None:
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
