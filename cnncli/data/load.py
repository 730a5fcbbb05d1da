"""Turns the name of a data set into arrays: a published set, the built-in digits, or a folder of pictures.

Axis letters: N images, H and W pixels, C colours.
"""

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt

from cnncli.data.dataset import FOLDER_PREFIX, MAX_CLASSES, SYNTHETIC, Dataset, Split, pixel_statistics
from cnncli.data.readers.idx import is_gzipped, read_idx
from cnncli.data.registry import DATASETS, PARTS, DataFile, DatasetSpec, Part
from cnncli.errors import DataError, UsageError, did_you_mean


def load_dataset(
    name: str,
    data_dir: str | Path = "data",
    *,
    parts: Sequence[Part] = PARTS,
    table: Mapping[str, DatasetSpec] = DATASETS,
) -> Dataset:
    """Load a set by its name; nothing is ever downloaded here.

    Args:
        name: an entry of the table, "synthetic", "folder:PATH", or the path of a folder (of pictures, in one
            subfolder a class, or of four IDX files under the names of MNIST).
        data_dir: where sets live: data_dir/<name>/<file>. The four MNIST files may lie in data_dir itself.
        parts: which parts are wanted; another part comes back with no images in it.
        table: the published sets.

    Raises:
        UsageError: no set has this name.
        DataError: a file is missing (the hint has the command that downloads it) or not what it has to be.

    Example:
        >>> load_dataset("synthetic").input_shape
        (1, 28, 28)
    """
    if name == SYNTHETIC:
        from cnncli.data.synthetic.draw import make_synthetic

        return make_synthetic()
    if name not in table and (name.startswith(FOLDER_PREFIX) or Path(name).is_dir()):
        return _load_own(name, Path(name.removeprefix(FOLDER_PREFIX)).expanduser())
    spec = find_spec(name, table)
    paths = _paths(spec, data_dir, parts)
    mean, std = spec.mean, spec.std
    try:
        splits = {part: _load_split(spec, part, paths) for part in parts}
        if mean is None or std is None:
            train = splits.get("train") or _load_split(spec, "train", _paths(spec, data_dir, ["train"]))
            mean, std = pixel_statistics(train.images)
    except DataError as error:
        again = f"fetch it again: {download_command(name, data_dir)}; a set of your own is called folder:PATH"
        raise DataError(error.message, error.hint or again) from error
    some = next(iter(splits.values()))
    empty = Split(some.images[:0], some.labels[:0])
    return Dataset(name, splits.get("train", empty), splits.get("test", empty), spec.classes, mean, std)


def is_available(
    name: str, data_dir: str | Path = "data", *, table: Mapping[str, DatasetSpec] = DATASETS
) -> bool:
    """Tell whether every file of a set is there; what is in them is for `load_dataset` to judge."""
    if name == SYNTHETIC:
        return True
    if name not in table:
        return Path(name.removeprefix(FOLDER_PREFIX)).expanduser().is_dir()
    folder = locate(table[name], data_dir)
    return all(find_file(file, folder) is not None for file in table[name].files)


def find_spec(name: str, table: Mapping[str, DatasetSpec] = DATASETS) -> DatasetSpec:
    """Return an entry of the table, or say which one may have been meant."""
    if name in table:
        return table[name]
    if name == SYNTHETIC:
        raise UsageError(f"the data set '{SYNTHETIC}' is made by this program: it has no files")
    hint = did_you_mean(name, [*table, SYNTHETIC, "folder:PATH"])
    raise UsageError(f"no data set is called '{name}'", hint)


def locate(spec: DatasetSpec, data_dir: str | Path) -> Path:
    """Return the folder that holds, or is to hold, the files of a set.

    That is data_dir/<name>, or data_dir itself for somebody who points at a folder with the four MNIST files.
    """
    own, bare = Path(data_dir) / spec.name, Path(data_dir)
    if spec.name == "mnist" and not any(find_file(file, own) for file in spec.files):
        if all(find_file(file, bare) for file in spec.files):
            return bare
    return own


def find_file(file: DataFile, folder: Path) -> Path | None:
    """Return the path of a file, gzipped or raw, or None."""
    return next((folder / name for name in file.names if (folder / name).is_file()), None)


def download_command(name: str, data_dir: str | Path, *options: str) -> str:
    """Return what to type to fetch a set, for a hint."""
    place = [] if str(data_dir) == "data" else ["--data-dir", shlex.quote(str(data_dir))]
    return " ".join(["cnn", "download", name, *options, *place])


def read_data_file(file: DataFile, path: Path, classes: int | None) -> npt.NDArray[Any]:
    """Read one file of a set, judged by all that is known of it.

    The hash of the content decides where it is known. Where it is not, a .gz has to be the published one, and
    of a raw file only magic, type, shape, length and label range can be checked.

    Raises:
        DataError: what is wrong with it.
    """
    array = read_idx(
        path,
        kind=file.kind,
        shape=file.shape,
        classes=classes,
        content_hash=file.content_hash,
    )
    if file.content_hash is None and file.published_hash is not None and is_gzipped(path):
        found = hash_file(path, file.published_hash.partition(":")[0])
        if found != file.published_hash:
            raise DataError(
                f"{path} is not the published file: it hashes to {found}, expected {file.published_hash}"
            )
    return array


def hash_file(path: Path, algorithm: str) -> str:
    """Return the hash of a file as it lies on the disk, such as "md5:f68b3c...".

    Raises:
        DataError: it cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            digest = hashlib.file_digest(stream, partial(hashlib.new, algorithm, usedforsecurity=False))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    return f"{algorithm}:{digest.hexdigest()}"


def _paths(spec: DatasetSpec, data_dir: str | Path, parts: Sequence[Part]) -> dict[DataFile, Path]:
    """Return where the files of these parts are; a missing one is an error before anything is read."""
    folder = locate(spec, data_dir)
    found = {file: find_file(file, folder) for file in spec.files if file.part in parts}
    missing = [file.name for file, path in found.items() if path is None]
    if missing:
        raise DataError(
            f"{spec.title} is not in {folder}: {missing[0]} is missing",
            f"fetch it with: {download_command(spec.name, data_dir)}",
        )
    return {file: path for file, path in found.items() if path is not None}


def _load_split(spec: DatasetSpec, part: Part, paths: Mapping[DataFile, Path]) -> Split:
    classes = len(spec.classes) or None
    images_file, labels_file = spec.file(part, "images"), spec.file(part, "labels")
    labels = read_data_file(labels_file, paths[labels_file], classes)
    images = read_data_file(images_file, paths[images_file], classes)
    if len(images) != len(labels):
        raise DataError(
            f"{paths[images_file]} has {len(images):,} images, but there are {len(labels):,} labels"
        )
    if spec.transposed:
        for start in range(
            0, len(images), 1000
        ):  # in pieces, so that there is never a second copy of the set
            images[start : start + 1000] = images[start : start + 1000].swapaxes(1, 2).copy()
    return Split(images, labels)


def _load_own(name: str, folder: Path) -> Dataset:
    """Load a folder of the user's: IDX files under the names of MNIST, or pictures in a subfolder a class."""
    mnist = DATASETS["mnist"]
    if not all(find_file(file, folder) for file in mnist.files):
        from cnncli.data.readers.folder import load_folder

        return load_folder(folder)
    files = tuple(replace(file, shape=None, content_hash=None, published_hash=None) for file in mnist.files)
    spec = replace(mnist, title=str(folder), classes=(), files=files)
    paths = {file: path for file in files if (path := find_file(file, folder))}
    train, test = (_load_split(spec, part, paths) for part in PARTS)
    count = 1 + int(max(train.labels.max(), test.labels.max()))
    if count > MAX_CLASSES:
        raise DataError(f"{folder} has labels up to {count - 1:,}, more than {MAX_CLASSES:,} classes")
    if train.images.shape[1:] != test.images.shape[1:]:
        raise DataError(
            f"{folder} has training images {train.images.shape[1:]} and test images {test.images.shape[1:]}"
        )
    return Dataset(name, train, test, tuple(map(str, range(count))), *pixel_statistics(train.images))
