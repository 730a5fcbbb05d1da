"""Prints what `cnn inspect` shows of a data set, its counts and samples, and of a picture, its digits."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.text import Text

from cnncli.cli.console import note, out, print_json, print_text, unicode_ok
from cnncli.cli.drawing import FULL, in_rows, middle_cut, picture, thumbnail, write_png
from cnncli.cli.tables import Column, fitted_table
from cnncli.data.load import load_dataset
from cnncli.pictures.digits import NothingToRead, Preprocessed, find_digits
from cnncli.pictures.read import Page, PictureFile
from cnncli.randomness import stream
from cnncli.training.lookup import find_image, load_part

if TYPE_CHECKING:
    from rich.console import Console

    from cnncli.data.dataset import Split

MAX_DIGITS = 16
"""The most digits of a picture that are drawn."""

MAX_CLASSES = 100
"""The most classes of which one image is drawn."""

SMALL = 14
"""The width of such an image in characters, if one row has no room for all of them at full size."""

PIPE_WIDTH = 80
"""Columns of the rows of images if they are not printed on a terminal."""


def show_dataset(name: str, data_dir: Path, save: Path | None, *, as_json: bool) -> None:
    """Print the number of images of each class, draw one of each class, and write a sheet of samples into `save`."""
    dataset = load_dataset(name, data_dir, size=None, colour=None)
    classes = dataset.classes
    splits = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    counts = {
        part: np.bincount(split.labels, minlength=len(classes))
        for part, split in splits.items()
        if split is not None
    }
    for text in dataset.notes:
        note(text)
    shown = dataset.train if len(dataset.train) else dataset.test
    if save is not None:
        from cnncli.report import draw_samples, save_png

        rng = stream(0, "samples")
        part = "training" if shown is dataset.train else "test"
        sheet = draw_samples(
            shown.images, shown.labels, classes, rng=rng, title=dataset.name, count_title=f"images in {part}"
        )
        save_png(sheet, save)
        note(f"wrote {save}")
    if as_json:
        print_json(
            {
                "kind": "dataset",
                "name": dataset.name,
                "input_shape": dataset.input_shape,
                "mean": dataset.mean,
                "std": dataset.std,
                "classes": classes,
                "counts": counts,
                "train": len(dataset.train),
                "test": len(dataset.test),
                "notes": dataset.notes,
                "left_out": dataset.left_out,
            }
        )
        return
    console = out()
    columns = [Column("class", [*classes, "total"])]
    for part, numbers in counts.items():
        columns.append(Column(f"{part}>", [f"{number:,}" for number in (*numbers, numbers.sum())]))
        shares = [f"{100 * number / max(numbers.sum(), 1):.1f} %" for number in numbers]
        columns.append(Column("share>", [*shares, ""], 1))
    console.print(fitted_table(columns, console, title=dataset.name, total=True))
    console.print(
        f"images {' x '.join(map(str, dataset.input_shape))} (C x H x W), "
        f"mean {dataset.mean:.4f}, standard deviation {dataset.std:.4f} of pixels in 0..1"
    )
    console.print()
    for line in _one_of_each(shown, classes, console):
        console.print(line, no_wrap=True, overflow="crop")


def _one_of_each(split: "Split", classes: Sequence[str], console: "Console") -> list[Text]:
    """Return the first image of each class below its name, in rows as wide as the terminal, in a pipe 80 columns."""
    width = console.width if console.is_terminal else min(console.width, PIPE_WIDTH)
    present, firsts = np.unique(split.labels, return_index=True)
    side = split.images.shape[2]
    tile = min(side, FULL if len(present) * (FULL + 2) <= width + 2 else SMALL)
    blocks = []
    for label, first in zip(present[:MAX_CLASSES].tolist(), firsts.tolist(), strict=False):
        name = middle_cut(classes[label], tile, "…" if unicode_ok(console.file) else "~")
        blocks.append([Text(name), *picture(thumbnail(split.images[first], tile), console)])
    lines = in_rows(blocks, width)
    if len(present) > MAX_CLASSES:
        lines.append(Text(f"the first {MAX_CLASSES} of {len(present):,} classes"))
    return lines


def show_image(name: str, data_dir: Path, save: Path | None, scale: int | None, *, as_json: bool) -> None:
    """Print an image of a data set with its label; `save` and `scale` are as for `show_picture`.

    Raises:
        PictureError: the set has no such image.
    """
    image = find_image(name, partial(load_part, data_dir=data_dir, as_shown=True))
    if save is not None:
        write_png(image.pixels, save, scale)
        note(f"wrote {save}")
    if as_json:
        print_json({"kind": "image", "path": name, "label": image.label, "pixels": image.pixels})
        return
    console = out()
    height, width = image.pixels.shape[:2]
    print_text(console, f"{name}: {width} x {height} pixels, the label is {image.label}")
    for line in picture(thumbnail(image.pixels, min(image.pixels.shape[1], console.width)), console):
        console.print(line, no_wrap=True, overflow="crop")


def show_picture(name: str, save: Path | None, scale: int | None, *, as_json: bool) -> None:
    """Print every digit that is found in a picture as a network would see it, with its bounding box.

    Raises:
        PictureError: it cannot be read, or there is nothing in it.
    """
    file = PictureFile(Path(name))
    pages: dict[str, tuple[Page, Preprocessed]] = {}
    blank: NothingToRead | None = None
    for number in range(len(file)):
        page = file.read(number)
        try:
            pages[file.page_name(number)] = page, find_digits(page.picture)
        except NothingToRead as error:
            note(f"warning: {file.page_name(number)}: {error.message}")
            blank = error
    if blank and not pages:
        raise blank
    if save is not None:
        write_png(
            np.hstack([digit.pixels for _, found in pages.values() for digit in found.digits]), save, scale
        )
        note(f"wrote {save}")
    for page, found in pages.values():
        for warning in (*page.warnings, *found.warnings):
            note(f"warning: {warning}")
    if as_json:
        print_json(
            {
                "kind": "picture",
                "path": name,
                "size": next(iter(pages.values()))[0].picture.size,
                "digits": [
                    {"box": digit.box, "line": digit.line, "pixels": digit.pixels, "path": path}
                    for path, (_, found) in pages.items()
                    for digit in found.digits
                ],
                "warnings": [w for page, found in pages.values() for w in (*page.warnings, *found.warnings)],
            }
        )
        return
    console = out()
    for path, (page, found) in pages.items():
        image = page.picture
        count = "1 digit" if len(found.digits) == 1 else f"{len(found.digits)} digits"
        print_text(console, f"{path}: {image.width} x {image.height} pixels, {count} found")
        blocks = []
        for digit in found.digits[:MAX_DIGITS]:
            left, top, right, bottom = digit.box
            blocks.append([*picture(digit.pixels, console), Text(f"x {left}-{right}, y {top}-{bottom}")])
        for line in in_rows(blocks, console.width):
            console.print(line, no_wrap=True, overflow="crop")
