"""Reads ARFF tables, such as the `mnist_784` of OpenML: a header that names the columns, then one image per row.

Source: "Attribute-Relation File Format" of the Weka manual.
"""

import csv
from pathlib import Path
from typing import BinaryIO

from cnncli.data.readers.arrays import ArrayFile
from cnncli.data.readers.streams import open_stream
from cnncli.data.readers.table import BLOCK, MAX_COLUMNS, Head, Rows
from cnncli.errors import DataError

MAX_HEADER_BYTES = 64 << 20


def looks_like_arff(start: bytes) -> bool:
    """Return whether the first bytes of a file are those of an ARFF table."""
    lines = (line.strip() for line in start.lower().split(b"\n"))
    first = next((line for line in lines if line and not line.startswith(b"%")), b"")
    return first.startswith(b"@relation")


def read_arff(path: Path, labels: str | None = None) -> ArrayFile:
    """Read an ARFF table; the column of labels is found as in `read_table`, and is the last one otherwise.

    Raises:
        DataError: it cannot be read, its rows are sparse, or a row is not like the others.
    """
    with open_stream(path) as stream:
        names, lines = _read_names(path, stream)
        if not names:
            raise DataError(f"{path} names no columns")
        rows = Rows(path, Head(b",", len(names), tuple(names)), labels, first_line=lines + 1, quote="'")
        rows.last_is_label = True
        start = stream.read(BLOCK)
        if start.lstrip().startswith(b"{"):
            raise DataError(f"{path} has sparse rows, which are not read", "save it as a dense table")
        rows.read(stream, start)
    return rows.finish()


def _read_names(path: Path, stream: BinaryIO) -> tuple[list[str], int]:
    """Return the names of the columns and the number of lines up to `@data`."""
    names: list[str] = []
    lines = size = 0
    while line := stream.readline(MAX_HEADER_BYTES):
        lines += 1
        size += len(line)
        words = line.strip()
        if words.lower().startswith(b"@data"):
            return names, lines
        if words.lower().startswith(b"@attribute"):
            text = words.decode("utf-8", "replace")[len("@attribute") :].strip().replace("\t", " ")
            quote = text[0] if text.startswith(("'", '"')) else '"'
            try:
                names.append((next(csv.reader([text], delimiter=" ", quotechar=quote), []) or [""])[0])
            except csv.Error as error:
                raise DataError(f"{path}: line {lines} names no column: {error}") from error
        if size > MAX_HEADER_BYTES or len(names) > MAX_COLUMNS:
            raise DataError(f"{path} has a header that is too long")
    raise DataError(f"{path} is truncated: it ends within its header")
