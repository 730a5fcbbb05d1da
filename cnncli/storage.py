"""Atomic writes, because a process may be killed, or its disk may fill up, at any moment.

A file is written under a temporary name in the folder of its target, flushed to the disk (fsync) and renamed to
the target. Then the folder is flushed. A reader sees the complete old file or the complete new one, also after a
power cut.

A temporary file is called `.<target>.<pid>.<8 hex digits>.tmp`, and its writer holds a lock on it. The next write
into the folder removes the temporary files that nobody holds: those of killed processes.
"""

import errno
import os
import re
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from cnncli.errors import StorageError, UsageError
from cnncli.locks import lock

if sys.platform == "darwin":
    import fcntl

_REPLACE_SECONDS = 2.0 if sys.platform == "win32" else 0.0

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
    """Describe an error of the operating system in plain words.

    Args:
        error: the system's error.
        path: the file or folder that the user knows (not a temporary name).
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


def refuse_to_overwrite(path: str | os.PathLike[str], inputs: Iterable[str | os.PathLike[str]]) -> None:
    """Refuse an output that is one of the files that are read, also through a symbolic or a hard link.

    Args:
        path: the file to be written; a device or a pipe is never refused.
        inputs: the files that are read; those that do not exist are ignored.

    Raises:
        UsageError: writing the output would destroy an input.
    """
    if not os.path.exists(path) or _is_device(path):
        return
    for each in inputs:
        with suppress(OSError):
            if os.path.samefile(path, each):
                also = "" if os.fspath(path) == os.fspath(each) else f", the same file as {os.fspath(each)}"
                raise UsageError(
                    f"writing {os.fspath(path)} would destroy what is read from it{also}",
                    "choose another file",
                )


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file that replaces `path` if the block succeeds and disappears if the block fails.

    A symbolic link is kept and its target is replaced. A device or a pipe (`/dev/stdout`) cannot be replaced, so it
    is written directly.

    Args:
        path: the file to write; its folder must exist.

    Raises:
        StorageError: the disk is full, the folder is not writable, ...; the old file is unchanged.
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
        temporary, file = create_temporary(target)
        try:
            yield file
            file.flush()
            flush_file(file.fileno())
            if sys.platform == "win32":
                file.close()  # an open file cannot be renamed there
            replace_file(temporary, target)
        except BaseException:
            with suppress(OSError):
                file.close()  # flushes the rest, which may fail again
            temporary.unlink(missing_ok=True)
            raise
        file.close()
        flush_folder(target.parent)


def write_bytes_atomic(path: str | os.PathLike[str], content: bytes) -> None:
    """Replace the content of a file atomically; raises StorageError."""
    with atomic_file(path) as file:
        file.write(content)


def write_text_atomic(path: str | os.PathLike[str], text: str) -> None:
    """Replace the content of a file atomically by text (UTF-8, line ends as given); raises StorageError."""
    write_bytes_atomic(path, text.encode("utf-8"))


def append_durably(path: str | os.PathLike[str], content: bytes) -> None:
    """Append bytes to a file and flush them to the disk; a failed write is undone.

    Raises:
        StorageError: as for `atomic_file`.
    """
    with storing(path), open(path, "ab", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            written = 0
            while written < len(content):
                written += file.write(content[written:])
            flush_file(file.fileno())
        except BaseException:
            with suppress(OSError):
                file.truncate(size)
            raise
    if size == 0:
        flush_folder(Path(path).parent)


def make_folder(path: str | os.PathLike[str]) -> None:
    """Create a folder and its parents unless it exists; raises StorageError."""
    with storing(path, "create the folder"):
        Path(path).mkdir(parents=True, exist_ok=True)


def take_folder(path: str | os.PathLike[str]) -> bool:
    """Create a folder and return True, or return False if it exists; of simultaneous calls exactly one gets True.

    Raises:
        StorageError: the folder cannot be created.
    """
    with storing(path, "create the folder"):
        try:
            os.mkdir(path)
        except FileExistsError:
            return False
    flush_folder(Path(path).parent)
    return True


def replace_file(source: Path, target: Path) -> None:
    """Rename a file to its target, over the one that is there.

    On Windows this fails while another process has the target open, such as `cnn eval` that reads a checkpoint, or a
    virus scanner. Then it tries again for two seconds.

    Raises:
        OSError: the system does not allow it.
    """
    deadline = time.monotonic() + _REPLACE_SECONDS
    while True:
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(0.01)


def flush_file(descriptor: int) -> None:
    """Flush a file to the disk; on macOS also from the memory of the disk, which its fsync(2) leaves out.

    Raises:
        OSError: it could not be written.
    """
    if sys.platform == "darwin":
        with suppress(OSError):  # some network file systems cannot
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def flush_folder(folder: Path) -> None:
    """Flush a folder to the disk, so that the names created or replaced in it survive a power cut."""
    if sys.platform == "win32":
        return  # Windows cannot open folders, and its file system journals names
    with storing(folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            # some network file systems cannot flush folders
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(descriptor)


def create_temporary(target: Path, buffering: int = -1) -> tuple[Path, BinaryIO]:
    """Create and lock a temporary file for a target; the caller closes and renames it.

    Args:
        target: the file that the temporary one will become.
        buffering: as for `open`.

    Raises:
        OSError: the file cannot be created.
    """
    while True:
        token = f"{os.getpid()}.{secrets.token_hex(4)}"
        temporary = target.with_name(f".{target.name[:40]}.{token}.tmp")
        file = open(temporary, "x+b", buffering)
        if sys.platform != "win32":
            with suppress(OSError):  # on a file system without locks, no file counts as abandoned
                lock(file, wait=True)
            # between creation and lock, another writer may have removed the file as abandoned
            if os.fstat(file.fileno()).st_nlink == 0:
                file.close()
                continue
        return temporary, file


def remove_abandoned(folder: Path) -> list[Path]:
    """Remove the temporary files that killed writers left in a folder; return their paths.

    The file of a live writer is kept, because the writer holds a lock on it. Files with other names, and files that
    cannot be removed, are kept too.
    """
    removed = []
    with suppress(OSError):  # from a folder that cannot be listed, nothing can be removed
        for name in os.listdir(folder):
            path = folder / name
            if _TEMPORARY.fullmatch(name) and _remove_if_abandoned(path):
                removed.append(path)
    return removed


def _remove_if_abandoned(temporary: Path) -> bool:
    try:
        if sys.platform == "win32":
            temporary.unlink()  # Windows refuses this while the writer has the file open
            return True
        descriptor = os.open(temporary, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            abandoned = lock(descriptor)
            if abandoned:
                temporary.unlink()
            return abandoned
        finally:
            os.close(descriptor)
    except OSError:
        return False


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
