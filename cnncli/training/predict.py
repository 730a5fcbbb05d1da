"""Reads the digits in pictures of the user's own, and says how sure it is."""

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

    from cnncli.pictures.read import Digit, Preprocessed

Source = str | Path | tuple[str, bytes]
"""A file, or a name and the content of one (what came from stdin, say)."""

Box = tuple[int, int, int, int]

UNSURE = 0.5
"""Below this probability an answer is called unsure."""


@dataclass(frozen=True)
class DigitPrediction:
    """One digit that was found in a picture.

    Attributes:
        label: the name of the most probable class.
        probability: its probability.
        box: where it is in the picture: left, top, right, bottom in pixels.
        top: the most probable classes with their probabilities, the first one first.
        pixels: what the network saw, (H, W) or (H, W, C), uint8.
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
    """What was read in one picture, or why nothing was.

    Attributes:
        path: its name.
        digits: left to right, line by line; empty after an error.
        text: the classes of the digits, a line of the picture on a line of its own.
        warnings: sentences on what may be wrong.
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
        invert: whether dark digits on light paper have to be turned into bright ones on black; "auto" looks.
        raw: the picture is as those of the data set, and is only brought to their size.
        top: how many classes to name for each digit.

    Returns:
        One entry for each source; a picture that cannot be read has its `error` there and stops no other.

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
    for source in sources:
        name = source[0] if isinstance(source, tuple) else str(source)
        try:
            yield _read(name, source, model, invert, raw, top)
        except UsageError:
            raise
        except CnnError as error:
            yield PicturePrediction(name, error=error.message, hint=error.hint)


def predictions_document(model: Model, predictions: Sequence[PicturePrediction]) -> dict[str, Any]:
    """Return the document of `cnn predict --json`."""
    return {"model": model.name, "images": [prediction.to_json() for prediction in predictions]}


def _read(
    name: str, source: Source, model: Model, invert: Literal["auto", "yes", "no"], raw: bool, top: int
) -> PicturePrediction:
    from cnncli.pictures.read import find_digits, read_picture  # loads Pillow: only for who has a picture

    picture = read_picture(source[1] if isinstance(source, tuple) else source, name)
    if model.network.input_shape == (1, 28, 28):
        found = find_digits(picture, invert=invert, raw=raw)
    else:
        found = _whole(picture, model, invert)
    digits = tuple(_classify(found.digits, model, top))
    return PicturePrediction(
        path=name,
        digits=digits,
        text=_text([(digit.line, answer.label) for digit, answer in zip(found.digits, digits, strict=True)]),
        warnings=(*found.warnings, *_doubts(digits)),
    )


def _whole(picture: "Image", model: Model, invert: Literal["auto", "yes", "no"]) -> "Preprocessed":
    """Bring a picture as a whole to the shape of a network that takes other inputs than 28x28 grey ones."""
    from cnncli.pictures.read import Digit, Preprocessed

    shape = model.network.input_shape
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise UsageError(f"{model.name} takes inputs of shape {shape}, which no picture has")
    channels, height, width = shape
    resized = picture.convert("L" if channels == 1 else "RGB").resize((width, height))
    pixels = np.asarray(resized)
    what = f"{height}x{width} {'grey' if channels == 1 else 'colour'}"
    return Preprocessed(
        (Digit(255 - pixels if invert == "yes" else pixels, (0, 0, *picture.size)),),
        (f"{model.name} was trained on {what} pictures: this one was resized as a whole",),
    )


def _classify(digits: "Sequence[Digit]", model: Model, top: int) -> Iterator[DigitPrediction]:
    """Ask the network about all digits of a picture at once."""
    x = to_input(np.stack([digit.pixels for digit in digits]), model.normalize, model.network.dtype)
    for digit, p in zip(digits, model.network.predict(x), strict=True):  # p: (K,)
        order = np.argsort(-p, kind="stable")[: max(top, 1)]
        best = tuple((model.classes[k], float(p[k])) for k in order)
        yield DigitPrediction(best[0][0], best[0][1], digit.box, best, digit.pixels)


def _text(answers: Sequence[tuple[int, str]]) -> str:
    """Join (line, label) pairs: digits without gaps, longer names with spaces, a line for each line."""
    gap = "" if all(len(label) == 1 for _, label in answers) else " "
    return "\n".join(gap.join(label for _, label in line) for _, line in groupby(answers, key=lambda a: a[0]))


def _doubts(digits: Sequence[DigitPrediction]) -> Iterator[str]:
    """Say which answers are little better than a guess."""
    unsure = [(place, digit) for place, digit in enumerate(digits, start=1) if digit.probability < UNSURE]
    if not unsure:
        return
    if len(digits) == 1:
        guesses = ", ".join(f"{label} {p:.0%}" for label, p in digits[0].top[:3])
        yield f"unsure what this is ({guesses})"
    else:
        which = ", ".join(
            f"no. {place} ({digit.label} {digit.probability:.0%})" for place, digit in unsure[:5]
        )
        more = ", ..." if len(unsure) > 5 else ""
        yield f"unsure of {len(unsure)} of the {len(digits)}: {which}{more}"
