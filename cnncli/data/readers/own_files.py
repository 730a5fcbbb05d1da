"""Finds the files of a data set of the user's own: one file, or a folder of files of one kind."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from cnncli.data.readers.choose import PARTS, ROLES, part_of, role_of, words_of
from cnncli.data.readers.kinds import ARRAYS, PICTURES, FileKind, kind_of_file
from cnncli.data.readers.table import has_labels, has_pixels
from cnncli.data.readers.unread import refuse_file
from cnncli.errors import DataError
from cnncli.pictures.formats import reads_suffix

MAX_FILES = 2000
MAX_LOOKED_AT = 5000
"""So many entries of a folder are looked at."""


@dataclass(frozen=True)
class OwnFiles:
    """The files of a set.

    Args:
        kind: of all of them.
        paths: sorted by name.
        notes: sentences on what was left out.
    """

    kind: FileKind
    paths: tuple[Path, ...]
    notes: tuple[str, ...] = field(default=())


def find_files(path: Path, labels: str | None = None) -> OwnFiles | None:
    """Return the files of a set that are no pictures in class folders; None if a folder holds none.

    Args:
        path: a file or a folder.
        labels: the name of a column of labels, for tables.

    Raises:
        DataError: a file is of a kind that is not read, or a folder holds files of several kinds.
    """
    if path.is_file():
        kind = kind_of_file(path)
        if kind not in (*ARRAYS, *PICTURES):
            raise DataError(*refuse_file(path, kind))
        return OwnFiles(kind, tuple(sorted({path, *_labels_beside(path, kind)})))
    if not path.is_dir():
        return None
    by_kind: dict[FileKind, list[Path]] = defaultdict(list)
    for file in _data_files(path):
        kind = kind_of_file(file)
        if kind in (*ARRAYS, *PICTURES):
            by_kind[kind].append(file)
    notes: list[str] = []
    # a table of names, or of answers to hand in, has no pixels
    tables = [file for file in by_kind.pop("table", []) if has_pixels(file)]
    with_labels = [file for file in tables if has_labels(file, labels)]
    if with_labels and len(with_labels) < len(tables):
        names = ", ".join(file.name for file in tables if file not in with_labels)
        notes.append(f"left out: {names}, which has no labels and can only be predicted")
    if tables:
        by_kind["table"] = with_labels or tables
    filled = {kind: files for kind, files in by_kind.items() if files}
    if not filled:
        return None
    # a small table beside arrays or pictures is about them
    if len(filled) > 1:
        filled.pop("table", None)
    if len(filled) > 1:
        names = " and ".join(f"{files[0].name} ({kind})" for kind, files in filled.items())
        raise DataError(
            f"{path} holds files of several kinds: {names}", "name one file, or move the others away"
        )
    ((kind, files),) = filled.items()
    return OwnFiles(kind, tuple(files), tuple(notes))


def _data_files(folder: Path) -> list[Path]:
    """Return the files in a folder, or in its only subfolder, and in the subfolders of its parts."""
    try:
        entries = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__")))
    except OSError as error:
        raise DataError(f"{folder} cannot be listed: {error.strerror or error}") from error
    files = [
        path for path in entries[:MAX_LOOKED_AT] if not reads_suffix(path.suffix.lower()) and path.is_file()
    ]
    folders = [path for path in entries[:MAX_LOOKED_AT] if path.is_dir()]
    if not files and len(entries) == 1 and len(folders) == 1:
        return _data_files(folders[0])
    for part in folders:
        if part.name.lower() in PARTS and part.name.lower() != "t":
            files += [
                path
                for path in sorted(part.iterdir())
                if path.is_file() and not reads_suffix(path.suffix.lower())
            ]
    if len(files) > MAX_FILES:
        raise DataError(f"{folder} holds {len(files):,} files, more than {MAX_FILES:,}")
    return files


def _may_be_data(path: Path) -> bool:
    return not path.name.startswith(".") and not reads_suffix(path.suffix.lower()) and path.is_file()


def _labels_beside(path: Path, kind: FileKind) -> list[Path]:
    """Return the files with the labels of one file of images, or the images of one file of labels."""
    if kind not in ("idx", "npy", "npz"):
        return []
    role, part = role_of(path.name), part_of(path.name)
    if role is None:
        return []
    beside = (other for other in path.parent.iterdir() if other.is_file() and other != path)
    return [
        other
        for other in beside
        if role_of(other.name) not in (None, role)
        and part_of(other.name) == part
        and _without_role(other.name) == _without_role(path.name)
        and kind_of_file(other) == kind
    ]


def _without_role(name: str) -> str:
    return " ".join(word for word in words_of(name.split(".")[0]) if word not in ROLES and word != "idx")
