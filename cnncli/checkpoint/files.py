"""Saves and loads a network, or the whole state of a training run, as one file that is complete or absent.

A checkpoint is an .npz file with arrays named `network/...`, `optimizer/...`, `average/...`, and `meta`, a JSON object.
`npz.py` knows its bytes; `docs/checkpoint-format.md` describes its contents. No pickle is written or read.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnncli.checkpoint.meta import MAX_BYTES, from_json, is_count, to_json, wrong_field
from cnncli.errors import CheckpointError
from cnncli.npz import (
    Array,
    Member,
    NpzError,
    canonical,
    hash_arrays,
    read_array,
    read_directory,
    write_npz,
)
from cnncli.storage import atomic_file, storage_error

FORMAT_VERSION = 1

GROUPS = ("network", "optimizer", "average")

_OTHER_COPY = "use another checkpoint of the run (best.npz or last.npz), or train again"

_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"\x93NUMPY", "a single NumPy array"),
    (b"\x89HDF\r\n", "an HDF5 file, as Keras writes"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"%PDF", "a PDF document"),
    (b"version https://git-lfs", "a Git LFS pointer instead of the file itself (see `git lfs pull`)"),
)


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint file.

    Attributes:
        network: parameters and buffers by name, from `Network.state`.
        optimizer: from `Optimizer.state_dict`; empty when only the network is saved.
        average: averaged weights, or empty.
        meta: JSON values, at least `config`, `input_shape` (without the batch axis) and `classes`; for a resume also
            the seed and the training state. Saving adds `format_version` and `sha256`.
    """

    network: dict[str, Array]
    optimizer: dict[str, Array] = field(default_factory=dict)
    average: dict[str, Array] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)


def network_hash(state: Mapping[str, npt.ArrayLike]) -> str:
    """Return the SHA-256 of a network's arrays; two are equal exactly when every bit of every weight is equal.

    Args:
        state: arrays by name, from `Network.state`; their order does not matter.
    """
    return hash_arrays(state)


def save_checkpoint(path: str | os.PathLike[str], checkpoint: Checkpoint) -> str:
    """Write a checkpoint in one atomic write, and return the SHA-256 of its arrays.

    Temporary files of killed writers in the folder are removed first.

    Raises:
        StorageError: the file cannot be written, for example on a full disk; an older file is unchanged.
        CheckpointError: `meta` lacks a field or has a value that JSON cannot express; an array has an unknown type.
    """
    groups = {"network": checkpoint.network, "optimizer": checkpoint.optimizer, "average": checkpoint.average}
    try:
        arrays = {
            f"{group}/{name}": canonical(array)
            for group, named in groups.items()
            for name, array in named.items()
        }
        sha256 = hash_arrays(arrays)
        text = to_json({**checkpoint.meta, "format_version": FORMAT_VERSION, "sha256": sha256})
        with atomic_file(path) as file:
            write_npz(file, {"meta": np.frombuffer(text, np.uint8), **arrays})
    except ValueError as error:
        raise CheckpointError(f"cannot make a checkpoint of this: {error}") from error
    return sha256


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint; takes little more memory than the size of the file.

    Raises:
        CheckpointError: there is no such file, it is damaged or not a checkpoint, or a newer version wrote it.
    """
    groups: dict[str, dict[str, Array]] = {group: {} for group in GROUPS}
    with _opened(path) as (file, members):
        meta = _read_meta(file, members[0], path)
        for member in members[1:]:
            group, _, name = member.name.partition("/")
            if group not in groups or not name:
                raise NpzError(f"it has a member called {member.name!r}")
            groups[group][name] = read_array(file, member)
        arrays = {f"{group}/{name}": array for group in GROUPS for name, array in groups[group].items()}
        if hash_arrays(arrays) != meta["sha256"]:
            raise NpzError("its arrays are not those it was saved with (their SHA-256 differs)")
    return Checkpoint(**groups, meta=meta)


def load_arrays(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Read all arrays of a file in the layout of a checkpoint by their full names, whatever its JSON object says.

    Raises:
        CheckpointError: there is no such file, it has another layout, or it is damaged.
    """
    with _opened(path) as (file, members):
        return {member.name: read_array(file, member) for member in members if member.name != "meta"}


def load_meta(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the JSON object of a checkpoint without its arrays.

    Raises:
        CheckpointError: as for `load_checkpoint`.
    """
    with _opened(path) as (file, members):
        return _read_meta(file, members[0], path)


def is_checkpoint(path: str | os.PathLike[str]) -> bool:
    """Return whether a file begins as a checkpoint does; it may still be damaged."""
    try:
        with open(path, "rb") as file:
            return _begins_as_ours(file.read(64))
    except OSError:
        return False


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[BufferedReader, list[Member]]]:
    """Open a checkpoint, check its directory, and turn every failure in the block into a CheckpointError."""
    name = os.fspath(path)
    if os.path.isdir(path):
        raise CheckpointError(f"{name} is a folder, not a checkpoint", _hint_for_folder(Path(path)))
    try:
        # O_NONBLOCK: opening a named pipe must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise CheckpointError(f"{name} is a device or a pipe, not a checkpoint")
            _refuse_foreign(file.read(512), name)
            yield file, read_directory(file, status.st_size)
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no checkpoint {name}") from error
    except OSError as error:
        trouble = storage_error(error, path, "read")
        raise CheckpointError(trouble.message, trouble.hint) from error
    except NpzError as error:
        raise CheckpointError(f"the checkpoint {name} is damaged: {error}", _OTHER_COPY) from error


def _read_meta(file: BufferedReader, member: Member, path: str | os.PathLike[str]) -> dict[str, Any]:
    if member.name != "meta" or member.size > MAX_BYTES + 1024:
        raise NpzError(f"it starts with {member.name!r} of {member.size:,} bytes")
    text = read_array(file, member)
    if text.dtype != np.uint8 or text.ndim != 1:
        raise NpzError("its JSON text is not an array of bytes")
    try:
        meta = from_json(text.tobytes())
    except ValueError as error:
        raise NpzError(f"its JSON text cannot be read ({error})") from error
    version = meta.get("format_version")
    if isinstance(version, int) and is_count(version) and version > FORMAT_VERSION:
        raise CheckpointError(
            f"{os.fspath(path)} has format version {version}; this cnncli reads up to {FORMAT_VERSION}",
            "a newer cnncli wrote it: update this one",
        )
    wrong = wrong_field(meta)
    if wrong:
        raise NpzError(f"in its JSON text, {wrong}")
    return meta


def _refuse_foreign(head: bytes, name: str) -> None:
    """Refuse a file that is not a checkpoint; its first bytes often tell what it is."""
    if not head:
        raise CheckpointError(f"the checkpoint {name} is empty", _OTHER_COPY)
    is_zip = head.startswith(b"PK\3\4")
    if head[:2] in (b"\x80\2", b"\x80\3", b"\x80\4", b"\x80\5") or (is_zip and b"data.pkl" in head):
        raise CheckpointError(
            f"{name} is a Python pickle, as torch.save writes, not a checkpoint of cnncli",
            "a pickle can run code when it is opened, so cnncli does not open any; weights can be saved as safetensors",
        )
    if is_zip and not _begins_as_ours(head):
        raise CheckpointError(f"{name} is a ZIP archive, but not a checkpoint of cnncli")
    for prefix, kind in _FOREIGN:
        if head.startswith(prefix):
            raise CheckpointError(f"{name} is not a checkpoint: it is {kind}")
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<!--", b"<?xml")):
        raise CheckpointError(f"{name} is not a checkpoint: it is a web page", "download the file itself")
    if not is_zip:
        kind = "text" if head.isascii() and b"\0" not in head else "an unknown kind of data"
        raise CheckpointError(f"{name} is not a checkpoint: it holds {kind}")


def _begins_as_ours(head: bytes) -> bool:
    """Return whether the first member of a ZIP archive is the JSON object of a checkpoint."""
    return head.startswith(b"PK\3\4") and head[30:38] == b"meta.npy"


def _hint_for_folder(folder: Path) -> str | None:
    for parent in (folder / "checkpoints", folder):
        for name in ("best.npz", "last.npz"):
            if (parent / name).is_file():
                return f"did you mean {parent / name}?"
    return None
