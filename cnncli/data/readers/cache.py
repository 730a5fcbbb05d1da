"""Keeps data sets that take long to parse as plain arrays, found again by the hash of the files they were read from.

A changed file has another hash, so an entry is never out of date. The arrays have checksums of their own: a damaged
entry is parsed again.
"""

import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

import numpy as np

from cnncli.data.dataset import Dataset, Split
from cnncli.errors import StorageError
from cnncli.npz import NpzError, read_array, read_directory, write_npz
from cnncli.storage import atomic_file, make_folder

VERSION = 1
"""Changes whenever a reader understands a file in another way."""

SMALLEST = 1 << 20
"""Files of fewer bytes in sum are parsed each time."""

MAX_BYTES = 4 << 30
"""The most bytes of all entries; the ones that were not used for the longest time are removed."""

VARIABLE = "CNNCLI_CACHE"
"""The environment variable with the folder of the cache; empty for none."""


def cache_folder() -> Path | None:
    """Return the folder of the cache, or None if the user wants none."""
    given = os.environ.get(VARIABLE)
    if given is not None:
        return Path(given) if given else None
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home)) / "cnncli" / "cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "cnncli"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "cnncli"


def cached(paths: Sequence[Path], options: object, load: Callable[[], Dataset]) -> Dataset:
    """Return a set from the cache, or load it and keep it there; a cache that cannot be used is ignored.

    Args:
        paths: the files that the set is read from.
        options: all that changes what is made of them.
        load: reads the files.
    """
    folder = cache_folder()
    if folder is None or _total(paths) < SMALLEST:
        return load()
    entry = folder / f"{_key(paths, options)}.npz"
    with suppress(OSError, NpzError, ValueError, KeyError, TypeError):
        dataset = _read(entry)
        os.utime(entry)  # it was used
        return dataset
    dataset = load()
    with suppress(StorageError, OSError, ValueError):
        make_folder(folder)
        _write(entry, dataset)
        _remove_oldest(folder)
    return dataset


def _total(paths: Sequence[Path]) -> int:
    try:
        return sum(path.stat().st_size for path in paths)
    except OSError:
        return 0


def _key(paths: Sequence[Path], options: object) -> str:
    digest = blake2b(repr((VERSION, options)).encode(), digest_size=20)
    for path in paths:
        digest.update(f"{path.name}\0{path.parent.name}\0".encode("utf-8", "surrogateescape"))
        with suppress(OSError), open(path, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _write(path: Path, dataset: Dataset) -> None:
    arrays: dict[str, Any] = {}
    files: dict[str, tuple[str, ...]] = {}
    parts = {"train": dataset.train, "test": dataset.test, "validation": dataset.validation}
    for name, split in parts.items():
        if split is not None:
            arrays |= {f"{name}.images": split.images, f"{name}.labels": split.labels}
            files[name] = split.files
    meta = {
        "name": dataset.name,
        "classes": dataset.classes,
        "mean": dataset.mean,
        "std": dataset.std,
        "test_drawn": dataset.test_drawn,
        "notes": dataset.notes,
        "left_out": dict(dataset.left_out),
        "files": files,
    }
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    with atomic_file(path) as stream:
        write_npz(stream, arrays)


def _read(path: Path) -> Dataset:
    with open(path, "rb") as stream:
        members = read_directory(stream, path.stat().st_size)
        arrays = {member.name: read_array(stream, member) for member in members}
    meta = json.loads(arrays["meta"].tobytes())

    def split(name: str) -> Split | None:
        if f"{name}.images" not in arrays:
            return None
        return Split(arrays[f"{name}.images"], arrays[f"{name}.labels"], tuple(meta["files"][name]))

    return Dataset(
        meta["name"],
        cast(Split, split("train")),
        cast(Split, split("test")),
        tuple(meta["classes"]),
        meta["mean"],
        meta["std"],
        test_drawn=meta["test_drawn"],
        validation=split("validation"),
        notes=tuple(meta["notes"]),
        left_out=meta["left_out"],
    )


def _remove_oldest(folder: Path) -> None:
    entries = sorted(
        ((path.stat(), path) for path in folder.glob("*.npz")), key=lambda each: each[0].st_mtime
    )
    total = sum(status.st_size for status, _ in entries)
    for status, path in entries[:-1]:
        if total > MAX_BYTES:
            path.unlink(missing_ok=True)
            total -= status.st_size
