"""Lists pictures that lie in one folder: their classes come from their names, or from a table beside them."""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from cnncli.data.dataset import MAX_CLASSES
from cnncli.data.readers.layout import MAX_PICTURES, Listing
from cnncli.data.readers.streams import open_stream
from cnncli.errors import DataError, UsageError
from cnncli.pictures.formats import reads_suffix

BY_NAME = "name"
MAX_TABLE_BYTES = 64 << 20

_FIRST_WORD = re.compile(r"[^\W_]+")


def list_labeled(folder: Path, labels_from: str) -> Listing:
    """Return the pictures of a folder and of all folders in it.

    Args:
        folder: of the pictures.
        labels_from: "name" for the first word of the name of each file, such as 7 of `7_0013.png`; otherwise the path
            of a table, seen from the folder or from the working directory, with the name of a file (with or without
            its ending) and its label in each row.

    Raises:
        DataError: there is no such table, or it names no picture.
        UsageError: the classes are too many or too few.
    """
    pictures = sorted(
        path
        for path in folder.rglob("*")
        if reads_suffix(path.suffix.lower()) and not path.name.startswith(".") and path.is_file()
    )
    if len(pictures) > MAX_PICTURES:
        raise DataError(f"{folder} holds more than {MAX_PICTURES:,} pictures")
    if not pictures:
        raise DataError(f"{folder} holds no pictures")
    if labels_from == BY_NAME:
        labels = {path: match[0] for path in pictures if (match := _FIRST_WORD.search(path.stem))}
    else:
        labels = _from_table(folder, pictures, labels_from)
    if not labels:
        raise DataError(f"no picture of {folder} has a label in {labels_from}")
    classes = tuple(sorted(set(labels.values()), key=_order))
    if not 2 <= len(classes) <= MAX_CLASSES:
        raise UsageError(
            f"the pictures of {folder} have {len(classes):,} classes by data.labels_from={labels_from}, "
            f"expected 2 to {MAX_CLASSES:,}",
            "a table with the names of the files and their labels is named by its path",
        )
    left_out = (
        {"pictures without a label": len(pictures) - len(labels)} if len(labels) < len(pictures) else {}
    )
    notes = [f"left out: {count:,} {reason}" for reason, count in left_out.items()]
    train = sorted(((path, classes.index(label)) for path, label in labels.items()), key=lambda pair: pair[1])
    return Listing(classes, tuple(train), None, None, left_out, tuple(notes))


def _from_table(folder: Path, pictures: list[Path], name: str) -> dict[Path, str]:
    path = next((each for each in (folder / name, Path(name).expanduser()) if each.is_file()), None)
    if path is None:
        raise DataError(
            f"there is no table {name}, neither in {folder} nor here",
            "`data.labels_from=name` takes the class from the name of each file",
        )
    with open_stream(path) as stream:
        content = stream.read(MAX_TABLE_BYTES)
    text = content.decode("utf-8-sig", "replace")
    first = text.split("\n", 1)[0]
    mark = max(",;\t ", key=first.count)
    by_name: dict[str, list[Path]] = defaultdict(list)
    for each in pictures:
        for key in {each.name, each.stem, each.relative_to(folder).as_posix()}:
            by_name[key].append(each)
    labels: dict[Path, str] = {}
    for row in _rows(path, text, mark):
        cells = [cell.strip() for cell in row]
        for position, cell in enumerate(cells):
            if cell in by_name and len(cells) > 1:
                label = cells[position + 1] if position + 1 < len(cells) else cells[position - 1]
                labels.update((each, label) for each in by_name[cell])
                break
    return labels


def _rows(path: Path, text: str, mark: str) -> Iterator[list[str]]:
    try:
        yield from csv.reader(io.StringIO(text), delimiter=mark)
    except csv.Error as error:
        raise DataError(f"{path} is no table: {error}") from error


def _order(name: str) -> tuple[bool, int, str]:
    number = name.isascii() and name.isdigit()
    return not number, int(name) if number else 0, name
