"""Opens files that may be compressed, told by their first bytes, and turns every failure into a DataError."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from cnncli.errors import DataError

GZIP, BZIP2, XZ = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00"

DAMAGED = (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error)
"""What the standard library raises for a compressed file that is cut or damaged; bz2 raises OSError."""


@contextmanager
def open_stream(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading what is in it, decompressed if it is a .gz, .bz2 or .xz file.

    Raises:
        DataError: it cannot be read, or is damaged; also from within the block.
    """
    compressed = False
    try:
        with open(path, "rb") as file:
            start = file.read(6)
            file.seek(0)
            compressed = start.startswith((GZIP, BZIP2, XZ))
            if start.startswith(GZIP):
                yield cast(BinaryIO, gzip.GzipFile(fileobj=file))
            elif start.startswith(BZIP2):
                yield cast(BinaryIO, bz2.BZ2File(file))
            elif start.startswith(XZ):
                yield cast(BinaryIO, lzma.LZMAFile(file))
            else:
                yield file
    except DAMAGED as error:
        raise DataError(f"{path} is a damaged or truncated compressed file: {error}") from error
    except OSError as error:
        if compressed and error.errno is None:
            raise DataError(f"{path} is a damaged compressed file: {error}") from error
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def read_start(path: Path, count: int = 1024) -> bytes:
    """Return the first bytes of what is in a file, decompressed; of a damaged file those before the damage."""
    try:
        with open_stream(path) as stream:
            return stream.read(count)
    except DataError:
        return b""


@contextmanager
def refuse_damage(path: Path, what: str, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    """Turn what a library raises for a damaged file into a DataError.

    Args:
        path: of the file.
        what: it should be, as in "HDF5 file".
        errors: all that the library raises for it.

    Raises:
        DataError: one of the errors came out of the block; also for a file that cannot be opened or is too large.
    """
    try:
        yield
    except MemoryError as error:
        raise DataError(f"{path} needs more memory than there is") from error
    except errors as error:
        if isinstance(error, OSError) and error.strerror and error.errno is not None:
            raise DataError(f"{path} cannot be read: {error.strerror}") from error
        text = str(error).split("\n")[0][:200]
        raise DataError(f"{path} is a damaged {what}: {text or 'it is cut off'}") from error
