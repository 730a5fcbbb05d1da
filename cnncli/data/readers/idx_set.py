"""Reads data sets of four IDX files: published ones, each file checked against the registry, and the user's own.

Axis letters: N images, H and W pixels.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt

from cnncli.data.dataset import MAX_CLASSES, SPLIT_NAMES, Dataset, Split, SplitName, pixel_statistics
from cnncli.data.readers.idx import is_gzipped, read_idx
from cnncli.data.registry import DATASETS, DataFile, DatasetSpec
from cnncli.errors import DataError, DownloadCall, MissingDataError


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


def load_own(name: str, folder: Path) -> Dataset:
    """Load a folder of the user's that holds four IDX files under the names of MNIST, of any size and class count.

    Args:
        name: the name of the set.
        folder: a folder for which `holds_idx_files` is true.

    Raises:
        DataError: a file cannot be read, or the files do not fit each other.
    """
    mnist = DATASETS["mnist"]
    files = tuple(replace(file, shape=None, content_hash=None, published_hash=None) for file in mnist.files)
    spec = replace(mnist, title=str(folder), classes=(), files=files)
    paths = {file: path for file in files if (path := find_file(file, folder))}
    train, test = (_load_split(spec, split, paths) for split in SPLIT_NAMES)
    count = 1 + int(max(train.labels.max(), test.labels.max()))
    if count > MAX_CLASSES:
        raise DataError(f"{folder} has labels up to {count - 1:,}, more than {MAX_CLASSES:,} classes")
    if train.images.shape[1:] != test.images.shape[1:]:
        raise DataError(
            f"{folder} has training images {train.images.shape[1:]} and test images {test.images.shape[1:]}"
        )
    return Dataset(name, train, test, tuple(map(str, range(count))), *pixel_statistics(train.images))


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
    """Return whether a folder holds all files of a set, by default under the four names of MNIST."""
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
    classes = len(spec.classes) or None
    images_file, labels_file = spec.file(split, "images"), spec.file(split, "labels")
    labels = read_file(labels_file, paths[labels_file], classes)
    images = read_file(images_file, paths[images_file], classes)
    if len(images) != len(labels):
        raise DataError(
            f"{paths[images_file]} has {len(images):,} images, but there are {len(labels):,} labels"
        )
    if spec.transposed:
        # in slices, so that memory never holds a second copy of the set
        for start in range(0, len(images), 1000):
            images[start : start + 1000] = images[start : start + 1000].swapaxes(1, 2).copy()
    return Split(images, labels)
