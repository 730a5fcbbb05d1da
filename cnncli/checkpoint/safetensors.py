"""Reads and writes .safetensors files, in which other programs exchange weights without any code that could run.

The format: 8 bytes with the length of a header, the header as JSON, then the arrays back to back in C order. The header
gives each array's type, shape and place. A reader here allocates nothing before places and sizes are checked.

Source: https://github.com/huggingface/safetensors#format
"""

import json
import os
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cnncli.errors import CheckpointError
from cnncli.npz import Array
from cnncli.storage import storing

TYPES = {"F32": "<f4", "F64": "<f8", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "U8": "|u1"}
"""The types that are read. BF16 is the upper half of a float32, which NumPy does not know."""

_WRITTEN = {"<f4": "F32", "<f8": "F64", "<i8": "I64", "|u1": "U8"}
_METADATA = "__metadata__"
_MAX_HEADER = 16 << 20
_MAX_AXES = 8


def to_safetensors(arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """Return the content of a file.

    Args:
        arrays: float32, float64, int64 or uint8, by name.
        metadata: texts that describe them.

    Raises:
        ValueError: an array has another type.
    """
    header: dict[str, Any] = {_METADATA: dict(metadata)}
    pieces, offset = [], 0
    for name, given in arrays.items():
        # whatever its strides are, the file has the numbers in C order
        array = np.asarray(given, given.dtype.newbyteorder("<"), order="C")
        if array.dtype.str not in _WRITTEN:
            raise ValueError(f"cannot store an array of {given.dtype}")
        pieces.append(array.tobytes())
        place = [offset, offset + len(pieces[-1])]
        header[name] = {"dtype": _WRITTEN[array.dtype.str], "shape": list(array.shape), "data_offsets": place}
        offset = place[1]
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)  # so that the arrays are aligned
    return len(text).to_bytes(8, "little") + text + b"".join(pieces)


def read_safetensors(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the arrays of a file, float16 and bfloat16 as float32, and the texts that describe them.

    Raises:
        CheckpointError: there is no such file, it is damaged, or an array has a type that is not read.
    """
    name = os.fspath(path)
    if not os.path.isfile(path):
        raise CheckpointError(f"there is no file {name}")
    with storing(path, "read"), open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            entries, metadata, start = _read_header(file, size)
            arrays = {each: _read_array(file, start, *entry) for each, entry in entries.items()}
        except ValueError as error:
            raise CheckpointError(f"{name} is no safetensors file, or is damaged: {error}") from error
    return arrays, metadata


Entry = tuple[str, tuple[int, ...], int, int]
"""Type, shape, and the place in the data: its first byte and the one after its last."""


def _read_header(file: BinaryIO, size: int) -> tuple[dict[str, Entry], dict[str, str], int]:
    """Return the checked entries, the metadata, and where the data start."""
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or not 2 <= length <= min(size - 8, _MAX_HEADER):
        raise ValueError(f"it has {size:,} bytes and a header of {length:,}")
    try:
        header = json.loads(file.read(length).decode("utf-8"), object_pairs_hook=_without_duplicates)
    except RecursionError as error:
        raise ValueError("its header is nested too deeply") from error
    if not isinstance(header, dict):
        raise ValueError("its header is not an object")
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata are not texts")
    entries = {name: _entry(name, value) for name, value in header.items()}
    position = 0
    for name, (_, _, first, end) in sorted(entries.items(), key=lambda item: item[1][2:]):
        if first != position:
            raise ValueError(f"{name!r} does not start where the array before ends")
        position = end
    if position != size - 8 - length:
        raise ValueError(f"its arrays take {position:,} bytes of {size - 8 - length:,}")
    return entries, metadata, 8 + length


def _entry(name: str, value: object) -> Entry:
    fields: dict[str, Any] = value if isinstance(value, dict) else {}
    shape: Any = fields.get("shape")
    place: Any = fields.get("data_offsets")
    kind: Any = fields.get("dtype")
    if not _are_counts(shape) or len(shape) > _MAX_AXES or not _are_counts(place) or len(place) != 2:
        raise ValueError(f"the entry of {name!r} has another form")
    if kind not in TYPES:
        raise ValueError(f"{name!r} has numbers of the type {kind!r:.20}, which is not read")
    if place[1] - place[0] != prod(shape) * np.dtype(TYPES[kind]).itemsize:
        raise ValueError(f"{name!r} has a size that is not that of its shape")
    return kind, tuple(shape), place[0], place[1]


def _read_array(file: BinaryIO, start: int, kind: str, shape: tuple[int, ...], first: int, end: int) -> Array:
    file.seek(start + first)
    content = file.read(end - first)
    if len(content) != end - first:
        raise ValueError("it became shorter while it was read")
    flat: Array = np.frombuffer(content, TYPES[kind])
    if kind == "BF16":
        flat = (flat.astype(np.uint32) << 16).view(np.float32)
    elif kind == "F16":
        flat = flat.astype(np.float32)
    return flat.reshape(shape).copy()


def _are_counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(number) is int and 0 <= number < 1 << 40 for number in value)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key appears twice")
    return result


def is_safetensors(path: Path) -> bool:
    """Return whether a file starts as one does: a plausible length, then a JSON object."""
    with storing(path, "read"), open(path, "rb") as file:
        head = file.read(9)
    return len(head) == 9 and int.from_bytes(head[:8], "little") <= _MAX_HEADER and head[8:] == b"{"
