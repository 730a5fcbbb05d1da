"""The unfinished file of a download, which one process at a time fills and which a later download continues.

The file is its own lock, and the system releases the lock when the process ends. So a killed download never blocks
the next one.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from cnncli.errors import StorageError
from cnncli.locks import lock
from cnncli.storage import create_temporary, flush_file, flush_folder, replace_file, storing


class PartFile:
    """An open `<target>.part`, or a temporary file if another process holds that one.

    Args:
        path: the path of the open file.
        file: open for reading and writing, unbuffered.
        target: the path of the finished file.
    """

    def __init__(self, path: Path, file: BinaryIO, target: Path) -> None:
        self.path = path
        self.target = target
        self.file = file

    @property
    def size(self) -> int:
        """The size of the file in bytes."""
        return self.file.seek(0, os.SEEK_END)

    def append(self, block: bytes) -> None:
        """Append bytes.

        Raises:
            StorageError: the disk is full, ...; the file is emptied, because it may be what filled the disk.
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
        """Empty the file."""
        with storing(self.target):
            self.file.truncate(0)

    def move_to(self, target: Path) -> None:
        """Flush the file to the disk, rename it to its final name, and flush the folder."""
        with storing(target):
            flush_file(self.file.fileno())
            if sys.platform == "win32":
                self.file.close()  # Windows cannot rename an open file
            replace_file(self.path, target)
        flush_folder(target.parent)


@contextmanager
def claimed_part(
    target: Path, *, patience: float = 60.0, on_wait: Callable[[], None] = lambda: None
) -> Iterator[PartFile]:
    """Open the unfinished file of `target`, with the bytes of earlier downloads, for this process alone.

    If another process holds the file, this one waits while the file keeps growing. The other process may have finished
    the target by the time the block begins. After the block, the file stays for the next download.

    Args:
        target: the path of the finished file.
        patience: seconds without growth after which this process uses a file of its own.
        on_wait: called once if this process has to wait for another one.

    Raises:
        StorageError: the folder is not writable.
    """
    shared = target.with_name(f"{target.name}.part")
    part = _claim(shared, target, patience, on_wait)
    if part is None:
        with storing(target):
            part = PartFile(*create_temporary(target, buffering=0), target)
    try:
        yield part
    finally:
        abandoned = part.path != shared or (not part.file.closed and part.size == 0)
        if abandoned and _is_at(part.path, part.file):
            with suppress(OSError):
                part.path.unlink()
        part.file.close()


def _claim(shared: Path, target: Path, patience: float, on_wait: Callable[[], None]) -> PartFile | None:
    """Return the shared file, locked, or None if its holder makes no progress or there are no locks."""
    if sys.platform == "win32":
        return None  # on Windows each process fetches into a file of its own
    waiting = False
    size, since = -1, time.monotonic()
    while True:
        with storing(target):
            descriptor = os.open(shared, os.O_RDWR | os.O_CREAT, 0o666)
        part = PartFile(shared, os.fdopen(descriptor, "r+b", buffering=0), target)
        try:
            locked = lock(part.file)
        except OSError:  # the file system has no locks
            part.file.close()
            return None
        if locked and _is_at(shared, part.file):
            return part
        now_size = part.size
        part.file.close()
        if locked:
            continue  # another process finished and renamed the file before the lock
        if not waiting:
            waiting = True
            on_wait()
        if now_size != size:
            size, since = now_size, time.monotonic()
        elif time.monotonic() - since > patience:
            return None
        time.sleep(0.05)


def _is_at(path: Path, file: BinaryIO) -> bool:
    """Return whether an open file still has this path."""
    try:
        return not file.closed and os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except OSError:
        return False
