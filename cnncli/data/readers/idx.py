"""Reads and writes the IDX format of MNIST, raw or gzipped; a file is checked before anything in it is trusted.

An IDX file consists of two zero bytes, a type code, the number of axes, one big-endian 32-bit length per axis, and
the values in row-major order. Source: http://yann.lecun.com/exdb/mnist/, "The IDX file format".
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
from cnncli.mapped import SMALLEST, map_bytes
from cnncli.types import Shape

IdxKind = Literal["images", "labels"]

MAX_BYTES = 1 << 30
"""The default limit on the size of the values; the largest set of the registry needs 547 MB."""

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
    source: str | Path | bytes,
    *,
    name: str | None = None,
    kind: IdxKind | None = None,
    shape: Shape | None = None,
    classes: int | None = None,
    content_hash: str | None = None,
    max_bytes: int = MAX_BYTES,
    may_map: bool = False,
) -> npt.NDArray[Any]:
    """Read an IDX file, raw or gzipped; its first bytes tell which, not its name.

    The header has to pass every check before any memory is allocated. At most one byte more than the header announces
    is decompressed.

    Args:
        source: a path, or the content of a file.
        name: what errors call the file; the path by default.
        kind: "images" requires bytes on 3 axes (N, H, W) or 4 (N, H, W, C). "labels" requires class numbers (N,), or
            one-hot rows (N, K).
        shape: the shape that the header must announce; None for any. Labels of a known shape (N, columns) are those of
            QMNIST, whose first column is the class.
        classes: labels must be below this; None for any number of classes.
        content_hash: the hash that the decompressed file must have, such as "sha256:9f86d0..."; None for any.
        max_bytes: a header that announces more bytes is refused.
        may_map: leave the images of a large file that is not gzipped in the file, whatever its size. The array is then
            read-only.

    Returns:
        The array in the machine's byte order; labels as int64 (N,).

    Raises:
        DataError: the file cannot be read or fails a check; the message has its name.
    """
    if name is None:
        name = "the IDX data" if isinstance(source, bytes) else str(source)
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file:
            stream = _decompressed(file)
            dtype, axes, header = _read_header(stream, name)
            maps = may_map and stream is file and kind == "images" and prod(axes) >= SMALLEST
            _check_header(name, dtype, axes, kind, shape, prod(axes) if maps else max_bytes)
            if maps:
                return _map_values(Path(str(source)), axes, name, header)
            array = _allocate(name, axes, dtype)
            _read_values(stream, array, name, header, content_hash)
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror or error}") from error
    array = array.astype(dtype.newbyteorder("="), copy=False)
    if kind != "labels":
        return array
    return _class_numbers(array if array.ndim == 1 else _one_column(array, name, shape), name, classes)


def idx_header(path: Path) -> tuple[np.dtype[Any], Shape]:
    """Return the type and the shape that the header of an IDX file announces.

    Raises:
        DataError: the file cannot be read or is not IDX.
    """
    try:
        with open(path, "rb") as file:
            return _read_header(_decompressed(file), str(path))[:2]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def write_idx(path: str | Path, array: npt.NDArray[Any]) -> None:
    """Write an array as IDX, gzipped if the name ends in .gz; equal arrays give equal bytes.

    Args:
        path: the file to write; an existing file is replaced.
        array: uint8, int8, int16, int32, float32 or float64 on 1 to 8 axes.

    Raises:
        DataError: IDX has no such type or number of axes.
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
    """Return whether a file is gzipped, by its first two bytes.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return file.read(2) == GZIP_MAGIC
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _decompressed(file: BinaryIO) -> BinaryIO:
    """Return the file itself, or a stream that decompresses it."""
    start = file.read(2)
    file.seek(0)
    return cast(BinaryIO, gzip.GzipFile(fileobj=file)) if start == GZIP_MAGIC else file


def _read_values(
    stream: BinaryIO, array: npt.NDArray[Any], name: str, header: bytes, content_hash: str | None
) -> None:
    """Fill the array from the stream; length and hash of the file must be right."""
    algorithm, _, expected_hash = (content_hash or "").partition(":")
    digest = hashlib.new(algorithm, header, usedforsecurity=False) if algorithm else None
    size = len(header) + array.nbytes
    body = array.reshape(-1).view(np.uint8).data
    for start in range(0, len(body), CHUNK):
        chunk = body[start : start + CHUNK]
        got = _read_into(stream, chunk, name)
        if digest is not None:
            digest.update(chunk[:got])
        if got < len(chunk):
            found = len(header) + start + got
            raise DataError(f"{name} is truncated: its header announces {size:,} bytes, it holds {found:,}")
    if _read_into(stream, memoryview(bytearray(1)), name):
        raise DataError(f"{name} goes on after the {size:,} bytes its header announces")
    if digest is not None and digest.hexdigest() != expected_hash:
        found_hash = f"{algorithm}:{digest.hexdigest()}"
        raise DataError(f"{name} has the wrong content: it hashes to {found_hash}, expected {content_hash}")


def _map_values(path: Path, axes: Shape, name: str, header: bytes) -> npt.NDArray[Any]:
    """Return the bytes of a file as an array; its length must be right."""
    expected, found = len(header) + prod(axes), path.stat().st_size
    if found < expected:
        raise DataError(f"{name} is truncated: its header announces {expected:,} bytes, it holds {found:,}")
    if found > expected:
        raise DataError(f"{name} goes on after the {expected:,} bytes its header announces")
    try:
        return map_bytes(path, len(header), axes)
    except ValueError as error:
        raise DataError(f"{name} cannot be mapped: {error}") from error


def _read_header(stream: BinaryIO, name: str) -> tuple[np.dtype[Any], Shape, bytes]:
    """Return the type, the lengths of the axes, and the bytes of the header."""
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
    name: str, dtype: np.dtype[Any], axes: Shape, kind: IdxKind | None, shape: Shape | None, max_bytes: int
) -> None:
    """Raise DataError if the header announces anything unexpected."""
    if shape is not None and axes != shape:
        raise DataError(f"{name} holds {_times(axes)} values, expected {_times(shape)}")
    if prod(axes) * dtype.itemsize > max_bytes:
        raise DataError(
            f"{name} announces {_times(axes)} values of {dtype.itemsize} bytes, "
            f"more than the {max_bytes:,} bytes allowed",
            "a set of images in IDX may be larger if it is not gzipped and has test images of its own",
        )
    if kind == "images" and (dtype != np.uint8 or len(axes) not in (3, 4)):
        raise DataError(
            f"{name} does not hold images but {_times(axes)} values of type {dtype.name}",
            _how_to_convert(dtype) if len(axes) in (3, 4) else None,
        )
    if kind == "labels" and ((dtype.kind not in "ui" and len(axes) == 1) or len(axes) > 2):
        raise DataError(f"{name} does not hold labels but {_times(axes)} values of type {dtype.name}")
    if kind is not None and 0 in axes:
        raise DataError(f"{name} is empty: it holds {_times(axes)} values")


def _how_to_convert(dtype: np.dtype[Any]) -> str:
    """Return how images of another type become bytes."""
    if dtype.kind == "f":
        convert = "values from 0 to 1 become bytes by (255 * images).round().astype('uint8')"
    else:
        convert = "values from 0 to 255 become bytes by images.astype('uint8')"
    return (
        f"images are bytes from 0 to 255, N x height x width; {convert}, between `read_idx(path)` and "
        "`write_idx(path, images)` of cnncli.data.readers.idx"
    )


def _one_column(array: npt.NDArray[Any], name: str, shape: Shape | None) -> npt.NDArray[Any]:
    """Return the class numbers (N,) of labels (N, columns): the first column of QMNIST, one column, or one-hot rows."""
    if array.dtype.kind in "ui" and (shape is not None or array.shape[1] == 1):
        column: npt.NDArray[Any] = array[:, 0]
        return column
    if array.shape[1] > 1 and np.all((array == 0) | (array == 1)) and np.all(array.sum(axis=1) == 1):
        labels: npt.NDArray[Any] = np.argmax(array, axis=1)
        return labels
    raise DataError(
        f"{name} holds labels of shape {_times(array.shape)}, which are no class numbers and not one-hot",
        "labels are one class number per image, or one-hot rows; the data set qmnist has labels of its own form",
    )


def _class_numbers(array: npt.NDArray[Any], name: str, classes: int | None) -> npt.NDArray[np.int64]:
    """Return the labels as int64 (N,), all of them 0 to classes - 1."""
    labels = array.astype(np.int64)
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
    except (MemoryError, ValueError) as error:  # ValueError: an empty axis and axes too long for NumPy
        raise DataError(f"{name} announces {_times(axes)} values, more than fit in memory") from error


def _read_into(stream: BinaryIO, target: memoryview, name: str) -> int:
    """Read into the target until it is full or the stream ends; return the number of bytes read."""
    got = 0
    while got < len(target):
        block = _read_up_to(stream, len(target) - got, name)
        if not block:
            break
        target[got : got + len(block)] = block
        got += len(block)
    return got


def _read_up_to(stream: BinaryIO, count: int, name: str) -> bytes:
    """Read at most `count` bytes; raises DataError for a damaged gzip file."""
    try:
        return stream.read(count)
    except EOFError as error:
        raise DataError(f"{name} is a truncated gzip file: it breaks off before its end") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{name} is a damaged gzip file: {error}") from error


def _what_it_is(start: bytes) -> str | None:
    """Return what a file that is not IDX probably is, for the message, or None."""
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
