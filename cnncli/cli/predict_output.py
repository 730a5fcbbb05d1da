"""Prints what `cnn predict` read: few pictures are drawn, many get one line each; also writes PNG and CSV files."""

import csv
import io
import re
import sys
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from cnncli.cli.console import note, out, print_error, print_text, unicode_ok
from cnncli.cli.drawing import FULL, bar, in_rows, middle_cut, picture, side_by_side, thumbnail, write_png
from cnncli.cli.hints import option_hint
from cnncli.storage import make_folder, refuse_to_overwrite, write_bytes_atomic
from cnncli.training.lines import UNKNOWN, UNSURE_OF_SEVERAL, lines_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from cnncli.training.lines import DigitPrediction
    from cnncli.training.predictions import PicturePrediction
    from cnncli.types import ByteArray

MAX_DRAWN = 4
"""If there are more pictures, each gets one line and none is drawn."""

MAX_DIGITS = 16
"""A picture with more digits is not drawn."""

MAX_ALIKE = 3
"""Of warnings that differ in numbers and examples only, so many are printed."""

BAR_WIDTH = 24
"""The width of a bar in characters, if there is room for it."""

_AROUND_BAR = len("  ") + len(" 100.0 %")

LEAST_BAR = 8
"""A bar is not shorter than this beside the picture; then it stands below it."""

STDOUT = Path("-")
"""What --csv takes for stdout."""

CSV_COLUMNS = (
    *("path", "number", "class", "probability", "left", "top", "right", "bottom", "row", "column"),
    *("unknown", "error", "warnings"),
)


def print_prediction(prediction: "PicturePrediction", *, draw: bool) -> None:
    """Print what was read in one picture on stdout; nothing if there is no digit.

    Args:
        prediction: of the picture.
        draw: also draw the images that the network saw.
    """
    digits = prediction.digits
    if not digits:
        return
    console = out()
    print_text(console, headline(prediction))
    if not draw or len(digits) > MAX_DIGITS:
        return
    lines = _one(digits[0], console) if len(digits) == 1 else _several(digits, console)
    for line in lines:
        console.print(line, no_wrap=True, overflow="crop", crop=True)


def headline(prediction: "PicturePrediction") -> "Text":
    """Return `digit.png: 7 (99.8 %)`; the lines of a picture with several, and the rows of a table, follow below.

    For an image of a data set the true class follows.
    """
    from rich.text import Text

    found = len(prediction.digits)
    known = [digit.probability for digit in prediction.digits if not digit.unknown]
    lowest = f"{100 * min(known):.1f} %" if known else "like none of the classes"
    sure = lowest
    if found > 1:
        sure = f"{found} digits, the least sure {lowest}" if known else f"{found} pieces {lowest}"
    text = prediction.spaced
    if prediction.table is not None:
        rows, columns = prediction.table
        sure = f"table of {rows} x {columns} cells, {sure}"
    if "\n" in text or prediction.table is not None:
        text = "".join(f"\n  {line}" for line in text.splitlines())
        return Text.assemble(f"{prediction.path}: ", (f"({sure})", "dim"), (text, "bold"))
    line = Text.assemble(f"{prediction.path}: ", (text, "bold"), " ", (f"({sure})", "dim"))
    if prediction.label is not None:
        right = prediction.label == prediction.text
        line.append(
            f", right: the label is {prediction.label}"
            if right
            else f", wrong: the label is {prediction.label}",
            "green" if right else "red",
        )
    return line


def _one(digit: "DigitPrediction", console: "Console") -> list["Text"]:
    """Return the picture, and beside it the best predictions as bars, or below it if the terminal is narrow."""
    from rich.cells import cell_len
    from rich.text import Text

    gap = 4
    pixels = thumbnail(digit.pixels, min(FULL, console.width))
    drawn = picture(pixels, console)
    names = [name for name, _ in digit.top]
    widest = max(map(cell_len, names))
    beside = console.width - pixels.shape[1] - gap >= widest + _AROUND_BAR + LEAST_BAR
    room = console.width - _AROUND_BAR - (pixels.shape[1] + gap if beside else 0)
    width = min(widest, max(room - LEAST_BAR, 1))
    mark = "…" if unicode_ok(console.file) else "~"
    bars = []
    for rank, (name, probability) in enumerate(digit.top):
        short = middle_cut(name, width, mark)
        bars.append(
            Text.assemble(
                (" " * (width - cell_len(short)) + short, "bold" if rank == 0 else ""),
                "  ",
                (bar(probability, min(BAR_WIDTH, room - width), console), "green" if rank == 0 else "dim"),
                f" {100 * probability:5.1f} %",
            )
        )
    if not beside:
        return [*drawn, *bars]
    above = max(len(drawn) - len(bars), 0) // 2
    return side_by_side([drawn, [Text() for _ in range(above)] + bars], gap)


def _several(digits: Sequence["DigitPrediction"], console: "Console") -> list["Text"]:
    """Return the pictures at half size, each with its number, the prediction and the runner-up below.

    Each line of writing starts a new row, and has as many rows as the terminal needs for it.
    """
    from rich.text import Text

    drawn: list[Text] = []
    number = 0
    for line in lines_of(digits):
        blocks = []
        for digit in line:
            number += 1
            best = [
                Text.assemble(
                    (f"{number}: " if rank == 0 else " " * len(f"{number}: "), "dim"), (label, style)
                )
                + Text(f" {100 * p:.0f} %", style="" if rank == 0 and p >= UNSURE_OF_SEVERAL else "dim")
                for rank, ((label, p), style) in enumerate(zip(digit.top[:2], ("bold", "dim"), strict=False))
            ]
            blocks.append(
                [*picture(thumbnail(digit.pixels, (digit.pixels.shape[1] + 1) // 2), console), *best]
            )
        drawn += in_rows(blocks, console.width)
    return drawn


class Problems:
    """Prints warnings, and why a picture could not be read, on stderr; of many equal warnings the first few only."""

    def __init__(self) -> None:
        self._seen: dict[str, list[str]] = {}

    def print(self, prediction: "PicturePrediction") -> None:
        """Print those of one picture."""
        for warning in prediction.warnings:
            said = re.split(r": | \(", warning)[0]
            alike = self._seen.setdefault(re.sub("[0-9]+", "0", said), [])
            alike.append(f"{prediction.path}: {said}")
            if len(alike) <= MAX_ALIKE:
                note(f"warning: {prediction.path}: {warning}")
        if prediction.error is not None:
            named = "" if prediction.path in prediction.error else f"{prediction.path}: "
            print_error(named + prediction.error, prediction.hint and option_hint(prediction.hint))

    def sum_up(self) -> None:
        """Print how many warnings were not printed, for each kind."""
        for alike in self._seen.values():
            if (more := len(alike) - MAX_ALIKE) > 0:
                note(f"warning: {more} more like {alike[0]}; --json and --csv have all")


def save_inputs(
    predictions: Iterable["PicturePrediction"], folder: Path, inputs: Sequence[Path], scale: int | None = None
) -> int:
    """Write the image that the network saw of each digit as a PNG named after its picture; return how many.

    Args:
        predictions: with the digits.
        folder: where the files go; created when missing.
        inputs: the files that were read.
        scale: how large each pixel becomes, as for `write_png`.

    Raises:
        UsageError: a file would replace one of the inputs; nothing is written.
        StorageError: the folder cannot be written.
    """
    files: dict[str, ByteArray] = {}
    for prediction in predictions:
        for number, digit in enumerate(prediction.digits, start=1):
            stem = Path(prediction.path).stem.replace(":", "-")
            stem += f"-{number}" if len(prediction.digits) > 1 else ""
            name = next(name for n in count(1) if (name := stem if n == 1 else f"{stem}_{n}") not in files)
            files[name] = digit.pixels
    for name in files:
        refuse_to_overwrite(folder / f"{name}.png", inputs)
    make_folder(folder)
    for name, pixels in files.items():
        write_png(pixels, folder / f"{name}.png", scale)
    return len(files)


def write_csv(predictions: Iterable["PicturePrediction"], path: Path) -> None:
    """Write one row for each digit and each empty cell of a table, and the reason for each picture without digits.

    The warnings of a picture are in each of its rows.

    Args:
        predictions: one for each picture or page.
        path: the file, or STDOUT.

    Raises:
        StorageError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for prediction in predictions:
        warnings = "; ".join(prediction.warnings)
        for number, digit in enumerate(prediction.digits, start=1):
            cell = (digit.row, digit.column)
            writer.writerow(
                [
                    prediction.path,
                    number,
                    digit.label,
                    f"{digit.probability:.6f}",
                    *digit.box,
                    *cell,
                    UNKNOWN * digit.unknown,
                    "",
                    warnings,
                ]
            )
        for row, column in prediction.empty_cells:
            writer.writerow([prediction.path, *[""] * 7, row, column, "", "", warnings])
        if not prediction.digits:
            reason = prediction.error or warnings
            writer.writerow([prediction.path, *[""] * (len(CSV_COLUMNS) - 3), reason, warnings])
    if path == STDOUT:
        sys.stdout.write(text.getvalue())
    else:
        write_bytes_atomic(path, text.getvalue().encode("utf-8", "surrogateescape"))
