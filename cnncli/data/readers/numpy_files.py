"""Lists the arrays of .npy and .npz files without loading them; arrays of Python objects are refused.

Source: numpy.lib.format, "Format Version 1.0".
"""

import tokenize
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from cnncli.data.readers.arrays import Array, ArrayFile, NamedArray, check_size
from cnncli.data.readers.streams import refuse_damage
from cnncli.errors import DataError
from cnncli.types import Shape

MAX_MEMBERS = 4096
KINDS = "biufUS"
"""The kinds of types that are read: bool, integers, floats, texts and bytes."""

_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    OSError,
    UnicodeError,
    # what NumPy raises for a header that is no dictionary of Python
    tokenize.TokenError,
    SyntaxError,
    TypeError,
    KeyError,
    RecursionError,
)


def read_npy(path: Path) -> ArrayFile:
    """Return the array of a .npy file.

    Raises:
        DataError: it cannot be read, is damaged, too large, or holds Python objects.
    """
    with refuse_damage(path, "file of NumPy", _DAMAGED):
        with open(path, "rb") as stream:
            shape, dtype = _header(stream)
        _check(path, "", shape, dtype)
    array = NamedArray(path, "", shape, dtype, _loader(path, lambda: open(path, "rb")))
    return ArrayFile(path, [array])


def read_npz(path: Path) -> ArrayFile:
    """Return the arrays of a .npz file.

    Raises:
        DataError: it cannot be read, is damaged, too large, or holds Python objects.
    """
    file = ArrayFile(path, [])
    with refuse_damage(path, "file of NumPy", _DAMAGED), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if len(names) > MAX_MEMBERS:
            raise DataError(f"{path} holds {len(names):,} arrays, more than {MAX_MEMBERS:,}")
        if len(set(names)) < len(names):
            raise DataError(f"{path} holds two arrays of one name")
        for member in names:
            if not member.endswith(".npy"):
                continue
            name = member.removesuffix(".npy")
            with archive.open(member) as stream:
                shape, dtype = _header(stream)
            _check(path, name, shape, dtype)
            file.arrays.append(NamedArray(path, name, shape, dtype, _loader(path, _member(path, member))))
    if not file.arrays:
        raise DataError(f"{path} is a ZIP archive without arrays of NumPy", "unpack it, and name its folder")
    return file


def is_npz(path: Path) -> bool:
    """Return whether a ZIP archive holds arrays of NumPy."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".npy") for name in archive.namelist()[:MAX_MEMBERS])
    except _DAMAGED:
        return path.suffix.lower() == ".npz"


def _member(path: Path, member: str) -> Callable[[], IO[bytes]]:
    return lambda: zipfile.ZipFile(path).open(member)


def _header(stream: IO[bytes]) -> tuple[Shape, np.dtype[Any]]:
    version = npy.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = npy.read_array_header_1_0(stream)
    elif version in ((2, 0), (3, 0)):
        shape, _, dtype = npy.read_array_header_2_0(stream)
    else:
        raise ValueError(f"version {version} of the format is unknown")
    if any(side < 0 for side in shape):
        raise ValueError(f"the shape {shape} is not possible")
    return shape, dtype


def _check(path: Path, name: str, shape: Shape, dtype: np.dtype[Any]) -> None:
    inside = f": {name}" if name else ""
    if dtype.hasobject:
        raise DataError(
            f"{path}{inside} holds Python objects, which can run any code when they are read",
            "save numbers instead: `np.save(path, np.stack(list_of_images))`",
        )
    if dtype.kind not in KINDS:
        raise DataError(f"{path}{inside} holds values of type {dtype}, expected numbers")
    check_size(path, name, shape, dtype)


def _loader(path: Path, opened: Callable[[], IO[bytes]]) -> Callable[[], Array]:
    def load() -> Array:
        with refuse_damage(path, "file of NumPy", _DAMAGED), opened() as stream:
            return npy.read_array(stream, allow_pickle=False)

    return load
