"""Lists the arrays of MATLAB files (.mat) and of HDF5 files (.h5), the latter with h5py from the extra `mat`.

A .mat file of version 7.3 is an HDF5 file. MATLAB stores arrays column by column, so h5py shows their axes reversed;
they are turned back here.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from cnncli.data.readers.arrays import Array, ArrayFile, NamedArray, check_size, in_memory
from cnncli.data.readers.mat5 import read_mat5
from cnncli.data.readers.streams import refuse_damage
from cnncli.errors import DataError

HDF5 = b"\x89HDF\r\n\x1a\n"
MAT_5, MAT_73 = b"MATLAB 5.0 MAT-file", b"MATLAB 7.3 MAT-file"

MAX_ARRAYS = 4096

_DAMAGED = (OSError, RuntimeError, ValueError, KeyError, TypeError)


def read_mat(path: Path) -> ArrayFile:
    """Return the arrays of a .mat file of version 5; those inside structures are named as in `dataset.train.images`.

    Raises:
        DataError: it cannot be read, or is damaged or too large.
    """
    file = ArrayFile(path, [])
    for name, array in read_mat5(path).items():
        # MATLAB's flat images are written column by column: those of EMNIST
        transposed = name.startswith("dataset.") and array.ndim == 2
        file.arrays.append(replace(in_memory(path, name, array), transposed=transposed))
    return file


def read_hdf5(path: Path) -> ArrayFile:
    """Return the arrays of an HDF5 file, among them .mat files of version 7.3.

    Raises:
        DataError: h5py is not installed, or the file cannot be read, or is damaged or too large.
    """
    try:
        import h5py
    except ImportError as error:
        raise _missing(path, "an HDF5 file", "h5py") from error
    file = ArrayFile(path, [])

    def visit(name: str, node: object) -> None:
        if not isinstance(node, h5py.Dataset) or name.startswith("#refs#") or node.dtype.kind not in "biufSU":
            return
        if node.external or node.is_virtual:
            raise DataError(f"{path}: {name} is stored in another file, which is not read")
        # MATLAB says with this attribute that it wrote the array, column by column
        reverse = "MATLAB_class" in node.attrs
        shape = tuple(reversed(node.shape)) if reverse else tuple(node.shape)
        check_size(path, name, shape, node.dtype)
        if len(file.arrays) >= MAX_ARRAYS:
            raise DataError(f"{path} holds more than {MAX_ARRAYS:,} arrays")
        file.arrays.append(
            NamedArray(path, name, shape, node.dtype, _hdf5_loader(path, name, reverse=reverse))
        )

    with refuse_damage(path, "HDF5 file", _DAMAGED), h5py.File(path, "r") as opened:
        opened.visititems(visit)
    return file


def _hdf5_loader(path: Path, name: str, *, reverse: bool) -> Callable[[], Array]:
    def load() -> Array:
        import h5py

        with refuse_damage(path, "HDF5 file", _DAMAGED), h5py.File(path, "r") as opened:
            array = np.asarray(opened[name][()])
        return array.T if reverse else array

    return load


def _missing(path: Path, what: str, package: str) -> DataError:
    return DataError(
        f"{path} is {what}, and {package} is not installed", 'install the extra: pip install "cnncli[mat]"'
    )
