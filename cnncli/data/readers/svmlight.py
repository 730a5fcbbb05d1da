"""Reads the sparse text format of LIBSVM, `label index:value index:value ...`, one image per line.

Values of 0 are left out in such a file, and so are the last pixels of all images if they are 0: an image is the next
square, of a usual size if one is near (MNIST's last index is 780 of 784). Indices start at 1, unless one is 0. Source:
the README of LIBSVM, "Quick Start".
"""

import re
import warnings
from math import isqrt
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cnncli.data.readers.arrays import MAX_VALUES, ArrayFile, NamedArray, in_memory
from cnncli.data.readers.streams import open_stream
from cnncli.errors import DataError

BLOCK = 1 << 20
MAX_LINE_BYTES = 16 << 20
MAX_INDEX = 1 << 20

USUAL_SIDES = (8, 16, 28, 32, 64)
MOST_MISSING = 3
"""So many rows at the bottom of all images may be empty."""

_LINE = re.compile(rb"\s*[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?(?:\s+[0-9]+:[-+0-9.eE]+)+\s*(?:#.*)?")


def looks_like_svmlight(start: bytes) -> bool:
    """Return whether the first bytes of a file are those of this format."""
    lines = [line for line in start.split(b"\n")[:2] if line.strip() and not line.lstrip().startswith(b"#")]
    # the last line may be cut off within a number
    return bool(lines) and _LINE.fullmatch(lines[0].rsplit(None, 1)[0]) is not None


def read_svmlight(path: Path) -> ArrayFile:
    """Read all lines of a file as images (N, pixels), float32, and labels (N,).

    Raises:
        DataError: it cannot be read, or a line has another form; names the line.
    """
    labels: list[npt.NDArray[np.float64]] = []
    rows: list[npt.NDArray[np.int64]] = []
    indices: list[npt.NDArray[np.int32]] = []
    values: list[npt.NDArray[np.float32]] = []
    count, line = 0, 1
    with open_stream(path) as stream:
        rest = b""
        while True:
            block = stream.read(BLOCK)
            rest += block
            cut = rest.rfind(b"\n") + 1 if block else len(rest)
            if len(rest) - cut > MAX_LINE_BYTES:
                raise DataError(f"{path} has a line of more than {MAX_LINE_BYTES:,} bytes")
            whole, rest = rest[:cut], rest[cut:]
            if whole.strip():
                some = _parse(path, whole, line)
                labels.append(some[0])
                rows.append(some[1] + count)
                indices.append(some[2])
                values.append(some[3])
                count += len(some[0])
            line += whole.count(b"\n")
            if not block:
                break
    if not count:
        raise DataError(f"{path} has no lines")
    every = np.concatenate(indices)
    smallest, largest = int(every.min(initial=1)), int(every.max(initial=0))
    if largest > MAX_INDEX:
        raise DataError(f"{path} has an index of {largest:,}, more than {MAX_INDEX:,}")
    first = min(smallest, 1)
    side = isqrt(max(largest - first, 0)) + 1
    side = next((usual for usual in USUAL_SIDES if side <= usual <= side + MOST_MISSING), side)
    shape = (count, side * side)
    if count * side * side > MAX_VALUES:
        raise DataError(f"{path} has more than {MAX_VALUES:,} pixels")

    def load() -> npt.NDArray[np.float32]:
        images = np.zeros(shape, np.float32)
        for at, index, value in zip(rows, indices, values, strict=True):
            images[at, index - first] = value
        return images

    file = ArrayFile(path, [NamedArray(path, "images", shape, np.dtype(np.float32), load)])
    file.arrays.append(in_memory(path, "labels", np.concatenate(labels)))
    return file


def _parse(
    path: Path, text: bytes, line: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return the labels of some lines, and the line, index and value of each pixel."""
    lines = text.split(b"\n")
    if b"#" in text:
        lines = [each.split(b"#", 1)[0] for each in lines]
    for offset, each in enumerate(lines):
        if each.strip() and (each.count(b":") != len(each.split()) - 1 or each.strip().startswith(b":")):
            raise DataError(f"{path}: line {line + offset} is not of the form `label index:value ...`")
    lines = [each for each in lines if each.strip()]
    pairs = np.array([each.count(b":") for each in lines], dtype=np.int64)
    joined = b" ".join(lines).replace(b":", b" ")
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        try:
            numbers = np.fromstring(joined, dtype=np.float64, sep=" ")
        except (DeprecationWarning, ValueError):
            numbers = np.empty(0)
    if len(numbers) != len(lines) + 2 * pairs.sum():
        raise DataError(f"{path}: a value in lines {line:,} to {line + len(lines) - 1:,} is no number")
    starts = np.concatenate([[0], np.cumsum(1 + 2 * pairs)[:-1]])
    is_pair = np.ones(len(numbers), dtype=bool)
    is_pair[starts] = False
    index, value = numbers[is_pair].reshape(-1, 2).T
    if len(index) and not ((index >= 0) & (index <= MAX_INDEX) & (index == np.floor(index))).all():
        raise DataError(f"{path}: an index in lines {line:,} to {line + len(lines) - 1:,} is not possible")
    return (
        numbers[starts],
        np.repeat(np.arange(len(lines)), pairs),
        index.astype(np.int32),
        value.astype(np.float32),
    )
