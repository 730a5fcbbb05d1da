"""What the readers of array files return: named arrays that are loaded only once they are chosen.

A file of arrays (.npz, .mat, a table, ...) holds more than images: labels, names, a second form of the same. Each
reader says what is there, and `choose.py` says which arrays are the images and the labels of which part.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnncli.errors import DataError
from cnncli.types import Shape

Array = npt.NDArray[Any]

MAX_VALUES = 1 << 30
"""The most values of one array: 1 GiB once they are bytes. The largest published set (EMNIST byclass) needs 547 MB."""

MAX_FILE_BYTES = 8 << 30
"""The most bytes of an array before its values become bytes: MAX_VALUES of 8 bytes each."""


@dataclass(frozen=True)
class NamedArray:
    """One array of a file, not loaded yet.

    Args:
        path: the file.
        name: the name of the array in the file, "" if the file holds one array without a name.
        shape: its shape.
        dtype: its type; texts have one of the kind "U".
        load: reads it.
        transposed: whether the format stores rows and columns of each image exchanged.
    """

    path: Path
    name: str
    shape: Shape
    dtype: np.dtype[Any]
    load: Callable[[], Array]
    transposed: bool = False

    def __str__(self) -> str:
        inside = f": {self.name}" if self.name else ""
        return f"{self.path.name}{inside} ({'x'.join(map(str, self.shape))} {self.dtype.name})"


@dataclass
class ArrayFile:
    """All arrays of one file.

    Args:
        path: the file.
        arrays: in the order of the file.
        notes: sentences on how it was read.
    """

    path: Path
    arrays: list[NamedArray]
    notes: list[str] = field(default_factory=list)


def check_size(path: Path, name: str, shape: Shape, dtype: np.dtype[Any]) -> None:
    """Refuse an array that is too large, before anything is allocated.

    Raises:
        DataError: it has more than MAX_VALUES values.
    """
    if prod(shape) > MAX_VALUES or prod(shape) * dtype.itemsize > MAX_FILE_BYTES:
        inside = f": {name}" if name else ""
        raise DataError(
            f"{path}{inside} announces {' x '.join(f'{n:,}' for n in shape)} values, more than {MAX_VALUES:,}"
        )


def in_memory(path: Path, name: str, array: Array) -> NamedArray:
    """Return an array that is loaded already."""
    return NamedArray(path, name, array.shape, array.dtype, lambda: array)
