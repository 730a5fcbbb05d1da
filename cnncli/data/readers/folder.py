"""Reads a data set from a folder of pictures: one subfolder per class, with or without train/, val/ and test/."""

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from cnncli.data.checks import describe_values
from cnncli.data.dataset import FOLDER_PREFIX, Dataset, Split, pixel_statistics
from cnncli.data.readers.form import (
    COLOURED_SET,
    DEFAULT_FORM,
    MAX_PIXEL_BYTES,
    ImageFormat,
    choose_form,
    is_coloured,
    open_picture,
)
from cnncli.data.readers.layout import Listing, Packed, Pictures, list_folder
from cnncli.data.splits import cut_test
from cnncli.errors import DataError, PictureError, UsageError
from cnncli.pictures.digits import NothingToRead, find_digits_on
from cnncli.pictures.read import Page, PictureFile
from cnncli.pictures.whole import Form, resize_whole
from cnncli.types import ByteArray

MAX_DAMAGED = 0.01
"""If more than this part of the pictures is damaged, the set is refused; otherwise they are left out and counted."""

TEST_FRACTION = 0.2
"""The part of each class that becomes the test set of a folder without one."""


def load_folder(
    path: str | Path,
    size: int | tuple[int, int] | None = 28,
    *,
    colour: bool | None = False,
    prepare: Form = "as_is",
    test_fraction: float = TEST_FRACTION,
    seed: int = 0,
) -> Dataset:
    """Load pictures from class folders, each resized to the same size.

    The pictures are only resized, unless their digits are to be found: none is inverted, cropped or centered. A picture
    with other proportions is squeezed. What is left out is counted in the data set.

    Args:
        path: a folder with one subfolder per class, or with train/, and test/ or val/ or both, each with one subfolder
            per class. A folder with test/ alone has no training images.
        size: height and width of the resized pictures in pixels, or (height, width). None to look at them: the medians
            of their heights and widths, made smaller until the longer one is 96 at most.
        colour: keep three colours, (N, H, W, 3), or convert to grey, (N, H, W). None to keep them if there are any.
        prepare: "digits" to find the one digit of each picture and to bring it into the form of MNIST, 28x28 gray. A
            picture with none or with several is left out.
        test_fraction: the fraction of each class that becomes the test split, if there is no test/; 0 for none. Then a
            single class is enough.
        seed: seed of that split.

    Raises:
        DataError: there is no such folder, it has fewer than two classes, a class has too few pictures, there is too
            much data, or a picture cannot be read; names the folder or picture.
        UsageError: the size is not a number of pixels from 1 to 1024.
    """
    listing = list_folder(path, fewest=2 if test_fraction else 1)
    return load_pictures(
        listing, path, size, colour=colour, prepare=prepare, test_fraction=test_fraction, seed=seed
    )


def load_pictures(
    listing: Listing,
    path: str | Path,
    size: int | tuple[int, int] | None = 28,
    *,
    colour: bool | None = False,
    prepare: Form = "as_is",
    test_fraction: float = TEST_FRACTION,
    seed: int = 0,
) -> Dataset:
    """Load listed pictures, each resized to the same size.

    Args:
        listing: their files, labels and parts.
        path: the folder, archive or table that they are in.
        size, colour, prepare, test_fraction, seed: as for `load_folder`.

    Raises:
        DataError, UsageError: as for `load_folder`.
    """
    form = choose_form(size, colour, listing.pictures)
    if prepare == "digits" and form != DEFAULT_FORM:
        raise UsageError(f"digits in the form of MNIST are 28x28 gray, not {form}", "`data.size=28`")
    seen = _Seen(form, prepare, only_shown=size is None)
    _check_memory(path, len(listing.pictures), form)
    root = Path(path)
    train, notes = _read(listing.train, root, seen), list(listing.notes)
    validation = None if listing.validation is None else _read(listing.validation, root, seen)
    if listing.test is None and not test_fraction:
        test = train.part(slice(0))
    elif listing.test is None:
        train, test = _cut_test(train, listing, path, test_fraction, seed)
        notes.append(f"the test set is {100 * test_fraction:g} % of each class, because there is no test/")
    else:
        test = _read(listing.test, root, seen)
    statistics = pixel_statistics((train if len(train) else test).images)
    dataset = Dataset(
        f"{FOLDER_PREFIX}{path}",
        train,
        test,
        listing.classes,
        *statistics,
        test_drawn=listing.test is None and test_fraction > 0,
        validation=validation,
    )
    notes += [*seen.describe(Path(path).name), *describe_values(dataset, of_pictures=True)]
    return replace(dataset, notes=tuple(notes), left_out={**listing.left_out, **seen.left_out})


@dataclass
class _Seen:
    """What the pictures of a set were like before they were resized."""

    form: ImageFormat
    prepare: Form = "as_is"
    only_shown: bool = False
    count: int = 0
    coloured: int = 0
    squeezed: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    bits: Counter[int] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    damaged: list[str] = field(default_factory=list)

    def prepared(self, file: PictureFile, number: int, page: Page) -> list[ByteArray]:
        """Return a page in the form of the set, and count it; nothing if its digit is sought and it has not one."""
        if self.prepare == "as_is":
            self._count(page)
            return [resize_whole(page.picture, (self.form.height, self.form.width), colour=self.form.colour)]
        try:
            digits = find_digits_on(file, number, page)[1].digits
        except NothingToRead:
            digits = ()
        if len(digits) != 1:
            self.left_out["pictures with several digits" if digits else "pictures without a digit"] += 1
            return []
        self.bits[page.bits] += 1
        self.warnings.update(page.warnings)
        return [digits[0].pixels]

    def _count(self, page: Page) -> None:
        picture = page.picture
        width, height = picture.size
        self.count += 1
        self.sizes[width, height] += 1
        self.bits[page.bits] += 1
        self.warnings.update(page.warnings)
        if page.unread_frames:
            self.left_out["frames of animations"] += page.unread_frames
        into = DEFAULT_FORM if self.only_shown else self.form
        if abs(width * into.height - height * into.width) > 0.05 * height * into.width:
            self.squeezed += 1
        self.coloured += is_coloured(picture)

    def describe(self, name: str) -> list[str]:
        """Return the sentences about what a user may not expect."""
        notes = []
        if self.prepare == "digits":
            notes.append(f"{name}: the digit of each picture is found and brought into the form of MNIST")
            notes += [
                f"warning: {number:,} {reason} are left out"
                for reason, number in self.left_out.items()
                if reason.startswith("pictures with")
            ]
        for message in self.damaged[:1]:
            notes.append(
                f"warning: {self.left_out['damaged pictures']:,} damaged pictures are left out: {message}"
            )
        coloured = self.coloured > COLOURED_SET * self.count
        taken = DEFAULT_FORM if self.only_shown else self.form
        widths, heights = zip(*self.sizes, strict=True) if self.sizes else ((0,), (0,))
        if max(widths) > taken.width or max(heights) > taken.height or (coloured and not taken.colour):
            smallest, largest = min(self.sizes), max(self.sizes)
            sizes = "x".join(map(str, smallest))
            sizes += "" if len(self.sizes) == 1 else f" to {'x'.join(map(str, largest))}"
            kind = "color" if coloured else "gray"
            found = f"{name}: {sizes} {kind} pictures"
            if self.only_shown:
                squeezed = ", squeezed" if self.squeezed else ""
                notes.append(
                    f"{found}, shown as {self.form}; a training run takes them as {taken}{squeezed}, unless data.size "
                    "and data.colour say otherwise"
                )
            else:
                notes.append(f"{found}, taken as {taken} (data.size, data.colour)")
        if self.squeezed and not self.only_shown:
            part = "all" if self.squeezed == self.count else f"{self.squeezed:,} of {self.count:,}"
            notes.append(f"{part} pictures have other proportions and are squeezed to {self.form}")
        if set(self.bits) - {8}:
            uses = ", ".join(f"{n:,} use {bits} bits" for bits, n in sorted(self.bits.items()) if bits != 8)
            notes.append(f"pictures of more than 8 bits: {uses}; each is scaled by the bits that it uses")
        notes += [f"warning: {n:,} of the pictures: {warning}" for warning, n in self.warnings.items()]
        return notes


def _check_memory(path: str | Path, count: int, form: ImageFormat) -> None:
    needed = count * int(np.prod(form.shape))
    if needed > MAX_PIXEL_BYTES:
        raise DataError(
            f"the pictures in {path} need {needed:,} bytes of memory, more than {MAX_PIXEL_BYTES:,}"
        )


def _cut_test(
    train: Split, listing: Listing, path: str | Path, fraction: float, seed: int
) -> tuple[Split, Split]:
    alone = np.flatnonzero(np.bincount(train.labels) < 2)
    if alone.size:
        raise DataError(
            f"the class '{listing.classes[alone[0]]}' of {path} has one picture, and there is no test/",
            "a part of every class is kept for the test: give it more pictures, or make train/ and test/",
        )
    return cut_test(train, fraction, seed)


def _read(pictures: Pictures, root: Path, seen: _Seen) -> Split:
    """Read and resize pictures into one array; further pages of a file follow after all others.

    Args:
        pictures: path and label of each.
        root: the folder that the names of the files are relative to.
        seen: counts what they are like.
    """
    form = seen.form
    images: ByteArray = np.empty((len(pictures), *form.shape), np.uint8)
    kept: list[tuple[str, int]] = []
    further: list[ByteArray] = []
    of_further: list[tuple[str, int]] = []
    damaged: list[PictureError] = []
    for source, label in pictures:
        try:
            read = _read_file(source, seen)
        except PictureError as error:
            damaged.append(error)
            if len(damaged) > MAX_DAMAGED * len(pictures):
                hint = damaged[0].hint or "remove it, or give it a name that starts with a dot"
                raise DataError(damaged[0].message, hint) from damaged[0]
            continue
        name = source.relative_to(root).as_posix() if isinstance(source, Path) else source.name
        pages = [(name + page, image) for page, image in read]
        if pages:
            images[len(kept)] = pages[0][1]
            kept.append((pages[0][0], label))
        further += [image for _, image in pages[1:]]
        of_further += [(name, label) for name, _ in pages[1:]]
    if damaged:
        seen.left_out["damaged pictures"] += len(damaged)
        seen.damaged.append(damaged[0].message)
    images = images[: len(kept)]
    if further:
        _check_memory("the data set", len(images) + len(further), form)
        images = np.concatenate([images, np.stack(further)])
    names, labels = zip(*kept, *of_further, strict=True) if kept else ((), ())
    return Split(images, np.array(labels, dtype=np.int64), names)


def _read_file(source: Path | Packed, seen: _Seen) -> list[tuple[str, ByteArray]]:
    """Read and resize all pages of a file, without blank ones; before each stands "", or "[2]" for its second page."""
    images: list[tuple[str, ByteArray]] = []
    blank = 0
    file = open_picture(source)
    for number in range(len(file)):
        page = file.read(number, quick=seen.prepare == "digits")
        if len(file) > 1 and _is_blank(page.picture):
            blank += 1
        else:
            number_of_page = file.page_name(number).removeprefix(file.name)
            images += [(number_of_page, image) for image in seen.prepared(file, number, page)]
    if blank == len(file):
        images += [("", image) for image in seen.prepared(file, 0, file.read())]
    if blank:
        seen.left_out["blank pages"] += min(blank, len(file) - 1)
    return images


def _is_blank(picture: Image.Image) -> bool:
    low, high = picture.convert("L").getextrema()
    return bool(high - low < 8)  # type: ignore[operator]
