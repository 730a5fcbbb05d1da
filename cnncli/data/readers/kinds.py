"""Tells by its first bytes in which kind of file a data set of the user's own is."""

import re
from pathlib import Path
from typing import Literal

from cnncli.data.readers.arff import looks_like_arff
from cnncli.data.readers.idx import MAX_AXES, TYPES
from cnncli.data.readers.matlab import HDF5, MAT_5, MAT_73
from cnncli.data.readers.numpy_files import is_npz
from cnncli.data.readers.streams import read_start
from cnncli.data.readers.svmlight import looks_like_svmlight
from cnncli.data.readers.table import looks_like_table

FileKind = Literal[
    "idx",
    "npy",
    "npz",
    "table",
    "arff",
    "svmlight",
    "mat",
    "hdf5",
    "parquet",
    "tar",
    "pickle",
    "zip",
    "unknown",
]

PICTURES: tuple[FileKind, ...] = ("tar", "parquet")
"""Kinds of files that hold encoded pictures, which are resized like those of a folder."""

ARRAYS: tuple[FileKind, ...] = ("idx", "npy", "npz", "table", "arff", "svmlight", "mat", "hdf5")
"""Kinds of files that hold arrays."""

_START = 1 << 16
_TEXT = re.compile(rb"[\t\n\r\f\x20-\x7e\x80-\xff]*")


def kind_of_file(path: Path) -> FileKind:
    """Return the kind of a file that is there."""
    start = read_start(path, _START)
    if start.startswith(b"\x93NUMPY"):
        return "npy"
    if start.startswith(b"PK"):
        return "npz" if is_npz(path) else "zip"
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith((HDF5, MAT_73)):
        return "hdf5"
    if start.startswith(MAT_5):
        return "mat"
    if start[257:262] == b"ustar":
        return "tar"
    if len(start) >= 4 and start[:2] == b"\0\0" and start[2] in TYPES and 1 <= start[3] <= MAX_AXES:
        return "idx"
    if start[:1] == b"\x80" and start[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return "pickle"
    if not _TEXT.fullmatch(start) or start.lstrip()[:1] in (b"<", b"{", b"["):
        return "unknown"
    if looks_like_arff(start):
        return "arff"
    if looks_like_svmlight(start):
        return "svmlight"
    return "table" if looks_like_table(start) else "unknown"
