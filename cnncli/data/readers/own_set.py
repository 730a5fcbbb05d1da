"""Loads a data set of the user's own from whatever it is stored in: pictures, IDX files, or files of arrays."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from cnncli.data.dataset import Dataset, Split
from cnncli.data.readers import idx_set
from cnncli.data.readers.kinds import ARRAYS, PICTURES
from cnncli.data.readers.own_files import OwnFiles, find_files
from cnncli.data.reading import Colour, Reading, Size
from cnncli.errors import UsageError
from cnncli.pictures.whole import Form


def holds_pictures(path: Path) -> bool:
    """Return whether a file or folder holds encoded pictures: it does not if they are arrays or IDX files."""
    if not path.exists():
        return False
    if path.is_dir() and idx_set.find_own(path):
        return False
    files = find_files(path)
    return files is None or files.kind in PICTURES


def load_own_set(
    name: str,
    path: Path,
    size: Size,
    colour: Colour,
    prepare: Form,
    reading: Reading,
    *,
    draw_test: bool,
) -> Dataset:
    """Load a set of the user's own.

    Args:
        name: of the set.
        path: its file or folder.
        size, colour, prepare, reading, draw_test: as for `load_dataset`.

    Raises:
        DataError: a file is broken, what it holds is not clear, or a package is missing.
        UsageError: a key of `reading` is for another form.
    """
    if (
        path.is_dir()
        and reading.images is None
        and reading.labels is None
        and (found := idx_set.find_own(path))
    ):
        if size == 28 and colour in (False, "auto"):
            size = "auto"  # which earlier versions recorded for IDX files of any size
        return _adapted(idx_set.load_own(name, found, draw_test=draw_test, reading=reading), size, colour)
    files = find_files(path, reading.labels)
    if prepare == "digits" and (reading.invert or reading.transpose):
        raise UsageError(
            "digits that are found in pictures are always upright and bright on black",
            "leave out `data.invert` and `data.transpose`, or set `data.prepare=as_is`",
        )
    if files is not None:
        from cnncli.data.readers.cache import cached

        load = partial(_load_files, name, path, files, size, colour, prepare, reading, draw_test=draw_test)
        dataset = cached(files.paths, (files.kind, size, colour, prepare, reading, draw_test), load)
        return replace(dataset, name=name)
    from cnncli.data.readers.folder import TEST_FRACTION, load_folder, load_pictures

    fraction = TEST_FRACTION if draw_test else 0
    side, keep = 28 if size == "auto" else size, False if colour == "auto" else colour
    if reading.labels_from is None:
        dataset = load_folder(path, side, colour=keep, prepare=prepare, test_fraction=fraction)
    else:
        from cnncli.data.readers.labeled_files import list_labeled

        listing = list_labeled(path, reading.labels_from)
        dataset = load_pictures(listing, path, side, colour=keep, prepare=prepare, test_fraction=fraction)
    return _changed(dataset, reading)


def _load_files(
    name: str,
    path: Path,
    files: OwnFiles,
    size: Size,
    colour: Colour,
    prepare: Form,
    reading: Reading,
    *,
    draw_test: bool,
) -> Dataset:
    """Load a set from files that are no pictures in folders."""
    if files.kind in ARRAYS:
        if prepare == "digits":
            raise UsageError(
                f"{path} holds arrays, and `data.prepare=digits` is for pictures",
                "leave it out: `data.prepare=auto`",
            )
        return _load_arrays(name, files, size, colour, reading, draw_test=draw_test)
    from cnncli.data.readers.choose import part_of
    from cnncli.data.readers.folder import TEST_FRACTION, load_pictures
    from cnncli.data.readers.packed import list_parquet, list_tars

    parts = {each: part_of(each.name) or part_of(each.parent.name) for each in files.paths}
    if files.kind == "tar":
        listing = list_tars(parts)
    elif packed := list_parquet(parts, reading.labels, reading.images):
        listing = packed
    else:
        return _load_arrays(name, files, size, colour, reading, draw_test=draw_test)
    dataset = load_pictures(
        listing,
        path,
        28 if size == "auto" else size,
        colour=False if colour == "auto" else colour,
        prepare=prepare,
        test_fraction=TEST_FRACTION if draw_test else 0,
    )
    listed = ", ".join(each.name for each in files.paths[:3]) + (", ..." if len(files.paths) > 3 else "")
    understood = (
        f"understood: {len(dataset.all_images):,} pictures of {len(dataset.classes)} classes in {listed}"
    )
    return _changed(replace(dataset, notes=(understood, *dataset.notes)), reading)


def _load_arrays(
    name: str, files: OwnFiles, size: Size, colour: Colour, reading: Reading, *, draw_test: bool
) -> Dataset:
    if reading.labels_from is not None:
        raise UsageError(
            "data.labels_from is for pictures in one folder", "`data.labels` names an array or column"
        )
    from cnncli.data.readers.array_set import load_arrays

    dataset = load_arrays(
        name,
        files,
        reading,
        size=None if size == "auto" else size,
        colour=None if colour == "auto" else colour,
        draw_test=draw_test,
    )
    return replace(dataset, notes=(*files.notes, *dataset.notes))


def _adapted(dataset: Dataset, size: Size, colour: Colour) -> Dataset:
    """Return a set with all images brought to a size, with or without colors."""
    from cnncli.data.readers.array_set import bring_to
    from cnncli.data.readers.understand import Understanding

    given = (size, size) if isinstance(size, int) else None if size == "auto" else size
    own, coloured = dataset.train.images.shape[1:3], dataset.train.images.ndim == 4
    if given in (None, own) and colour in ("auto", None, coloured):
        return dataset
    keep = None if colour == "auto" else colour
    seen = Understanding()

    def brought(split: Split) -> Split:
        return Split(bring_to(split.images, given, keep, seen), split.labels, split.files)

    return _with_images(dataset, brought, seen.notes)


def _changed(dataset: Dataset, reading: Reading) -> Dataset:
    """Return a set of pictures with bright and dark, or rows and columns exchanged."""
    if not reading.invert and not reading.transpose:
        return dataset

    def changed(split: Split) -> Split:
        images = 255 - split.images if reading.invert else split.images
        return Split(images.swapaxes(1, 2).copy() if reading.transpose else images, split.labels, split.files)

    return _with_images(dataset, changed, [])


def _with_images(dataset: Dataset, change: Callable[[Split], Split], notes: list[str]) -> Dataset:
    from cnncli.data.dataset import pixel_statistics

    train, test = change(dataset.train), change(dataset.test)
    validation = None if dataset.validation is None else change(dataset.validation)
    mean, std = pixel_statistics((train if len(train) else test).images)
    return replace(
        dataset,
        train=train,
        test=test,
        validation=validation,
        mean=mean,
        std=std,
        notes=(*dataset.notes, *notes),
    )
