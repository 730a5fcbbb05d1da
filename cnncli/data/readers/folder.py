"""Reads a data set from a folder of pictures: one subfolder per class, with or without train/ and test/."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from cnncli.data.dataset import FOLDER_PREFIX, MAX_CLASSES, SPLIT_NAMES, Dataset, Split, pixel_statistics
from cnncli.data.splits import stratified_split
from cnncli.errors import DataError, PictureError, UsageError
from cnncli.pictures.read import read_picture
from cnncli.randomness import stream
from cnncli.types import ByteArray

SUFFIXES = frozenset(".bmp .gif .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp".split())
MAX_PICTURES = 200_000
MAX_PIXEL_BYTES = 1 << 30
LAYOUT = "a folder of pictures looks like PATH/cat/1.png, PATH/dog/1.png, ..., or PATH/train/cat/1.png, ..."

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listing:
    """The content of a folder of pictures.

    Args:
        classes: the names of the subfolders: numbers in numeric order, then the others in alphabetical order.
        train: the path and label of every training picture, sorted by class and name.
        test: the same for test/; None if there is no test/.
        foreign: files and folders that are not pictures and are left out; hidden files are not listed.
    """

    classes: tuple[str, ...]
    train: tuple[tuple[Path, int], ...]
    test: tuple[tuple[Path, int], ...] | None
    foreign: tuple[Path, ...]


def load_folder(
    path: str | Path, size: int = 28, *, colour: bool = False, test_fraction: float = 0.2, seed: int = 0
) -> Dataset:
    """Load pictures from class folders, each resized to size x size.

    The pictures are only resized: none is inverted, cropped or centred. Files that are not pictures are left out, with
    a warning in the log.

    Args:
        path: a folder with one subfolder per class, or with train/ and test/, each with one subfolder per class.
        size: height and width of the resized pictures, in pixels.
        colour: keep three colours, (N, H, W, 3), or convert to grey, (N, H, W).
        test_fraction: the fraction of each class that becomes the test split, if there is no test/.
        seed: seed of that split.

    Raises:
        DataError: there is no such folder, it has fewer than two classes, a class has too few pictures, there is too
            much data, or a picture cannot be read; names the folder or picture.
        UsageError: the size is not a number of pixels from 1 to 1024.
    """
    if not 1 <= size <= 1024:
        raise UsageError(f"pictures cannot be resized to {size} pixels", "give a size from 1 to 1024")
    listing = list_folder(path)
    for file in listing.foreign[:3]:
        log.warning("%s is not a picture: left out", file)
    if len(listing.foreign) > 3:
        log.warning("%s more files in %s are not pictures: left out", len(listing.foreign) - 3, path)
    needed = (len(listing.train) + len(listing.test or ())) * size * size * (3 if colour else 1)
    if needed > MAX_PIXEL_BYTES:
        raise DataError(
            f"the pictures in {path} need {needed:,} bytes of memory, more than {MAX_PIXEL_BYTES:,}"
        )
    train = _read(listing.train, size, colour)
    if listing.test is None:
        alone = np.flatnonzero(np.bincount(train.labels) < 2)
        if alone.size:
            raise DataError(
                f"the class '{listing.classes[alone[0]]}' of {path} has one picture, and there is no test/",
                "a part of every class is kept for the test: give it more pictures, or make train/ and test/",
            )
        kept, held_out = stratified_split(train.labels, test_fraction, stream(seed, "split"))
        test = Split(train.images[held_out], train.labels[held_out])
        train = Split(train.images[kept], train.labels[kept])
    else:
        test = _read(listing.test, size, colour)
    name, statistics = f"{FOLDER_PREFIX}{path}", pixel_statistics(train.images)
    return Dataset(name, train, test, listing.classes, *statistics, test_drawn=listing.test is None)


def list_folder(path: str | Path) -> Listing:
    """Find the classes and pictures of a folder without opening any picture.

    Raises:
        DataError: as for `load_folder`.
    """
    root = Path(path)
    if not root.is_dir():
        raise DataError(f"there is no folder {root}", LAYOUT)
    foreign: list[Path] = []
    top, loose = _entries(root)
    splits = {name: top[name] for name in SPLIT_NAMES if name in top and _entries(top[name])[0]}
    if "train" in splits:
        foreign += [*loose, *(folder for name, folder in top.items() if name not in splits)]
        folders, loose = _entries(splits["train"])
    else:
        splits, folders = {}, top
    foreign += loose
    classes = tuple(sorted(folders, key=_class_order))
    if len(classes) < 2:
        what = f"only the class '{classes[0]}'" if classes else "no class folders"
        raise DataError(f"{splits.get('train', root)} holds {what}", LAYOUT)
    if len(classes) > MAX_CLASSES:
        raise DataError(f"{root} holds {len(classes):,} class folders, more than {MAX_CLASSES:,}", LAYOUT)
    train = _pictures(folders, classes, foreign)
    test = None
    if "test" in splits:
        test_folders, loose = _entries(splits["test"])
        foreign += loose
        unknown = sorted(set(test_folders) - set(classes), key=_class_order)
        if unknown:
            raise DataError(f"{test_folders[unknown[0]]} is a class that is not in {splits['train']}")
        test = _pictures(test_folders, classes, foreign)
    if len(train) + len(test or ()) > MAX_PICTURES:
        raise DataError(f"{root} holds more than {MAX_PICTURES:,} pictures")
    return Listing(classes, tuple(train), None if test is None else tuple(test), tuple(foreign))


def _entries(folder: Path) -> tuple[dict[str, Path], list[Path]]:
    """Return the subfolders by name, and the files; both without hidden ones."""
    try:
        with os.scandir(folder) as entries:
            shown = sorted(
                (entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith(".")
            )
    except OSError as error:
        raise DataError(f"{folder} cannot be listed: {error.strerror or error}") from error
    folders = {name: folder / name for name, is_folder in shown if is_folder}
    return folders, [folder / name for name, is_folder in shown if not is_folder]


def _class_order(name: str) -> tuple[bool, int, str]:
    number = name.isascii() and name.isdigit()
    return (not number, int(name) if number else 0, name)


def _pictures(
    folders: dict[str, Path], classes: tuple[str, ...], foreign: list[Path]
) -> list[tuple[Path, int]]:
    """Return the pictures with their labels, and add everything that is not a picture to `foreign`."""
    found = []
    for label, name in enumerate(classes):
        if name not in folders:
            continue
        inner, files = _entries(folders[name])
        pictures = [file for file in files if file.suffix.lower() in SUFFIXES]
        foreign += [*inner.values(), *(file for file in files if file.suffix.lower() not in SUFFIXES)]
        if not pictures:
            raise DataError(f"the class folder {folders[name]} holds no pictures", LAYOUT)
        found += [(picture, label) for picture in pictures]
    return found


def _read(pictures: tuple[tuple[Path, int], ...], size: int, colour: bool) -> Split:
    """Read and resize pictures into one array."""
    images: ByteArray = np.empty(
        (len(pictures), size, size, 3) if colour else (len(pictures), size, size), np.uint8
    )
    labels: npt.NDArray[np.int64] = np.array([label for _, label in pictures], dtype=np.int64)
    for index, (path, _) in enumerate(pictures):
        try:
            picture = read_picture(path)
        except PictureError as error:
            raise DataError(
                error.message, error.hint or "remove it, or give it a name that starts with a dot"
            ) from error
        picture = picture.convert("RGB" if colour else "L")
        if picture.size != (size, size):
            picture = picture.resize((size, size), Image.Resampling.BILINEAR)  # averages when it shrinks
        images[index] = np.asarray(picture)
    return Split(images, labels)
