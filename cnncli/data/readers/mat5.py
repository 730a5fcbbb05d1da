"""Reads the arrays of MATLAB files of version 5: numbers, also inside structures; every length is checked first.

A file is a header of 128 bytes and a list of elements, each a tag (type and number of bytes) and its bytes. An element
may be a deflated one. A matrix is an element of elements: flags, dimensions, name, values. Values are stored column by
column.

Source: "MAT-File Format", The MathWorks, sections on version 5.
"""

import struct
import zlib
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from cnncli.data.readers.arrays import MAX_FILE_BYTES, Array, check_size
from cnncli.errors import DataError

NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""The types of values by the number in a tag; there is no 8, 10 or 11 for numbers."""

MATRIX, COMPRESSED = 14, 15

STRUCTURE = 2
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
"""The types of arrays by their class. Their values may be stored in a smaller type."""

COMPLEX = 0x0800

MAX_DEPTH = 8
MAX_ARRAYS = 4096
MAX_DIMENSIONS = 8


class _Damaged(Exception):
    """The bytes are no such file; the message says why."""


def read_mat5(path: Path) -> dict[str, Array]:
    """Return the arrays of numbers of a file by their names; those in structures are named as in `a.b.c`.

    Texts, cells, sparse arrays and complex numbers are left out.

    Raises:
        DataError: it cannot be read, is damaged, or too large.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(content) > MAX_FILE_BYTES:
        raise DataError(f"{path} is larger than {MAX_FILE_BYTES:,} bytes")
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    found: dict[str, Array] = {}
    try:
        if order is None:
            raise _Damaged("its header says no byte order")
        reader = _Reader(path, order)
        left = MAX_FILE_BYTES
        for kind, body in reader.elements(memoryview(content)[128:]):
            if kind == COMPRESSED:
                inflated = _inflate(body, left)
                left -= len(inflated)
                for inner, inner_body in reader.elements(memoryview(inflated)):
                    if inner == MATRIX:
                        reader.read_matrix(inner_body, "", found)
            elif kind == MATRIX:
                reader.read_matrix(body, "", found)
    except (_Damaged, zlib.error, struct.error, ValueError, MemoryError) as error:
        raise DataError(f"{path} is a damaged MATLAB file: {error}") from error
    return found


def _inflate(body: memoryview, most: int) -> bytes:
    inflate = zlib.decompressobj()
    content = inflate.decompress(body, most + 1)
    if len(content) > most:
        raise _Damaged(f"it expands to more than {MAX_FILE_BYTES:,} bytes")
    if not inflate.eof:
        raise _Damaged("a compressed element is cut off")
    return content


class _Reader:
    """Reads elements of one byte order."""

    def __init__(self, path: Path, order: str) -> None:
        self.path, self.order = path, order

    def elements(self, content: memoryview) -> Iterator[tuple[int, memoryview]]:
        """Yield the type and the bytes of each element."""
        at = 0
        while at + 8 <= len(content):
            kind, size = struct.unpack_from(f"{self.order}II", content, at)
            if kind >> 16:  # the short form: the size is in the upper half, and the bytes follow in the tag
                kind, size, start, end = kind & 0xFFFF, kind >> 16, at + 4, at + 8
                if size > 4:
                    raise _Damaged(f"a short element says that it has {size} bytes")
            else:
                start = at + 8
                end = start + size + (0 if kind == COMPRESSED else -size % 8)
            if start + size > len(content):
                raise _Damaged(f"an element of {size:,} bytes goes beyond its end")
            yield kind, content[start : start + size]
            at = end

    def read_matrix(self, body: memoryview, above: str, found: dict[str, Array], depth: int = 0) -> None:
        """Add the array, or the arrays in a structure, to what was found."""
        if depth > MAX_DEPTH:
            raise _Damaged(f"structures are nested more than {MAX_DEPTH} deep")
        parts = self.elements(body)
        flags = self._numbers(next(parts, None))
        shape = tuple(self._numbers(next(parts, None)).tolist())
        name = bytes(next(parts, (0, memoryview(b"")))[1]).decode("latin-1")
        if len(flags) < 1 or not 2 <= len(shape) <= MAX_DIMENSIONS or min(shape) < 0:
            raise _Damaged("a matrix has no possible flags or dimensions")
        kind, options = int(flags[0]) & 0xFF, int(flags[0])
        name = f"{above}.{name}" if above and name else name or above
        if kind == STRUCTURE:
            self._read_structure(parts, shape, name, found, depth)
        elif kind in CLASSES and not options & COMPLEX:
            if len(found) >= MAX_ARRAYS:
                raise _Damaged(f"it holds more than {MAX_ARRAYS:,} arrays")
            dtype = np.dtype(CLASSES[kind])
            check_size(self.path, name, shape, dtype)
            values = self._numbers(next(parts, None))
            if len(values) != prod(shape):
                raise _Damaged(f"{name} has {len(values):,} values for the shape {'x'.join(map(str, shape))}")
            found[name] = values.astype(dtype, copy=False).reshape(shape, order="F")

    def _read_structure(
        self,
        parts: Iterator[tuple[int, memoryview]],
        shape: tuple[int, ...],
        name: str,
        found: dict[str, Array],
        depth: int,
    ) -> None:
        length = self._numbers(next(parts, None))
        names = bytes(next(parts, (0, memoryview(b"")))[1])
        if len(length) != 1 or not 1 <= int(length[0]) <= 256:
            raise _Damaged("a structure has no possible length of names")
        step = int(length[0])
        fields = [
            names[at : at + step].split(b"\0")[0].decode("latin-1") for at in range(0, len(names), step)
        ]
        if prod(shape) != 1:
            return  # an array of structures is no data set
        for field, (kind, body) in zip(fields, parts, strict=False):
            if kind == MATRIX and body:
                self.read_matrix(body, f"{name}.{field}" if name else field, found, depth + 1)

    def _numbers(self, element: tuple[int, memoryview] | None) -> Array:
        if element is None:
            raise _Damaged("a matrix is cut off")
        kind, body = element
        if kind not in NUMBERS:
            raise _Damaged(f"{kind} is no type of numbers")
        dtype: np.dtype[Any] = np.dtype(self.order + NUMBERS[kind])
        if len(body) % dtype.itemsize:
            raise _Damaged(f"{len(body):,} bytes are no whole number of values")
        return np.frombuffer(body, dtype).astype(dtype.newbyteorder("="), copy=False)
