"""Reads and writes metrics.csv: one row per epoch, and after a crash no row is doubled or lost."""

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
_INTEGERS = {"epoch", "step"}
_MAY_BE_EMPTY = {"val_loss", "val_accuracy"}
_NUMBER = re.compile(r"-?(inf|[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?)|nan")


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Append one row and flush it to the disk; a new file gets the header first.

    A partial last line, left by a killed writer, is removed before.

    Args:
        path: metrics.csv.
        row: a value for each of COLUMNS; other keys are ignored.

    Raises:
        StorageError: the file cannot be written, for example on a full disk; it is unchanged.
    """
    line = _line(row)
    content = _read(path)
    complete = content[: content.rfind(b"\n") + 1]
    if len(complete) != len(content):
        write_bytes_atomic(path, complete)
    append_durably(path, (line if complete else f"{_HEADER}\n{line}").encode())


def rewrite_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Replace all rows in one atomic write; raises StorageError."""
    write_bytes_atomic(path, (_HEADER + "\n" + "".join(map(_line, rows))).encode())


def read_rows(path: Path) -> list[Row]:
    """Read all complete rows; a last line without a line end was cut by a crash, and is ignored.

    Raises:
        RunError: the header or a line is not what `append_row` writes; the message names file and line.
    """
    content = _read(path)
    text = content[: content.rfind(b"\n") + 1].decode("ascii", errors="replace")
    rows: list[Row] = []
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        line = line.removesuffix("\r")  # a spreadsheet may save it with CRLF
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


def _line(row: Mapping[str, Any]) -> str:
    return ",".join(_text(name, row[name]) for name in COLUMNS) + "\n"


def _text(name: str, value: Any) -> str:
    """Return a number as text that reads back to the same bits."""
    if value is None and name in _MAY_BE_EMPTY:
        return ""
    return str(int(value)) if name in _INTEGERS else repr(float(value))


def _parse(line: str) -> Row | None:
    fields = line.split(",")
    if len(fields) != len(COLUMNS):
        return None
    row: dict[str, Any] = {}
    for name, text in zip(COLUMNS, fields, strict=True):
        if name in _INTEGERS:
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
