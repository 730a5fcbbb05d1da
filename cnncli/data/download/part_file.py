"""The unfinished file of a download: kept so that it can go on later, and filled by one process at a time.

The file is its own lock. The kernel releases a lock when its process ends, however it ends, so a killed
download never blocks the next one, which goes on where it broke off.
"""

import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from cnncli.errors import StorageError
from cnncli.storage import flush_folder, storing

if sys.platform != "win32":
    import fcntl


class PartFile:
    """An open `<target>.part`, or a file of another name where that one cannot be had.

    Args:
        path: where it is.
        target: what it becomes.
        file: opened for reading and writing.
    """

    def __init__(self, path: Path, target: Path, file: BinaryIO) -> None:
        self.path = path
        self.target = target
        self.file = file

    @property
    def size(self) -> int:
        """How many bytes have been written."""
        return self.file.seek(0, os.SEEK_END)

    def append(self, block: bytes) -> None:
        """Add bytes at the end.

        Raises:
            StorageError: the disk is full, ...; the file is emptied then, for it may have filled the disk.
        """
        try:
            with storing(self.target):
                self.file.seek(0, os.SEEK_END)
                written = 0
                while written < len(block):
                    written += self.file.write(block[written:])
        except StorageError:
            with suppress(OSError):
                self.file.truncate(0)
            raise

    def restart(self) -> None:
        """Throw away what was written."""
        with storing(self.target):
            self.file.truncate(0)

    def move_to(self, target: Path) -> None:
        """Give the file its final name, whole: flushed to the disk, renamed, and its folder flushed."""
        with storing(target):
            os.fsync(self.file.fileno())
            if sys.platform == "win32":
                self.file.close()  # an open file cannot be renamed there
            os.replace(self.path, target)
        flush_folder(target.parent)


@contextmanager
def claimed_part(
    target: Path, *, patience: float = 60.0, on_wait: Callable[[], None] = lambda: None
) -> Iterator[PartFile]:
    """Open the unfinished file of `target` for this process alone, with what an earlier download left in it.

    While another process has it, this one waits, as long as the file grows; when the block begins, the other
    may have finished the target. What is in the file after the block stays for the next download.

    Args:
        target: the file it is to become.
        patience: seconds without growth after which this process goes on with a file of its own.
        on_wait: called once when there is another process to wait for.

    Raises:
        StorageError: the folder may not be written.
    """
    shared = target.with_name(f"{target.name}.part")
    part = _claim(shared, target, patience, on_wait) or _open_own(target)
    try:
        yield part
    finally:
        abandoned = part.path != shared or (not part.file.closed and part.size == 0)
        if abandoned and _is_at(part.path, part.file):
            with suppress(OSError):
                part.path.unlink()
        part.file.close()


def _claim(shared: Path, target: Path, patience: float, on_wait: Callable[[], None]) -> PartFile | None:
    """Return the shared file, locked; None when it is held by a process that does nothing."""
    if sys.platform == "win32":
        return None  # each process fetches into a file of its own there
    waiting = False
    size, since = -1, time.monotonic()
    while True:
        part = _open(shared, target)
        try:
            fcntl.flock(part.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(shared, part.file):
                return part
            part.file.close()  # finished and renamed between our opening and our locking: look again
            continue
        except BlockingIOError:
            now_size = part.size
            part.file.close()
        except OSError:  # this file system has no locks
            part.file.close()
            return None
        if not waiting:
            waiting = True
            on_wait()
        if now_size != size:
            size, since = now_size, time.monotonic()
        elif time.monotonic() - since > patience:
            return None
        time.sleep(0.05)


def _open(path: Path, target: Path) -> PartFile:
    with storing(target):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        return PartFile(path, target, os.fdopen(descriptor, "r+b", buffering=0))


def _open_own(target: Path) -> PartFile:
    """Open a file nobody else uses, named and locked as `storage.remove_abandoned` wants it."""
    token = f"{os.getpid()}.{secrets.token_hex(4)}"
    part = _open(target.with_name(f".{target.name[:40]}.{token}.tmp"), target)
    if sys.platform != "win32":
        with suppress(OSError):
            fcntl.flock(part.file, fcntl.LOCK_EX)
    return part


def _is_at(path: Path, file: BinaryIO) -> bool:
    """Tell whether an open file is still the one of this name."""
    try:
        return not file.closed and os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except OSError:
        return False
