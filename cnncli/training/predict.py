"""Reads the digits in a user's own pictures, with a probability for each."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cnncli.batches.batches import to_input
from cnncli.errors import CnnError, UsageError
from cnncli.training.model import Model
from cnncli.types import ByteArray

if TYPE_CHECKING:
    from PIL.Image import Image

    from cnncli.pictures.digits import Digit, Preprocessed
    from cnncli.pictures.read import Page, PictureFile

Source = str | Path | tuple[str, bytes]
"""A file, or a name with the content of a file (from stdin, for example)."""

Box = tuple[int, int, int, int]

UNSURE = 0.5
"""Below this probability an answer counts as unsure."""


@dataclass(frozen=True)
class DigitPrediction:
    """One digit in a picture.

    Attributes:
        label: the name of the most probable class.
        probability: its probability.
        box: its bounding box in the picture: left, top, right, bottom in pixels.
        top: the most probable classes with their probabilities, most probable first.
        pixels: the image that the network saw, (H, W) or (H, W, C), uint8.
    """

    label: str
    probability: float
    box: Box
    top: tuple[tuple[str, float], ...]
    pixels: ByteArray

    def to_json(self) -> dict[str, Any]:
        """Return the entry of `cnn predict --json`."""
        return {
            "class": self.label,
            "probability": self.probability,
            "box": list(self.box),
            "top": [list(entry) for entry in self.top],
        }


@dataclass(frozen=True)
class PicturePrediction:
    """What was read in one picture, or why it could not be read.

    Attributes:
        path: its name; the second page of a file with several pages is `scan.tif[2]`.
        digits: left to right, line by line; empty after an error.
        text: the classes of the digits, with a line of text for each line of the picture.
        warnings: what may be wrong, one sentence each.
        error: why the picture could not be read; None when it could.
        hint: what to do about the error, or None.
    """

    path: str
    digits: tuple[DigitPrediction, ...] = ()
    text: str = ""
    warnings: tuple[str, ...] = ()
    error: str | None = None
    hint: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the entry of `cnn predict --json`."""
        return {
            "path": self.path,
            "text": self.text,
            "digits": [digit.to_json() for digit in self.digits],
            "warnings": list(self.warnings),
            "error": self.error,
        }


def predict_pictures(
    sources: Iterable[Source],
    model: Model,
    *,
    invert: Literal["auto", "yes", "no"] = "auto",
    raw: bool = False,
    top: int = 3,
) -> list[PicturePrediction]:
    """Read pictures, each with any number of digits.

    Args:
        sources: files, or names with contents.
        model: from `load_model`.
        invert: whether to turn dark digits on light paper into bright ones on black; "auto" decides for each picture.
        raw: do not look for digits; resize the whole picture and read it.
        top: how many classes to return for each digit.

    Returns:
        One entry for each source, and for each page of a TIFF with several pages. A picture that cannot be read has
        an `error` in its entry; the others are still read. A blank page beside others has a warning and no digits.

    Example:
        >>> from cnncli import load_model
        >>> predict_pictures(["digit.png"], load_model("runs/run-3"))[0].text
        '7'
    """
    return list(iter_predictions(sources, model, invert=invert, raw=raw, top=top))


def iter_predictions(
    sources: Iterable[Source],
    model: Model,
    *,
    invert: Literal["auto", "yes", "no"] = "auto",
    raw: bool = False,
    top: int = 3,
) -> Iterator[PicturePrediction]:
    """Read pictures as `predict_pictures` does, one at a time."""
    from cnncli.pictures.read import PictureFile  # loads Pillow

    for source in sources:
        name = source[0] if isinstance(source, tuple) else str(source)
        try:
            file = PictureFile(source[1] if isinstance(source, tuple) else source, name)
        except CnnError as error:
            yield PicturePrediction(name, error=error.message, hint=error.hint)
        else:
            yield from _read_pages(file, model, invert, raw, top)


def predictions_document(model: Model, predictions: Sequence[PicturePrediction]) -> dict[str, Any]:
    """Return the document of `cnn predict --json`."""
    return {"model": model.name, "images": [prediction.to_json() for prediction in predictions]}


def _read_pages(
    file: "PictureFile", model: Model, invert: Literal["auto", "yes", "no"], raw: bool, top: int
) -> list[PicturePrediction]:
    """Read all pages of a file; a page without digits is an error only if all pages are such."""
    from cnncli.pictures.digits import NothingToRead

    found, blank = [], []
    for number in range(len(file)):
        name = file.page_name(number)
        try:
            page = file.read(number)
            try:
                found.append(_read(name, page, model, invert, raw, top))
            except NothingToRead as error:
                blank.append(number)
                found.append(PicturePrediction(name, (), "", page.warnings, error.message, error.hint))
        except UsageError:
            raise
        except CnnError as error:
            found.append(PicturePrediction(name, error=error.message, hint=error.hint))
    if len(blank) < len(file):
        for number in blank:
            warnings = (*found[number].warnings, f"{found[number].error}")
            found[number] = PicturePrediction(file.page_name(number), warnings=warnings)
    return found


def _read(
    name: str, page: "Page", model: Model, invert: Literal["auto", "yes", "no"], raw: bool, top: int
) -> PicturePrediction:
    from cnncli.pictures.digits import find_digits  # loads Pillow

    if model.network.input_shape == (1, 28, 28):
        found = find_digits(page.picture, invert=invert, raw=raw)
    else:
        found = _resize_whole(page.picture, model, invert)
    digits = tuple(_classify(found.digits, model, top))
    return PicturePrediction(
        path=name,
        digits=digits,
        text=_text([(digit.line, answer.label) for digit, answer in zip(found.digits, digits, strict=True)]),
        warnings=(*page.warnings, *found.warnings, *_unsure_warnings(digits)),
    )


def _resize_whole(picture: "Image", model: Model, invert: Literal["auto", "yes", "no"]) -> "Preprocessed":
    """Resize the whole picture for a network whose inputs are not 28x28 grey images."""
    from cnncli.pictures.digits import Digit, Preprocessed

    shape = model.network.input_shape
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise UsageError(f"{model.name} takes inputs of shape {shape}, which are not pictures")
    channels, height, width = shape
    resized = picture.convert("L" if channels == 1 else "RGB").resize((width, height))
    pixels = np.asarray(resized)
    kind = f"{height}x{width} {'grey' if channels == 1 else 'colour'}"
    return Preprocessed(
        (Digit(255 - pixels if invert == "yes" else pixels, (0, 0, *picture.size)),),
        (f"{model.name} was trained on {kind} pictures: this one was resized as a whole",),
    )


def _classify(digits: "Sequence[Digit]", model: Model, top: int) -> Iterator[DigitPrediction]:
    """Classify all digits of a picture in one forward pass."""
    x = to_input(np.stack([digit.pixels for digit in digits]), model.normalize, model.network.dtype)
    for digit, p in zip(digits, model.network.predict(x), strict=True):  # p: (K,)
        order = np.argsort(-p, kind="stable")[: max(top, 1)]
        best = tuple((model.classes[k], float(p[k])) for k in order)
        yield DigitPrediction(best[0][0], best[0][1], digit.box, best, digit.pixels)


def _text(answers: Sequence[tuple[int, str]]) -> str:
    """Join (line number, label) pairs into lines of text; labels of more than one letter are separated by spaces."""
    gap = "" if all(len(label) == 1 for _, label in answers) else " "
    return "\n".join(gap.join(label for _, label in line) for _, line in groupby(answers, key=lambda a: a[0]))


def _unsure_warnings(digits: Sequence[DigitPrediction]) -> Iterator[str]:
    """Yield a warning that names the answers below UNSURE, if there are any."""
    unsure = [(number, digit) for number, digit in enumerate(digits, start=1) if digit.probability < UNSURE]
    if not unsure:
        return
    if len(digits) == 1:
        guesses = ", ".join(f"{label} {p:.0%}" for label, p in digits[0].top[:3])
        yield f"unsure what this is ({guesses})"
    else:
        listed = ", ".join(
            f"no. {number} ({digit.label} {digit.probability:.0%})" for number, digit in unsure[:5]
        )
        more = ", ..." if len(unsure) > 5 else ""
        yield f"unsure of {len(unsure)} of the {len(digits)}: {listed}{more}"
