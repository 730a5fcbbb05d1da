"""Reads tables of pixels, one image per row: CSV files with or without a header, and their compressed forms.

A block of the file is parsed by array operations: every byte is a digit or a separator, and the digits before each
separator are summed with their weights. A block with anything else (signs, points, quotes) goes through NumPy's own
reader.
"""

import csv
import io
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from cnncli.data.readers.arrays import MAX_VALUES, Array, ArrayFile, in_memory
from cnncli.data.readers.integers import parse_integers
from cnncli.data.readers.streams import open_stream
from cnncli.errors import DataError

BLOCK = 1 << 17
"""Bytes that are parsed at once."""

MAX_COLUMNS = 1 << 20
MAX_LINE_BYTES = 16 << 20

LABEL_NAMES = frozenset("label labels class classes target targets y digit letter category emotion".split())
"""The names of a column of labels, in lower case."""

NUMBER_NAMES = frozenset(["id", "index", "imageid", "image_id", "unnamed: 0", ""])
"""The names of a column that numbers the rows, in lower case."""

SMALLEST = 16
"""A table of pixels has more columns than this."""

DELIMITERS = b",;\t"


@dataclass(frozen=True)
class Head:
    """What the first lines of a table say about it.

    Args:
        delimiter: one byte.
        columns: how many.
        names: of the columns; none without a header.
    """

    delimiter: bytes
    columns: int
    names: tuple[str, ...]


def looks_like_table(start: bytes) -> bool:
    """Return whether the first bytes of a file are those of a table with at least two columns."""
    try:
        return _read_head(start, complete=False) is not None
    except UnicodeDecodeError:
        return False


def has_pixels(path: Path) -> bool:
    """Return whether a table has so many columns that they may be pixels."""
    with open_stream(path) as stream:
        start = stream.read(BLOCK)
    try:
        head = _read_head(start, complete=True)
    except UnicodeDecodeError:
        return False
    return head is not None and head.columns > SMALLEST


def has_labels(path: Path, labels: str | None = None) -> bool:
    """Return whether the first rows of a table have pixels and a column of labels."""
    with open_stream(path) as stream:
        start = stream.read(BLOCK)
    try:
        head = _read_head(start, complete=True)
        if head is None:
            return False
        rows = Rows(path, head, labels)
        first = start.split(b"\n", 1)[-1] if head.names else start
        whole = first[: first.rfind(b"\n") + 1] or first + b"\n"
        values = parse_integers(whole, head.delimiter, head.columns)
        rows.choose_columns(whole if values is None else values)
    except (UnicodeDecodeError, DataError):
        return False
    return rows.label is not None


def read_table(path: Path, labels: str | None = None) -> ArrayFile:
    """Read a table: the images as one array (N, columns), and the labels as another, if it has a column of them.

    The column of labels is found by its name. Without a header it is the first or the last one, if the others are the
    pixels of a square image. A column that numbers the rows is left out.

    Args:
        path: of the file, which may be a .gz, .bz2 or .xz file.
        labels: the name of the column of labels, or its position from 0; None to find it.

    Raises:
        DataError: it cannot be read, or a row is not like the others; names the line.
    """
    with open_stream(path) as stream:
        start = stream.read(BLOCK)
        try:
            head = _read_head(start, complete=True)
        except UnicodeDecodeError:
            head = None
        if head is None:
            raise DataError(f"{path} is not a table: its first line has no two columns")
        rows = Rows(path, head, labels, first_line=2 if head.names else 1)
        first = start.index(b"\n") + 1 if head.names and b"\n" in start else 0
        rows.read(stream, start.removeprefix(b"\xef\xbb\xbf") if not first else start[first:])
    return rows.finish()


def _read_head(start: bytes, *, complete: bool) -> Head | None:
    """Return delimiter, number of columns and header, or None if the first lines are those of no table."""
    text = start.removeprefix(b"\xef\xbb\xbf").split(b"\n", 2)
    # a line that the first bytes cut off tells nothing
    whole = text if complete else text[:-1] or text
    line = whole[0].rstrip(b"\r")
    delimiter = max(DELIMITERS, key=line.count)
    if not line.count(delimiter):
        return None
    mark = chr(delimiter)
    try:
        cells = next(csv.reader([line.decode("utf-8")], delimiter=mark))
    except csv.Error:
        return None  # a cell that is too long, or a line end within one
    if not complete and sum(map(str.isprintable, cells)) < len(cells):
        return None
    numbers = sum(map(_is_number, cells))
    header = numbers <= len(cells) // 2 and len(text) > 1
    if not header and not numbers:
        return None
    names = tuple(cell.strip() for cell in cells) if header else ()
    return Head(mark.encode(), len(cells), names)


def _is_number(cell: str) -> bool:
    with suppress(ValueError):
        float(cell)
        return True
    return False


class Rows:
    """Collects the rows of a table block by block.

    Args:
        path: of the file, for errors.
        head: what its first lines say.
        labels: the name or position of the column of labels; None to find it.
        first_line: the number of the first line of the rows.
        quote: what texts may be quoted with.
    """

    def __init__(
        self, path: Path, head: Head, labels: str | None, *, first_line: int = 1, quote: str = '"'
    ) -> None:
        self.path, self.head = path, head
        self.line, self.quote = first_line, quote
        self.last_is_label = False
        if head.columns > MAX_COLUMNS:
            raise DataError(f"{path} has {head.columns:,} columns, more than {MAX_COLUMNS:,}")
        self.wanted = labels
        self.label: int | None = None
        self.pixels: list[int] = []
        self._pixel_slice: slice | list[int] = []
        self.images: list[Array] = []
        self.labels: list[Array] = []
        self.notes: list[str] = []
        self.count = 0

    def read(self, stream: BinaryIO, rest: bytes) -> None:
        """Parse all lines, block by block; `rest` is what was read already."""
        for block in _blocks(stream, rest, self.path):
            values = parse_integers(block, self.head.delimiter, self.head.columns)
            if not self.pixels:
                self.choose_columns(block if values is None else values)
            if values is None:
                self._take_texts(block, self.line)
            else:
                # a copy, since a view would keep the whole block in memory
                labels = None if self.label is None else values[:, self.label].astype(np.int32)
                self._take(values[:, self._pixel_slice], labels)
            self.line += block.count(b"\n")
            if self.count * len(self.pixels) > MAX_VALUES:
                raise DataError(f"{self.path} has more than {MAX_VALUES:,} pixels")

    def _take(self, images: Array, labels: Array | None) -> None:
        if images.dtype == np.int32 and images.size and images.max() <= 255:
            images = images.astype(np.uint8)
        self.images.append(np.ascontiguousarray(images))
        if labels is not None:
            self.labels.append(labels)
        self.count += len(images)

    def choose_columns(self, first: bytes | Array) -> None:
        """Choose the column of labels and those of the pixels by the header, or by the values of the first block."""
        names = [name.strip().lower() for name in self.head.names]
        every = range(self.head.columns)
        if self.wanted is not None:
            self.label = self._wanted_column(self.wanted)
        elif names:
            known = [column for column in every if names[column] in LABEL_NAMES]
            self.label = known[0] if known else every[-1] if self.last_is_label else None
        else:
            self.label = self._column_by_values(first)
        left_out = [c for c in every if names and c != self.label and names[c] in NUMBER_NAMES]
        if left_out:
            self.notes.append(f"{self.path.name}: the column '{self.head.names[left_out[0]]}' is left out")
        self.pixels = [column for column in every if column != self.label and column not in left_out]
        if not self.pixels:
            raise DataError(f"{self.path} has no columns of pixels")
        first_pixel, last = self.pixels[0], self.pixels[-1]
        # columns beside each other are taken as a view
        together = last - first_pixel + 1 == len(self.pixels)
        self._pixel_slice = slice(first_pixel, last + 1) if together else self.pixels

    def _wanted_column(self, wanted: str) -> int:
        if wanted in self.head.names:
            return self.head.names.index(wanted)
        if wanted.isascii() and wanted.lstrip("-").isdigit() and -1 <= int(wanted) < self.head.columns:
            return int(wanted) % self.head.columns
        listed = ", ".join(self.head.names[:5]) or f"{self.head.columns} columns without names"
        raise DataError(
            f"{self.path} has no column '{wanted}': it has {listed}{', ...' if len(self.head.names) > 5 else ''}",
            "name a column of the header, or give its position from 0 (`data.labels`)",
        )

    def _column_by_values(self, first: bytes | Array) -> int | None:
        """Return the first or the last column if the others are the pixels of an image; the corners are constant."""
        count = self.head.columns
        if is_image_length(count) or not is_image_length(count - 1):
            return None
        if isinstance(first, bytes):
            rows = [line.split(self.head.delimiter) for line in first.split(b"\n")[:200] if line.strip()]
            ends = [{row[0] for row in rows}, {row[-1] for row in rows}]
        else:
            ends = [set(first[:200, 0].tolist()), set(first[:200, -1].tolist())]
        return count - 1 if len(ends[0]) < 2 <= len(ends[1]) else 0

    def _take_texts(self, block: bytes, line: int) -> None:
        """Parse a block that has more than digits: numbers with points and signs, quotes, labels that are texts."""
        try:
            text = block.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{self.path} is not a table of text in UTF-8") from error
        mark = self.head.delimiter.decode()
        self._check_rows(block, line)
        try:
            images = self._numbers(text, mark)
            labels = None
            if self.label is not None:
                labels = np.loadtxt(
                    io.StringIO(text), str, None, mark, usecols=[self.label], ndmin=1, quotechar=self.quote
                )
        except ValueError as error:
            raise DataError(f"{self.path}: {_first_bad_cell(text, mark, line, self.label, error)}") from error
        self._take(images, labels)

    def _numbers(self, text: str, mark: str) -> npt.NDArray[np.float32]:
        return np.loadtxt(
            io.StringIO(text), np.float32, None, mark, usecols=self.pixels, ndmin=2, quotechar=self.quote
        )

    def _check_rows(self, block: bytes, line: int) -> None:
        if self.quote.encode() in block:
            return  # a quoted cell may hold a delimiter; NumPy's reader counts those columns
        for offset, row in enumerate(block.split(b"\n")):
            found = row.count(self.head.delimiter) + 1
            if row.strip() and found != self.head.columns:
                raise DataError(
                    f"{self.path}: line {line + offset} has {found:,} values, expected {self.head.columns:,}"
                )

    def finish(self) -> ArrayFile:
        """Return all rows as arrays."""
        if not self.count:
            raise DataError(f"{self.path} has no rows")
        file = ArrayFile(self.path, [], notes=self.notes)
        file.arrays.append(in_memory(self.path, "images", _joined(self.images)))
        if self.label is not None:
            name = self.head.names[self.label] if self.head.names else f"column {self.label}"
            labels = _joined(self.labels)
            file.arrays.append(in_memory(self.path, "labels", labels))
            if self.wanted is None and not self.head.names:
                file.notes.append(f"{self.path.name}: there is no header, the labels are in {name}")
        return file


def is_image_length(count: int) -> bool:
    """Return whether so many values are a square image, gray or of three colors."""
    return (
        any(round((count // colours) ** 0.5) ** 2 * colours == count for colours in (1, 3))
        and count >= SMALLEST
    )


def _joined(blocks: list[Array]) -> Array:
    """Return the rows of all blocks, and free each block once it is copied."""
    kinds = {block.dtype.kind for block in blocks}
    if "U" in kinds:
        return np.concatenate([block if block.dtype.kind == "U" else block.astype(str) for block in blocks])
    dtype: np.dtype[Any] = np.result_type(*{block.dtype for block in blocks})
    if kinds == {"u", "f"} or kinds == {"f"}:
        dtype = np.dtype(np.float32)
    whole = np.empty((sum(map(len, blocks)), *blocks[0].shape[1:]), dtype)
    start = 0
    while blocks:
        block = blocks.pop(0)
        whole[start : start + len(block)] = block
        start += len(block)
    return whole


def _blocks(stream: BinaryIO, rest: bytes, path: Path) -> Iterator[bytes]:
    """Yield what is in a file in blocks of whole lines; the last line gets the line end that it may lack."""
    while True:
        block = stream.read(BLOCK)
        cut = rest.rfind(b"\n") + 1
        if cut:
            yield rest[:cut]
        rest = rest[cut:] + block
        if len(rest) > MAX_LINE_BYTES:
            raise DataError(f"{path} has a line of more than {MAX_LINE_BYTES:,} bytes")
        if not block:
            if rest.strip():
                yield rest if rest.endswith(b"\n") else rest + b"\n"
            return


def _first_bad_cell(text: str, mark: str, line: int, label: int | None, error: ValueError) -> str:
    """Return which cell is no number, and in which line."""
    with suppress(csv.Error):
        for offset, row in enumerate(csv.reader(io.StringIO(text), delimiter=mark)):
            for column, cell in enumerate(row):
                if column != label and not _is_number(cell):
                    what = f"'{cell[:40]}' is no number" if cell.strip() else "a value is missing"
                    return f"line {line + offset}, column {column + 1}: {what}"
    return str(error)
