"""Writes that happen whole or not at all, because a run may be killed, or its disk fill up, at any moment.

A file is written beside its target under a temporary name, flushed to the disk (fsync), renamed over the
target, and the folder is flushed too. Whoever reads sees the old file or the new one, whole, at every moment
and after a power cut.

A temporary file is called `.<target>.<pid>.<8 hex digits>.tmp` and is locked by its writer as long as that
lives. The next write into the folder removes those that nobody holds: what a killed process left behind.
"""

import errno
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from cnncli.errors import StorageError

if sys.platform != "win32":
    import fcntl

_TEMPORARY = re.compile(r"\..+\.\d+\.[0-9a-f]{8}\.tmp", re.DOTALL)

_REASONS: dict[int, tuple[str, str | None]] = {
    errno.ENOSPC: ("the disk is full", "free some space, or choose a folder on another disk"),
    errno.EDQUOT: ("your disk quota is used up", "free some space, or choose a folder on another disk"),
    errno.EROFS: ("the disk is mounted read-only", "choose a folder that can be written"),
    errno.EACCES: ("permission denied", "choose a folder that you may write, or ask its owner"),
    errno.EPERM: ("the system does not allow it", "choose a folder that you may write, or ask its owner"),
    errno.EIO: (
        "the disk reports an input/output error",
        "check the disk; the file before this write is kept",
    ),
    errno.EFBIG: ("it would be larger than files may be here", "see `ulimit -f`, or choose another disk"),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter name"),
    errno.ENOTDIR: ("a part of that path is a file, not a folder", "choose another folder"),
    errno.EISDIR: ("it is a folder", "choose the name of a file"),
    errno.ENOENT: ("no such file or folder", "check the spelling"),
    errno.EEXIST: ("a file of that name is in the way", "choose another name"),
    errno.ELOOP: ("its symbolic links go round in a circle", "repair the links"),
    errno.EMFILE: ("too many files are open", "see `ulimit -n`"),
}


def storage_error(error: OSError, path: str | os.PathLike[str], action: str = "write") -> StorageError:
    """Put an error of the operating system into words.

    Args:
        error: what the system said.
        path: the file or folder the user knows of (not a temporary name).
        action: the verb of the sentence: "write", "create", "read".

    Example:
        >>> storage_error(OSError(errno.ENOSPC, "No space left on device"), "runs/run-1/run.json").message
        'cannot write runs/run-1/run.json: the disk is full'
    """
    reason, hint = _REASONS.get(error.errno or 0, (error.strerror or str(error), None))
    if error.errno == errno.ENOSPC and hint:
        with suppress(OSError):
            free = shutil.disk_usage(_existing_folder(Path(path))).free
            hint = f"{hint} ({free / 1e6:,.1f} MB are free there)"
    return StorageError(f"cannot {action} {os.fspath(path)}: {reason}", hint)


@contextmanager
def storing(path: str | os.PathLike[str], action: str = "write") -> Iterator[None]:
    """Turn every OSError of the block into a StorageError about `path`."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path, action) from error


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` when the block ends well, and leaves no trace otherwise.

    A symbolic link is followed, so that its target is replaced and not the link. A device or a pipe
    (`/dev/stdout`) cannot be replaced and is simply written.

    Args:
        path: the file to write; its folder must exist.

    Raises:
        StorageError: the disk is full, the folder may not be written, ...; the old file is untouched.
    """
    with storing(path):
        if _is_device(path):
            with open(path, "wb") as device:
                yield device
            return
        target = Path(os.path.realpath(path))
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, "write-protected")
        remove_abandoned(target.parent)
        temporary, file = _create_temporary(target)
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if sys.platform == "win32":
                file.close()  # an open file cannot be renamed there
            os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                file.close()  # flushes what is left, and may fail a second time
            temporary.unlink(missing_ok=True)
            raise
        file.close()
        flush_folder(target.parent)


def write_bytes_atomic(path: str | os.PathLike[str], content: bytes) -> None:
    """Replace a file by these bytes, whole or not at all; raises StorageError."""
    with atomic_file(path) as file:
        file.write(content)


def write_text_atomic(path: str | os.PathLike[str], text: str) -> None:
    """Replace a file by this text (UTF-8, line ends as given), whole or not at all; raises StorageError."""
    write_bytes_atomic(path, text.encode("utf-8"))


def append_durably(path: str | os.PathLike[str], content: bytes) -> None:
    """Add bytes to the end of a file and flush them to the disk; a failed write is taken back.

    Raises:
        StorageError: as for `atomic_file`.
    """
    with storing(path), open(path, "ab", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            written = 0
            while written < len(content):
                written += file.write(content[written:])
            os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):
                file.truncate(size)
            raise
    if size == 0:
        flush_folder(Path(path).parent)


def make_folder(path: str | os.PathLike[str]) -> None:
    """Create a folder and those above it, unless it exists; raises StorageError."""
    with storing(path, "create the folder"):
        Path(path).mkdir(parents=True, exist_ok=True)


def take_folder(path: str | os.PathLike[str]) -> bool:
    """Create a folder, and say whether it was this call that did; of many at once exactly one gets True.

    Raises:
        StorageError: the system does not allow it.
    """
    with storing(path, "create the folder"):
        try:
            os.mkdir(path)
        except FileExistsError:
            return False
    flush_folder(Path(path).parent)
    return True


def flush_folder(folder: Path) -> None:
    """Flush a folder, so that a name created or replaced in it survives a power cut."""
    if sys.platform == "win32":
        return  # folders cannot be opened there; the file system journals names by itself
    with storing(folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (
                errno.EINVAL,
                errno.ENOTSUP,
            ):  # some network file systems have no such call
                raise
        finally:
            os.close(descriptor)


def remove_abandoned(folder: Path) -> list[Path]:
    """Remove the temporary files that killed writers left in a folder; return their paths.

    A file whose writer still lives is kept: the writer holds a lock on it, which the kernel releases when a
    process ends, however it ends. Files of other names and files that may not be removed are left alone.
    """
    removed = []
    with suppress(OSError):  # a folder that cannot be listed has nothing that we could remove
        for name in os.listdir(folder):
            path = folder / name
            if _TEMPORARY.fullmatch(name) and _remove_if_abandoned(path):
                removed.append(path)
    return removed


def _create_temporary(target: Path) -> tuple[Path, BinaryIO]:
    while True:
        token = f"{os.getpid()}.{secrets.token_hex(4)}"
        temporary = target.with_name(f".{target.name[:40]}.{token}.tmp")
        file = open(temporary, "xb")  # closed by the caller
        if sys.platform != "win32":
            with suppress(OSError):  # without locks on this file system, nothing is ever taken for abandoned
                fcntl.flock(file, fcntl.LOCK_EX)
            # Between creation and lock, another writer may have taken the file for abandoned, and removed it.
            if os.fstat(file.fileno()).st_nlink == 0:
                file.close()
                continue
        return temporary, file


def _remove_if_abandoned(temporary: Path) -> bool:
    try:
        if sys.platform == "win32":
            temporary.unlink()  # refused as long as its writer has it open
            return True
        descriptor = os.open(temporary, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            temporary.unlink()
        finally:
            os.close(descriptor)
    except OSError:
        return False
    return True


def _is_device(path: str | os.PathLike[str]) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _existing_folder(path: Path) -> Path:
    for folder in (path, *path.absolute().parents):
        if folder.is_dir():
            return folder
    return Path.cwd()
