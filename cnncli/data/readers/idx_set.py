"""Reads data sets of four IDX files: published ones, each file checked against the registry, and the user's own.

Axis letters: N images, H and W pixels.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnncli.data.checks import describe_values
from cnncli.data.dataset import MAX_CLASSES, SPLIT_NAMES, Dataset, Split, SplitName, pixel_statistics
from cnncli.data.readers.idx import IdxKind, idx_header, is_gzipped, read_idx
from cnncli.data.reading import Reading
from cnncli.data.registry import DATASETS, DataFile, DatasetSpec
from cnncli.data.splits import cut_test
from cnncli.errors import DataError, DownloadCall, MissingDataError
from cnncli.types import ByteArray


def load_published(
    spec: DatasetSpec, data_dir: str | Path, splits: Sequence[SplitName] = SPLIT_NAMES
) -> Dataset:
    """Load a published set; a split that is not asked for has no images.

    Raises:
        MissingDataError: a file is missing or has the wrong content; the hint has the call that downloads it.
    """
    mean, std = spec.mean, spec.std
    try:
        paths = _find_files(spec, data_dir, splits)
        loaded = {split: _load_split(spec, split, paths) for split in splits}
        if mean is None or std is None:
            train = loaded.get("train") or _load_split(spec, "train", _find_files(spec, data_dir, ["train"]))
            mean, std = pixel_statistics(train.images)
    except MissingDataError:
        raise
    except DataError as error:
        call = DownloadCall(spec.name, str(data_dir))
        again = f"fetch it again: {call}; a set of your own is called folder:PATH"
        raise MissingDataError(error.message, error.hint or again, call=call) from error
    some = next(iter(loaded.values()))
    empty = Split(some.images[:0], some.labels[:0])
    return Dataset(spec.name, loaded.get("train", empty), loaded.get("test", empty), spec.classes, mean, std)


OwnFiles = dict[str, dict[IdxKind, Path]]
"""The IDX files of the user's own: for each of "train", "validation" and "test" the images and the labels."""


def find_own(folder: Path) -> OwnFiles:
    """Find the IDX files of a folder of the user's own by their names.

    A name has "images" or "labels", and "idx" or "ubyte". The part is told by "train", by "t10k" or "test", or by
    "val"; without any it is "train". A folder with a single subfolder stands for that subfolder.

    Raises:
        DataError: two files are the same part, or images are there without labels.
    """
    found: dict[tuple[str, IdxKind], list[Path]] = {}
    if not folder.is_dir():
        return {}
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    for path in entries:
        name = path.name.lower()
        if not path.is_file() or not ("idx" in name or "ubyte" in name):
            continue
        kind: IdxKind | None = "images" if "image" in name else "labels" if "label" in name else None
        if kind:
            parts = {"train": "train", "t10k": "test", "test": "test", "val": "validation"}
            part = next((part for mark, part in parts.items() if mark in name), "train")
            found.setdefault((part, kind), []).append(path)
    if not found and len(entries) == 1 and entries[0].is_dir():
        return find_own(entries[0])
    files: OwnFiles = {}
    for (part, kind), paths in found.items():
        stems = {path.name.lower().removesuffix(".gz").replace(".idx", "-idx") for path in paths}
        if len(stems) > 1:
            raise DataError(f"{paths[0]} and {paths[1].name} are both the {part} {kind} of a data set")
        files.setdefault(part, {})[kind] = max(
            paths, key=lambda path: (path.suffix == ".gz", "-idx" in path.name)
        )
    for part, kinds in files.items():
        if len(kinds) == 1:
            ((kind, path),) = kinds.items()
            missing = "labels" if kind == "images" else "images"
            raise DataError(
                f"{path} holds the {part} {kind}, and there are no {part} {missing} in {path.parent}"
            )
    return files


def load_own(
    name: str, files: OwnFiles, *, draw_test: bool = True, reading: Reading | None = None
) -> Dataset:
    """Load IDX files of the user's own, of any size and class count.

    Without test files a fifth of each class becomes the test split. Test files alone give a set to evaluate on.

    Args:
        name: the name of the set.
        files: from `find_own`; not empty.
        draw_test: whether to do so; if not, there are no test images without test files.
        reading: whether rows and columns, or bright and dark are exchanged.

    Raises:
        DataError: a file cannot be read, or the files do not fit each other.
    """
    folder = next(iter(files.values()))["images"].parent
    notes: list[str] = []
    parts = [part for part in ("train", "validation", "test") if part in files]
    # what is cut into two parts, or changed, is in memory
    may_map = "test" in files and not (reading and (reading.invert or reading.transpose))
    splits = {
        part: _load_own_split(files[part], reading or Reading(), notes, may_map=may_map and part == "train")
        for part in parts
    }
    count = 1 + max(int(split.labels.max()) for split in splits.values())
    if count > MAX_CLASSES:
        raise DataError(f"{folder} has labels up to {count - 1:,}, more than {MAX_CLASSES:,} classes")
    for other in parts[1:]:
        shape, different = splits[parts[0]].images.shape[1:], splits[other].images.shape[1:]
        if shape != different:
            titles = {"train": "training", "validation": "validation", "test": "test"}
            raise DataError(
                f"{folder} has {titles[parts[0]]} images {shape} and {titles[other]} images {different}"
            )
    train, test = splits.get("train"), splits.get("test")
    if train is None:
        test = test or splits["validation"]
        train = Split(test.images[:0], test.labels[:0])
    elif test is None and not draw_test:
        test = Split(train.images[:0], train.labels[:0])
    elif test is None:
        train, test = cut_test(train)
        notes.append("the test set is 20 % of each class, because there are no test files")
    dataset = Dataset(
        name,
        train,
        test,
        tuple(map(str, range(count))),
        *pixel_statistics((train if len(train) else test).images),
        test_drawn=draw_test and "test" not in splits and "train" in splits,
        validation=splits.get("validation"),
    )
    return replace(dataset, notes=(*notes, *describe_values(dataset)))


def _load_own_split(
    kinds: Mapping[IdxKind, Path], reading: Reading, notes: list[str], *, may_map: bool = False
) -> Split:
    is_emnist = "emnist" in kinds["images"].name.lower()
    images = read_idx(kinds["images"], kind="images", may_map=may_map and not is_emnist)
    labels = read_idx(kinds["labels"], kind="labels")
    if len(images) != len(labels):
        raise DataError(f"{kinds['images']} has {len(images):,} images, but there are {len(labels):,} labels")
    columns = idx_header(kinds["labels"])[1][1:]
    if columns and columns != (1,):
        notes.append(
            f"{kinds['labels'].name} is one-hot: the label is the column of the 1 among {columns[0]}"
        )
    if reading.invert:
        np.subtract(255, images, out=images)
    if reading.transpose:
        images = np.ascontiguousarray(images.swapaxes(1, 2))
    elif reading.transpose is None and is_emnist:
        _transpose(images)
        notes.append(f"{kinds['images'].name} is transposed: EMNIST stores rows and columns exchanged")
    return Split(images, labels)


def locate(spec: DatasetSpec, data_dir: str | Path) -> Path:
    """Return the folder for the files of a set: data_dir/<name>.

    For MNIST it is data_dir itself if all four files are there and none is in data_dir/mnist.
    """
    own, bare = Path(data_dir) / spec.name, Path(data_dir)
    if (
        spec.name == "mnist"
        and not any(find_file(file, own) for file in spec.files)
        and holds_idx_files(bare)
    ):
        return bare
    return own


def holds_idx_files(folder: Path, spec: DatasetSpec = DATASETS["mnist"]) -> bool:
    """Return whether a folder holds all files of a published set, by default under the four names of MNIST."""
    return all(find_file(file, folder) for file in spec.files)


def find_file(file: DataFile, folder: Path) -> Path | None:
    """Return the path of a file in a folder, gzipped or raw, or None."""
    return next((folder / name for name in file.names if (folder / name).is_file()), None)


def read_file(file: DataFile, path: Path, classes: int | None) -> npt.NDArray[Any]:
    """Read one file of a set and check all that the registry knows about it.

    A known hash of the content decides. Without one, a .gz must be the published file, and a raw file is checked
    for magic number, type, shape, length and label range only.

    Args:
        file: the entry of the registry.
        path: where the file is.
        classes: labels must be below this; None for any number of classes.

    Raises:
        DataError: the file cannot be read or has the wrong content.
    """
    array = read_idx(path, kind=file.kind, shape=file.shape, classes=classes, content_hash=file.content_hash)
    if file.content_hash is None and file.published_hash is not None and is_gzipped(path):
        found = hash_file(path, file.published_hash.partition(":")[0])
        if found != file.published_hash:
            raise DataError(
                f"{path} is not the published file: it hashes to {found}, expected {file.published_hash}"
            )
    return array


def hash_file(path: Path, algorithm: str) -> str:
    """Return the hash of a file as it is on the disk, such as "md5:f68b3c...".

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            digest = hashlib.file_digest(stream, partial(hashlib.new, algorithm, usedforsecurity=False))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    return f"{algorithm}:{digest.hexdigest()}"


def _find_files(spec: DatasetSpec, data_dir: str | Path, splits: Sequence[SplitName]) -> dict[DataFile, Path]:
    """Return the path of every file of these splits."""
    folder = locate(spec, data_dir)
    found = {}
    for file in spec.files:
        if file.split in splits:
            path = find_file(file, folder)
            if path is None:
                call = DownloadCall(spec.name, str(data_dir))
                raise MissingDataError(
                    f"{spec.title} is not in {folder}: {file.name} is missing",
                    f"fetch it with: {call}",
                    call=call,
                )
            found[file] = path
    return found


def _load_split(spec: DatasetSpec, split: SplitName, paths: Mapping[DataFile, Path]) -> Split:
    classes = spec.label_limit
    images_file, labels_file = spec.file(split, "images"), spec.file(split, "labels")
    labels = read_file(labels_file, paths[labels_file], classes)
    images = read_file(images_file, paths[images_file], classes)
    if len(images) != len(labels):
        raise DataError(
            f"{paths[images_file]} has {len(images):,} images, but there are {len(labels):,} labels"
        )
    if spec.transposed:
        _transpose(images)
    if labels.min() < spec.first_label:
        raise DataError(
            f"{paths[labels_file]} holds the label {labels.min()}, expected {spec.first_label} or more"
        )
    labels -= spec.first_label
    return Split(images, labels)


def _transpose(images: ByteArray) -> None:
    """Exchange rows and columns in place, in slices, so that memory never holds a second copy of the set."""
    for start in range(0, len(images), 1000):
        images[start : start + 1000] = images[start : start + 1000].swapaxes(1, 2).copy()
