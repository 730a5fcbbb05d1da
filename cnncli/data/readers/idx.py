"""Reads the IDX format of MNIST, raw or gzipped, and trusts nothing it says before checking it.

An IDX file is two zero bytes, a type code, the number of axes, one big-endian 32-bit length for each axis,
and then the values in row-major order (http://yann.lecun.com/exdb/mnist/, "The IDX file format").
"""

import gzip
import hashlib
import io
import zlib
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import numpy as np
import numpy.typing as npt

from cnncli.errors import DataError
from cnncli.types import Shape

Kind = Literal["images", "labels"]

MAX_BYTES = 256 << 20
"""The most a file may hold unless the caller allows more; the largest set in the table needs 188 MB."""

MAX_AXES = 8
CHUNK = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"

TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(np.uint8),
    0x09: np.dtype(np.int8),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}


def read_idx(
    path: str | Path,
    *,
    kind: Kind | None = None,
    shape: Shape | None = None,
    classes: int | None = None,
    content_hash: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> npt.NDArray[Any]:
    """Read one IDX file, raw or gzipped (told apart by its first bytes, not by its name).

    Never more than one byte past the length the header announces is decompressed, and nothing is allocated
    before the header has passed every check.

    Args:
        path: the file.
        kind: "images" wants bytes on 3 axes (N, H, W) or 4 (N, H, W, C); "labels" wants class numbers (N,),
            or the (N, columns) integers of QMNIST, of which the first column is the class.
        shape: what the header has to say, or None.
        classes: labels have to be below this, or None.
        content_hash: what the decompressed file has to hash to, such as "sha256:9f86d0...", or None.
        max_bytes: a header that announces more is refused.

    Returns:
        The array in the machine's byte order; labels as int64 of shape (N,).

    Raises:
        DataError: whatever is wrong with the file, with its path in the message.
    """
    name = str(path)
    try:
        with open(path, "rb") as file:
            content = _decompressed(file)
            return _read(content, name, kind, shape, classes, content_hash, max_bytes)
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror or error}") from error


def parse_idx(
    content: bytes,
    *,
    name: str = "the IDX data",
    kind: Kind | None = None,
    shape: Shape | None = None,
    classes: int | None = None,
    content_hash: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> npt.NDArray[Any]:
    """Read IDX from bytes in memory; the same rules and the same errors as `read_idx`."""
    return _read(_decompressed(io.BytesIO(content)), name, kind, shape, classes, content_hash, max_bytes)


def write_idx(path: str | Path, array: npt.NDArray[Any]) -> None:
    """Write an array as IDX, gzipped when the name ends in .gz; the same array always gives the same bytes.

    Args:
        path: where to; an existing file is replaced.
        array: 1 to 8 axes of uint8, int8, int16, int32, float32 or float64.

    Raises:
        DataError: the type or the number of axes does not exist in IDX.
    """
    big_endian = array.dtype.newbyteorder(">")
    codes = [code for code, dtype in TYPES.items() if dtype == big_endian]
    if not codes or not 1 <= array.ndim <= MAX_AXES:
        raise DataError(f"IDX cannot hold {array.dtype} values on {array.ndim} axes")
    header = bytes([0, 0, codes[0], array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
    content = header + array.astype(big_endian).tobytes()
    if str(path).endswith(".gz"):
        content = gzip.compress(content, mtime=0)
    Path(path).write_bytes(content)


def is_gzipped(path: str | Path) -> bool:
    """Tell whether a file is gzipped, by its first two bytes.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return file.read(2) == GZIP_MAGIC
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _decompressed(file: BinaryIO) -> BinaryIO:
    """Return the file itself, or a stream of what is gzipped in it."""
    start = file.read(2)
    file.seek(0)
    return cast(BinaryIO, gzip.GzipFile(fileobj=file)) if start == GZIP_MAGIC else file


def _read(
    stream: BinaryIO,
    name: str,
    kind: Kind | None,
    shape: Shape | None,
    classes: int | None,
    content_hash: str | None,
    max_bytes: int,
) -> npt.NDArray[Any]:
    dtype, axes, header = _read_header(stream, name)
    _check_header(name, dtype, axes, kind, shape, max_bytes)
    array = _allocate(name, axes, dtype)
    algorithm, _, expected_hash = (content_hash or "").partition(":")
    digest = hashlib.new(algorithm, header, usedforsecurity=False) if algorithm else None
    body = array.reshape(-1).view(np.uint8).data
    for start in range(0, len(body), CHUNK):
        part = body[start : start + CHUNK]
        got = _read_into(stream, part, name)
        if digest is not None:
            digest.update(part[:got])
        if got < len(part):
            expected, found = len(header) + array.nbytes, len(header) + start + got
            raise DataError(
                f"{name} is truncated: its header announces {expected:,} bytes, it holds {found:,}"
            )
    if _read_into(stream, memoryview(bytearray(1)), name):
        raise DataError(f"{name} goes on after the {len(header) + array.nbytes:,} bytes its header announces")
    if digest is not None and digest.hexdigest() != expected_hash:
        found_hash = f"{algorithm}:{digest.hexdigest()}"
        raise DataError(f"{name} has the wrong content: it hashes to {found_hash}, expected {content_hash}")
    array = array.astype(dtype.newbyteorder("="), copy=False)
    return _class_numbers(array, name, classes) if kind == "labels" else array


def _read_header(stream: BinaryIO, name: str) -> tuple[np.dtype[Any], Shape, bytes]:
    """Return the type, the lengths of the axes, and the header's bytes."""
    magic = _read_up_to(stream, 4, name)
    if len(magic) < 4 or magic[0] or magic[1]:
        more = _read_up_to(stream, 60, name)
        what = _what_it_is(magic + more)
        raise DataError(f"{name} is {what}, not an IDX file" if what else f"{name} is not an IDX file")
    if magic[2] not in TYPES:
        raise DataError(f"{name} is not an IDX file: 0x{magic[2]:02X} is not a type code")
    if not 1 <= magic[3] <= MAX_AXES:
        raise DataError(
            f"{name} is not an IDX file this program reads: {magic[3]} axes, expected 1 to {MAX_AXES}"
        )
    lengths = _read_up_to(stream, 4 * magic[3], name)
    if len(lengths) < 4 * magic[3]:
        raise DataError(f"{name} is truncated: it ends within its header")
    axes = tuple(int(n) for n in np.frombuffer(lengths, dtype=">u4"))
    return TYPES[magic[2]], axes, magic + lengths


def _check_header(
    name: str, dtype: np.dtype[Any], axes: Shape, kind: Kind | None, shape: Shape | None, max_bytes: int
) -> None:
    """Refuse what the header says before any memory is taken for it."""
    if shape is not None and axes != shape:
        raise DataError(f"{name} holds {_times(axes)} values, expected {_times(shape)}")
    if prod(axes) * dtype.itemsize > max_bytes:
        raise DataError(
            f"{name} announces {_times(axes)} values of {dtype.itemsize} bytes, "
            f"more than the {max_bytes:,} bytes allowed"
        )
    if kind == "images" and (dtype != np.uint8 or len(axes) not in (3, 4)):
        raise DataError(f"{name} does not hold images but {_times(axes)} values of type {dtype.name}")
    if kind == "labels" and (dtype.kind not in "ui" or len(axes) > 2):
        raise DataError(f"{name} does not hold labels but {_times(axes)} values of type {dtype.name}")
    if kind is not None and 0 in axes:
        raise DataError(f"{name} is empty: it holds {_times(axes)} values")


def _class_numbers(array: npt.NDArray[Any], name: str, classes: int | None) -> npt.NDArray[np.int64]:
    """Return the labels as int64 (N,), checked to be 0 to classes - 1."""
    labels = (array if array.ndim == 1 else array[:, 0]).astype(np.int64)
    wrong = np.flatnonzero(
        (labels < 0) | (labels >= (classes if classes is not None else np.iinfo(np.int64).max))
    )
    if wrong.size:
        first = int(wrong[0])
        limit = f"0 to {classes - 1}" if classes is not None else "0 or more"
        raise DataError(f"{name} holds the label {labels[first]} at position {first}, expected {limit}")
    return labels


def _allocate(name: str, axes: Shape, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    try:
        return np.empty(axes, dtype)
    except (MemoryError, ValueError) as error:  # ValueError: an empty axis beside axes NumPy cannot index
        raise DataError(f"{name} announces {_times(axes)} values, more than fit in memory") from error


def _read_into(stream: BinaryIO, part: memoryview, name: str) -> int:
    """Fill `part` as far as the stream goes and return how far that is."""
    got = 0
    while got < len(part):
        block = _read_up_to(stream, len(part) - got, name)
        if not block:
            break
        part[got : got + len(block)] = block
        got += len(block)
    return got


def _read_up_to(stream: BinaryIO, count: int, name: str) -> bytes:
    """Read at most `count` bytes, turning what gzip can complain about into a DataError."""
    try:
        return stream.read(count)
    except EOFError as error:
        raise DataError(f"{name} is a truncated gzip file: it breaks off before its end") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{name} is a damaged gzip file: {error}") from error


def _what_it_is(start: bytes) -> str | None:
    """Name what a file that is not IDX seems to be, for the message."""
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<body", b"<!--", b"<script")):
        return "a web page (HTML)"
    if text.startswith(b"<?xml"):
        return "an XML document, perhaps a server's error message"
    for magic, what in (
        (b"PK", "a ZIP archive"),
        (b"\x89PNG", "a PNG picture"),
        (b"\xff\xd8\xff", "a JPEG picture"),
        (GZIP_MAGIC, "gzipped twice"),
        (b"{", "a JSON document"),
        (b"version https://git-lfs", "a Git LFS pointer"),
    ):
        if start.startswith(magic):
            return what
    return None if start else "empty"


def _times(axes: Shape) -> str:
    return " x ".join(f"{n:,}" for n in axes)
