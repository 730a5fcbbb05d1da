"""What was read in pictures: for Python, and as the document of `cnn predict --json`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cnncli.training.lines import DigitPrediction, cells_of, spaced_text_of
from cnncli.training.members import as_models, joined_name
from cnncli.training.model import Model


@dataclass(frozen=True)
class PicturePrediction:
    """What was read in one picture, or why it could not be read.

    Attributes:
        path: its name; the second page of a file with several pages is `scan.tif[2]`.
        digits: left to right, line by line; empty after an error.
        text: the classes of the digits, with a line of text for each line of the picture. For a table, with a space
            between cells and "." for an empty one.
        warnings: what may be wrong, one sentence each.
        error: why the picture could not be read; None when it could.
        hint: what to do about the error, or None.
        label: the true class of an image of a data set; None for a picture.
        table: number of rows and columns of the table that was read; None for other pictures.
        size: width and height of the picture, in the pixels of the boxes; None for a picture that was not read.
    """

    path: str
    digits: tuple[DigitPrediction, ...] = ()
    text: str = ""
    warnings: tuple[str, ...] = ()
    error: str | None = None
    hint: str | None = None
    label: str | None = None
    table: tuple[int, int] | None = None
    size: tuple[int, int] | None = None

    def __repr__(self) -> str:
        if self.error is not None:
            return f"PicturePrediction({self.path!r}: error: {self.error})"
        lowest = min((digit.probability for digit in self.digits), default=None)
        least = "" if lowest is None else f", at least {100 * lowest:.1f} % sure"
        warned = f", {len(self.warnings)} warning{'s' * (len(self.warnings) > 1)}" if self.warnings else ""
        return f"PicturePrediction({self.path!r}: {self.text!r}{least}{warned})"

    @property
    def spaced(self) -> str:
        """The text with a space between groups of digits, as in `0171 5534928`."""
        return self.text if self.table is not None else spaced_text_of(self.digits)

    @property
    def cells(self) -> list[list[str]]:
        """The classes in each cell of a table, row by row, "" for an empty cell; no rows for other pictures."""
        return [] if self.table is None else cells_of(self.digits, self.table)

    @property
    def empty_cells(self) -> list[tuple[int, int]]:
        """Row and column of each empty cell of a table, from 1."""
        return [
            (row, column)
            for row, cells in enumerate(self.cells, start=1)
            for column, cell in enumerate(cells, start=1)
            if not cell
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the entry of `cnn predict --json`."""
        return {
            "path": self.path,
            "text": self.text,
            "spaced": self.spaced,
            "digits": [digit.to_json() for digit in self.digits],
            "warnings": list(self.warnings),
            "error": self.error,
            **({} if self.label is None else {"label": self.label}),
            **({} if self.table is None else {"table": self.cells}),
        }


def predictions_document(
    model: Model | Sequence[Model], predictions: Sequence[PicturePrediction]
) -> dict[str, Any]:
    """Return the document of `cnn predict --json`."""
    return {
        "model": joined_name(as_models(model)),
        "images": [prediction.to_json() for prediction in predictions],
    }
