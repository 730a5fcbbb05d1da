"""Finds the classes and pictures of a folder without opening any picture, and counts what is left out.

A folder holds one subfolder per class, or train/ and others with one subfolder per class, at any depth.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import scandir
from pathlib import Path

from cnncli.data.dataset import MAX_CLASSES
from cnncli.data.readers.unread import name_data_file, refuse_file
from cnncli.errors import DataError
from cnncli.pictures.formats import reads_suffix, why_unread

MAX_PICTURES = 200_000
LAYOUT = "a folder of pictures looks like PATH/cat/1.png, PATH/dog/1.png, ..., or PATH/train/cat/1.png, ..."

SPLIT_FOLDERS: dict[str, str] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
"""The names of the folders of splits, in lower case."""

SYSTEM = frozenset("__macosx @eadir __pycache__ thumbs.db desktop.ini $recycle.bin lost+found".split())
"""What programs leave in folders, in lower case; like hidden files, it is not counted."""

NOT_A_PICTURE = "not a picture"
OUTSIDE = "outside of the class folders"
HIDDEN = "hidden"


@dataclass(frozen=True)
class Packed:
    """An encoded picture in memory, from within an archive or a table.

    Args:
        name: what errors call it.
        content: of the picture file.
    """

    name: str
    content: bytes = field(repr=False)


Pictures = tuple[tuple[Path | Packed, int], ...]
"""The source and the label of each picture."""


@dataclass(frozen=True)
class Listing:
    """The content of a folder of pictures.

    Args:
        classes: the names of the class folders: numbers in numeric order, then the others in alphabetical order.
        train: the path and label of every training picture, sorted by class and path.
        validation: the same for val/; None if there is no val/.
        test: the same for test/; None if there is no test/.
        left_out: the number of files that are not read, by reason.
        notes: sentences on how the folder was read.
    """

    classes: tuple[str, ...]
    train: Pictures
    validation: Pictures | None
    test: Pictures | None
    left_out: Mapping[str, int]
    notes: tuple[str, ...]

    @property
    def pictures(self) -> Pictures:
        """All pictures, whatever their part."""
        return (*self.train, *(self.validation or ()), *(self.test or ()))


@dataclass
class _Folder:
    """A folder and all below it.

    Args:
        path: its path.
        pictures: the pictures directly in it, sorted.
        folders: its subfolders by name.
    """

    path: Path
    pictures: list[Path] = field(default_factory=list)
    folders: "dict[str, _Folder]" = field(default_factory=dict)

    @cached_property
    def everything(self) -> list[Path]:
        """The pictures in it and below it, sorted by path."""
        below = (path for inner in self.folders.values() for path in inner.everything)
        return sorted([*self.pictures, *below])

    @property
    def filled(self) -> "list[_Folder]":
        """The subfolders that hold pictures at any depth."""
        return [inner for inner in self.folders.values() if inner.everything]


def list_folder(path: str | Path, fewest: int = 2) -> Listing:
    """Find the classes and pictures of a folder.

    Args:
        path: of the folder.
        fewest: how many classes it needs; test/ alone needs one.

    Raises:
        DataError: there is no such folder, or it has too few classes, an empty class or too many pictures.
    """
    root = Path(path)
    if not root.is_dir():
        raise DataError(*(refuse_file(root) if root.exists() else (f"there is no folder {root}", LAYOUT)))
    left_out: dict[str, list[Path]] = defaultdict(list)
    top = _descend(_scan(root, left_out, frozenset()))
    notes = [] if top.path == root else [f"the classes are the folders in {top.path}"]
    splits = _find_splits(top)
    base = splits.get("train") or splits.get("test") or top
    classes = _class_names(base, left_out, fewest if base is not splits.get("test") else 1)
    found = {name: _pictures(folder, base, classes) for name, folder in (splits or {"train": base}).items()}
    if sum(map(len, found.values())) > MAX_PICTURES:
        raise DataError(f"{root} holds more than {MAX_PICTURES:,} pictures")
    read = {path for pictures in found.values() for path, _ in pictures}
    left_out[OUTSIDE] += [path for path in top.everything if path not in read]
    notes += _describe_depth(base)
    for name, pictures in found.items():
        present = {label for _, label in pictures}
        missing = [title for label, title in enumerate(classes) if label not in present]
        if missing:
            notes.append(f"{splits[name].path} has no pictures of {_listed(missing)}")
    notes += describe_left_out(left_out, root)
    return Listing(
        classes,
        found.get("train", ()),
        found.get("validation"),
        found.get("test"),
        {reason: len(files) for reason, files in left_out.items() if files},
        tuple(notes),
    )


def describe_left_out(left_out: Mapping[str, Sequence[Path]], root: Path) -> list[str]:
    """Return a sentence for each reason why files below a folder are not read, with their number and some names."""
    return [
        f"left out: {len(files):,} {reason} ({_listed([file.relative_to(root).as_posix() for file in files])})"
        for reason, files in sorted(left_out.items())
        if files
    ]


def _scan(path: Path, left_out: dict[str, list[Path]], above: frozenset[tuple[int, int]]) -> _Folder:
    """Return a folder with all below it, and sort what is not a picture by the reason why it is left out."""
    folder = _Folder(path)
    try:
        status = path.stat()
        here = (status.st_dev, status.st_ino)
        with scandir(path) as entries:
            shown = sorted((entry.name, entry.is_dir()) for entry in entries)
    except OSError as error:
        raise DataError(f"{path} cannot be listed: {error.strerror or error}") from error
    if here in above:
        raise DataError(f"{path} is a link to a folder above it")
    for name, is_folder in shown:
        suffix = Path(name).suffix.lower()
        if name.lower() in SYSTEM:
            continue
        if name.startswith("."):
            if reads_suffix(suffix) and not is_folder and not name.startswith("._"):
                left_out[HIDDEN].append(path / name)
        elif is_folder:
            folder.folders[name] = _scan(path / name, left_out, above | {here})
        elif reads_suffix(suffix):
            folder.pictures.append(path / name)
        else:
            left_out[why_unread(suffix) or NOT_A_PICTURE].append(path / name)
    return folder


def _descend(folder: _Folder) -> _Folder:
    """Return the folder that holds the classes or the splits: the only filled subfolder, as often as there is one."""
    while not _find_splits(folder) and not folder.pictures and len(folder.filled) == 1:
        (inner,) = folder.filled
        if inner.pictures or not inner.filled:
            break  # the pictures of a single class
        folder = inner
    return folder


def _find_splits(folder: _Folder) -> dict[str, _Folder]:
    """Return the subfolders of the splits by the name of the split; one with pictures directly in it is a class."""
    found: dict[str, _Folder] = {}
    for name, inner in folder.folders.items():
        split = SPLIT_FOLDERS.get(name.lower())
        if split and inner.filled:
            if split in found:
                raise DataError(f"{found[split].path} and {inner.path} are the same part of a data set")
            found[split] = inner
    if "train" in found or ("test" in found and len(found) == len(folder.filled)):
        return found
    return {}


def _class_names(base: _Folder, left_out: Mapping[str, list[Path]], fewest: int) -> tuple[str, ...]:
    """Return the names of the classes; raises DataError if there are too few or too many."""
    classes = tuple(sorted(base.folders, key=_class_order))
    if not classes:
        forms = ((file, name_data_file(file)) for file in left_out[NOT_A_PICTURE])
        for file, form in forms:
            if form:
                raise DataError(f"{base.path} holds no class folders, and {file.name} is {form[0]}", form[1])
        if base.pictures:
            raise DataError(
                f"{base.path} holds no class folders, only pictures",
                "`data.labels_from=name` takes the class from the first word of each file's name, and a table of names "
                f"and labels is named by its path; {LAYOUT}",
            )
        raise DataError(f"{base.path} holds no class folders", LAYOUT)
    if len(classes) < fewest:
        raise DataError(f"{base.path} holds only the class '{classes[0]}'", LAYOUT)
    if len(classes) > MAX_CLASSES:
        raise DataError(
            f"{base.path} holds {len(classes):,} class folders, more than {MAX_CLASSES:,}", LAYOUT
        )
    for name in classes:
        inner = base.folders[name]
        if (inner.path / "run.json").is_file() and (inner.path / "checkpoints").is_dir():
            raise DataError(f"{base.path} holds training runs such as {name}, no classes of pictures", LAYOUT)
        if not inner.everything:
            raise DataError(f"the class folder {inner.path} holds no pictures", LAYOUT)
        if not inner.pictures and all(deeper.path.name.lower() in SPLIT_FOLDERS for deeper in inner.filled):
            raise DataError(f"{inner.path} is a class that holds {inner.filled[0].path.name}/", LAYOUT)
    return classes


def _class_order(name: str) -> tuple[bool, int, str]:
    number = name.isascii() and name.isdigit()
    return (not number, int(name) if number else 0, name)


def _pictures(folder: _Folder, base: _Folder, classes: tuple[str, ...]) -> Pictures:
    """Return the pictures of a split with their labels; its classes are among those of `base`."""
    unknown = sorted({inner.path.name for inner in folder.filled} - set(classes), key=_class_order)
    if unknown:
        raise DataError(f"{folder.path / unknown[0]} is a class that is not in {base.path}")
    return tuple(
        (path, label)
        for label, name in enumerate(classes)
        if name in folder.folders
        for path in folder.folders[name].everything
    )


def _describe_depth(base: _Folder) -> list[str]:
    deeper = [inner.path.name for name in base.folders.values() for inner in name.filled]
    if not deeper:
        return []
    return [
        f"the pictures in subfolders of the classes are read too ({_listed(list(dict.fromkeys(deeper)))})"
    ]


def _listed(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
