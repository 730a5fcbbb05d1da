"""Loads a data set of the user's own from files of arrays: tables, NumPy, LIBSVM, MATLAB, HDF5, IDX."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from cnncli.data.checks import describe_values
from cnncli.data.dataset import Dataset, Split, pixel_statistics
from cnncli.data.readers.arff import read_arff
from cnncli.data.readers.arrays import ArrayFile, NamedArray, in_memory
from cnncli.data.readers.choose import choose_arrays, choose_images, classes_by_file
from cnncli.data.readers.idx import MAX_BYTES, idx_header, read_idx
from cnncli.data.readers.kinds import ARRAYS, FileKind, kind_of_file
from cnncli.data.readers.matlab import read_hdf5, read_mat
from cnncli.data.readers.numpy_files import read_npy, read_npz
from cnncli.data.readers.own_files import OwnFiles
from cnncli.data.readers.packed import read_parquet_table
from cnncli.data.readers.svmlight import read_svmlight
from cnncli.data.readers.table import read_table
from cnncli.data.readers.understand import (
    Part,
    Understanding,
    choose_scale,
    to_images,
    to_labels,
    to_split,
)
from cnncli.data.readers.unread import refuse_file
from cnncli.data.reading import Reading
from cnncli.data.splits import cut_test
from cnncli.errors import DataError
from cnncli.types import ByteArray

FEWEST = 5
"""So many images are needed to hold a fifth of them out."""

READERS: dict[FileKind, Callable[[Path], ArrayFile]] = {
    "npy": read_npy,
    "npz": read_npz,
    "svmlight": read_svmlight,
    "mat": read_mat,
    "hdf5": read_hdf5,
}
"""The reader of each kind of file; tables and IDX files take options."""


def read_files(files: OwnFiles, reading: Reading) -> list[ArrayFile]:
    """Return what each file of a set holds."""
    labels = reading.labels
    readers: dict[FileKind, Callable[[Path], ArrayFile]] = {
        **READERS,
        "table": partial(read_table, labels=labels),
        "arff": partial(read_arff, labels=labels),
        "idx": _read_idx_file,
        "parquet": partial(read_parquet_table, labels=labels),
    }
    read = readers[files.kind]
    return [read(path) for path in files.paths]


def load_arrays(
    name: str,
    files: OwnFiles,
    reading: Reading,
    *,
    size: int | tuple[int, int] | None = None,
    colour: bool | None = None,
    draw_test: bool = True,
) -> Dataset:
    """Load a set from files of arrays.

    Args:
        name: of the set.
        files: of one kind.
        reading: what its files do not tell.
        size: height and width that all images are brought to, or (height, width); None for their own.
        colour: keep colors or not; None for what they are.
        draw_test: take a fifth of each class as the test images if there are none.

    Raises:
        DataError: a file is broken, or what it holds is not clear.
    """
    opened = read_files(files, reading)
    seen = Understanding([note for file in opened for note in file.notes])
    parts, classes = _parts(opened, reading)
    loaded = {part: (arrays.images.load(), arrays.labels.load()) for part, arrays in parts.items()}
    titles = {part: str(arrays.images) for part, arrays in parts.items()}
    scale = choose_scale(
        {titles[part]: images for part, (images, _) in loaded.items()}, invert=reading.invert, seen=seen
    )
    labels, classes = to_labels(
        [(str(parts[part].labels), each) for part, (_, each) in loaded.items()], classes, seen
    )
    classes, labels = _renamed(files, opened, parts, classes, labels, seen)
    flat = _longest(loaded) if files.kind == "svmlight" else None
    splits: dict[str, Split] = {}
    for part, numbers in zip(list(loaded), labels, strict=True):
        images, _ = loaded.pop(part)
        if flat is not None and images.ndim == 2 and images.shape[1] < flat:
            images = np.pad(images, ((0, 0), (0, flat - images.shape[1])))
        transpose = parts[part].images.transposed if reading.transpose is None else reading.transpose
        given = (size, size) if isinstance(size, int) else size
        pixels = to_images(
            images,
            titles[part],
            len(numbers),
            size=given,
            transpose=transpose,
            scale=scale,
            seen=seen,
        )
        splits[part] = to_split(bring_to(pixels, given, colour, seen), numbers, titles[part])
    return _to_dataset(name, splits, classes, seen, draw_test=draw_test)


def load_images(
    path: Path, reading: Reading, size: tuple[int, int], *, colour: bool
) -> tuple[ByteArray, list[str]]:
    """Load the images of one file, whether or not it has labels, in the size and colors of a network.

    Args:
        path: of the file. Of several parts, the test images are taken.
        reading: what the file does not tell.
        size: height and width.
        colour: with three colors, or gray.

    Returns:
        Images (N, H, W) or (N, H, W, 3), and how the file was read.

    Raises:
        DataError: the file is broken, or which array holds the images is not clear.
    """
    kind = kind_of_file(path) if path.is_file() else "unknown"
    if kind not in ARRAYS:
        raise DataError(*refuse_file(path, kind) if path.exists() else (f"there is no file {path}", None))
    opened = read_files(OwnFiles(kind, (path,)), reading)
    seen = Understanding([note for file in opened for note in file.notes])
    chosen, labeled = choose_images(opened, reading.images)
    if labeled:
        seen.note(f"{path.name} has labels, which are not looked at")
    array = chosen.load()
    title = str(chosen)
    pixels = to_images(
        array,
        title,
        None,
        size=size,
        transpose=chosen.transposed if reading.transpose is None else reading.transpose,
        scale=choose_scale({title: array}, invert=reading.invert, seen=seen),
        seen=seen,
    )
    return bring_to(pixels, size, colour, seen), seen.notes


def bring_to(
    images: ByteArray, size: tuple[int, int] | None, colour: bool | None, seen: Understanding
) -> ByteArray:
    """Return images in a size and with or without colors, resized as pictures are.

    Args:
        images: (N, H, W) or (N, H, W, 3).
        size: height and width; None for their own.
        colour: None for what they are.
        seen: collects what was done.
    """
    own = images.shape[1:3]
    coloured = images.ndim == 4
    colour = coloured if colour is None else colour
    size = size or (own[0], own[1])
    if own == size and coloured == colour:
        return images
    from PIL import Image

    from cnncli.pictures.whole import resize_whole

    brought = np.empty((len(images), *size, *((3,) if colour else ())), np.uint8)
    for position, image in enumerate(images):
        brought[position] = resize_whole(Image.fromarray(image), size, colour=colour)
    kind = "color" if colour else "gray"
    seen.note(
        f"images of {own[1]}x{own[0]} are brought to {size[1]}x{size[0]} {kind} (data.size, data.colour)"
    )
    return brought


def _parts(opened: list[ArrayFile], reading: Reading) -> tuple[dict[str, Part], tuple[str, ...]]:
    """Return the arrays of each part, and the names of the classes if the files are named by them."""
    if classes_by_file(opened) and reading.images is None and reading.labels is None:
        names = tuple(file.path.name.split(".")[0].removeprefix("full_numpy_bitmap_") for file in opened)
        return {"train": _joined(opened)}, names
    return choose_arrays(opened, reading.images, reading.labels), ()


def _joined(opened: list[ArrayFile]) -> Part:
    """Return the images of one file per class as one array, each labeled by the position of its file."""
    arrays = [file.arrays[0] for file in opened]
    counts = [array.shape[0] for array in arrays]
    path, dtype = arrays[0].path.parent, np.result_type(*(array.dtype for array in arrays))
    shape = (sum(counts), *arrays[0].shape[1:])

    def load() -> np.ndarray:
        whole = np.empty(shape, dtype)
        start = 0
        for array in arrays:
            whole[start : start + array.shape[0]] = array.load()
            start += array.shape[0]
        return whole

    labels = np.repeat(np.arange(len(arrays)), counts)
    return Part(NamedArray(path, "", shape, dtype, load), in_memory(path, "labels", labels))


def _longest(loaded: dict[str, tuple[np.ndarray, np.ndarray]]) -> int:
    return max(int(images.shape[1]) for images, _ in loaded.values())


def _renamed(
    files: OwnFiles,
    opened: list[ArrayFile],
    parts: dict[str, Part],
    classes: tuple[str, ...],
    labels: list[np.ndarray],
    seen: Understanding,
) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """Give the digits of USPS and SVHN their names: both number the classes from 1, in two ways."""
    if classes != tuple(map(str, range(1, 11))):
        return classes, labels
    shape = next(iter(parts.values())).images.shape
    names = {array.name for file in opened for array in file.arrays}
    if files.kind in ("mat", "hdf5") and names == {"X", "y"} and shape[:3] == (32, 32, 3):
        seen.note("the label 10 is the digit 0, as in SVHN")
        return tuple("0123456789"), [(each + 1) % 10 for each in labels]
    if files.kind == "svmlight" and shape[1] == 256:
        seen.note("the labels 1 to 10 are the digits 0 to 9, as in the USPS of LIBSVM")
        return tuple("0123456789"), labels
    return classes, labels


def _read_idx_file(path: Path) -> ArrayFile:
    """Return the array of an IDX file whose name does not say which part it is."""
    dtype, shape = idx_header(path)
    array = NamedArray(
        path, "", shape, dtype, partial(read_idx, path, max_bytes=MAX_BYTES), "emnist" in path.name.lower()
    )
    return ArrayFile(path, [array])


def _to_dataset(
    name: str, splits: dict[str, Split], classes: tuple[str, ...], seen: Understanding, *, draw_test: bool
) -> Dataset:
    shapes = {part: split.images.shape[1:] for part, split in splits.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{'x'.join(map(str, shape))} ({part})" for part, shape in shapes.items())
        raise DataError(f"{name} has images of several sizes: {listed}", "bring them to one: `data.size=28`")
    train, test = splits.get("train"), splits.get("test")
    if train is None:
        test = test or splits["validation"]
        train = Split(test.images[:0], test.labels[:0])
    drawn = test is None and draw_test
    if test is None and not draw_test:
        test = Split(train.images[:0], train.labels[:0])
    elif test is None:
        if np.bincount(train.labels, minlength=len(classes)).min() < 2:
            rare = classes[int(np.bincount(train.labels, minlength=len(classes)).argmin())]
            raise DataError(
                f"{name} has one image or none of the class {rare}, and no test part",
                "a part of every class is kept for the test: give it more images, or a test part of its own",
            )
        if len(train) < FEWEST:
            raise DataError(f"{name} has {len(train)} images, which are too few to keep a fifth for the test")
        train, test = cut_test(train)
        seen.note("the test set is 20 % of each class, because there is no test part")
    dataset = Dataset(
        name,
        train,
        test,
        classes,
        *pixel_statistics((train if len(train) else test).images),
        test_drawn=drawn,
        validation=splits.get("validation"),
    )
    height, width, *colours = dataset.train.images.shape[1:]
    understood = (
        f"understood: {len(train):,} training and {len(test):,} test images of {width}x{height} "
        f"{'color' if colours else 'gray'} pixels, {len(classes)} classes"
    )
    return replace(dataset, notes=(understood, *seen.notes, *describe_values(dataset)))
