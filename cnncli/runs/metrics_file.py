"""metrics.csv: one header, one row an epoch, and neither a doubled nor a lost row after a crash."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypedDict, cast

from cnncli.errors import RunError
from cnncli.storage import append_durably, storing, write_bytes_atomic

MAX_BYTES = 64 << 20


class Row(TypedDict):
    """One epoch; the validation columns are None when there are no validation images."""

    epoch: int
    step: int
    time_s: float
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None


COLUMNS = tuple(Row.__annotations__)

_HEADER = ",".join(COLUMNS)
_WHOLE = {"epoch", "step"}
_MAY_BE_EMPTY = {"val_loss", "val_accuracy"}
_NUMBER = re.compile(r"-?(inf|[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?)|nan")


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Add one row and flush it to the disk; the header goes before the first one.

    What a writer killed in the middle of a line left behind is removed first.

    Args:
        path: metrics.csv.
        row: a value for each of COLUMNS; further keys are ignored.

    Raises:
        StorageError: the disk is full, ...; the file is as it was.
    """
    line = _line(row)
    content = _read(path)
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) != len(content):
        write_bytes_atomic(path, whole)
    append_durably(path, (line if whole else f"{_HEADER}\n{line}").encode())


def rewrite_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Replace all rows, whole or not at all; raises StorageError."""
    write_bytes_atomic(path, (_HEADER + "\n" + "".join(map(_line, rows))).encode())


def read_rows(path: Path) -> list[Row]:
    """Read all whole rows; a last line without its line end was cut by a crash, and is left out.

    Raises:
        RunError: the header or a line is not what `append_row` writes; names file and line.
    """
    content = _read(path)
    text = content[: content.rfind(b"\n") + 1].decode("ascii", errors="replace")
    rows: list[Row] = []
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        line = line.removesuffix("\r")  # as a spreadsheet may save it
        if number == 1:
            if line != _HEADER:
                raise RunError(f"{path}:1: expected the header {_HEADER}, found {line!r:.120}")
            continue
        row = _parse(line)
        if row is None:
            raise RunError(f"{path}:{number}: expected {len(COLUMNS)} numbers, found {line!r:.120}")
        if rows and row["epoch"] <= rows[-1]["epoch"]:
            raise RunError(f"{path}:{number}: epoch {row['epoch']} follows epoch {rows[-1]['epoch']}")
        rows.append(row)
    return rows


def truncate_rows(path: Path, after_epoch: int) -> list[Row]:
    """Drop the rows of later epochs than this, whole or not at all; return the rows that are left."""
    rows = [row for row in read_rows(path) if row["epoch"] <= after_epoch]
    rewrite_rows(path, rows)
    return rows


def _line(row: Mapping[str, Any]) -> str:
    return ",".join(_text(name, row[name]) for name in COLUMNS) + "\n"


def _text(name: str, value: Any) -> str:
    """Write a number so that reading it gives every bit back."""
    if value is None and name in _MAY_BE_EMPTY:
        return ""
    return str(int(value)) if name in _WHOLE else repr(float(value))


def _parse(line: str) -> Row | None:
    fields = line.split(",")
    if len(fields) != len(COLUMNS):
        return None
    row: dict[str, Any] = {}
    for name, text in zip(COLUMNS, fields, strict=True):
        if name in _WHOLE:
            if not re.fullmatch("[0-9]{1,18}", text):
                return None
            row[name] = int(text)
        elif not text and name in _MAY_BE_EMPTY:
            row[name] = None
        elif _NUMBER.fullmatch(text):
            row[name] = float(text)
        else:
            return None
    return cast(Row, row)


def _read(path: Path) -> bytes:
    with storing(path, "read"):
        try:
            with open(path, "rb") as file:
                content = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return b""
    if len(content) > MAX_BYTES:
        raise RunError(f"{path} is larger than {MAX_BYTES >> 20} MB")
    return content
