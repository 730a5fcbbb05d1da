"""Reads a user's own pictures as the training pictures were read, with a probability for each prediction."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from cnncli.errors import CnnError, UsageError
from cnncli.pictures.whole import Form, clear_background, from_pixels, resize_whole, transpose
from cnncli.training.lines import (
    DOUBTFUL,
    DigitPrediction,
    doubts_about,
    flag_all_or_some,
    leave_out_at_edge,
    table_text_of,
    text_of,
)
from cnncli.training.members import answers_of, as_models, check_members
from cnncli.training.model import Model
from cnncli.training.predictions import PicturePrediction
from cnncli.training.preparation import DIGIT_SHAPE, Prepare
from cnncli.training.readings import CUT_APART, choose_readings
from cnncli.types import ByteArray

if TYPE_CHECKING:
    from PIL.Image import Image

    from cnncli.pictures.digits import Digit, Preprocessed
    from cnncli.pictures.read import Page, PictureFile

Invert = Literal["auto", "yes", "no"]

Unknown = Literal["never", "warn", "refuse"]
"""What happens with something that belongs to no class: it is named all the same, it is "?", or it is an error."""

_CHUNK = 64  # digits in a forward pass


@dataclass(frozen=True)
class LabeledImage:
    """An image of a data set, read with exactly its pixels.

    Attributes:
        name: such as "mnist:2462".
        pixels: (H, W) or (H, W, C), uint8.
        label: the name of its class.
    """

    name: str
    pixels: ByteArray
    label: str


Source = str | Path | tuple[str, bytes] | LabeledImage
"""A file, a name with the content of a file (from stdin, for example), or an image of a data set."""


def predict_pictures(
    sources: Iterable[Source] | str | Path,
    model: Model | Sequence[Model],
    *,
    invert: Invert = "auto",
    prepare: Prepare = "auto",
    raw: bool = False,
    top: int = 3,
    unknown: Unknown = "warn",
) -> list[PicturePrediction]:
    """Read pictures, each with any number of digits, or each as a whole: as in the model's training.

    Args:
        sources: files, names with contents, or images of data sets; a single file need not be in a list.
        model: from `load_model`; of a list of several, the probabilities are averaged.
        invert: whether to invert the picture. "auto" decides for each: digits become bright on black. A whole gray
            picture is inverted only if its background is bright and those of the training pictures are dark, or the
            other way round, and never if it has exactly the size of the training images.
        prepare: "digits" looks for digits and brings each into the form of MNIST, "as_is" takes the whole picture,
            "auto" does what was done in training.
        raw: "as_is" without any inversion, unless `invert` is "yes".
        top: how many classes to return for each digit.
        unknown: "warn" marks what the network takes for none of its classes, and the text has "?" for it. "refuse"
            makes an error of a picture with any of it. "never" gives each the most probable class. A network knows
            what belongs to no class only if its checkpoint has a calibration.

    Returns:
        One entry for each source, and for each page of a TIFF with several pages. A picture that cannot be read has
        an `error` in its entry; the others are still read. A blank page beside others has a warning and no digits.

    Raises:
        UsageError: the network does not take such pictures, or several networks cannot answer together.

    Example:
        >>> from cnncli import load_model
        >>> predict_pictures(["digit.png"], load_model("runs/run-3"))[0].text
        '7'
    """
    return list(
        iter_predictions(sources, model, invert=invert, prepare=prepare, raw=raw, top=top, unknown=unknown)
    )


def iter_predictions(
    sources: Iterable[Source] | str | Path,
    model: Model | Sequence[Model],
    *,
    invert: Invert = "auto",
    prepare: Prepare = "auto",
    raw: bool = False,
    top: int = 3,
    unknown: Unknown = "warn",
) -> Iterator[PicturePrediction]:
    """Read pictures as `predict_pictures` does, one at a time."""
    from cnncli.pictures.read import PictureFile  # loads Pillow

    models = as_models(model)
    wanted: Prepare = "as_is" if raw else prepare
    check_members(models, same_form=wanted == "auto")
    reader = _Reader(models[0], models, invert, _choose_form(models[0], wanted), raw, top, unknown)
    for source in [sources] if isinstance(sources, str | Path) else sources:
        if isinstance(source, LabeledImage):
            yield reader.read_labeled(source)
            continue
        name = source[0] if isinstance(source, tuple) else str(source)
        try:
            file = PictureFile(source[1] if isinstance(source, tuple) else source, name)
        except CnnError as error:
            yield PicturePrediction(name, error=error.message, hint=error.hint)
        else:
            yield from reader.read_pages(file)


def _choose_form(model: Model, prepare: Prepare) -> Form:
    """Return how pictures are prepared for a model.

    Raises:
        UsageError: its network does not take such pictures.
    """
    shape = model.network.input_shape
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise UsageError(f"{model.name} takes inputs of shape {shape}, which are not pictures")
    form = model.preparation.form if prepare == "auto" else prepare
    if form == "digits" and shape != DIGIT_SHAPE:
        raise UsageError(
            f"{model.name} takes images of {shape}, and digits in the form of MNIST are {DIGIT_SHAPE}",
            "take the whole picture: `prepare='as_is'`",
        )
    return form


@dataclass(frozen=True)
class _Reader:
    """Prepares and classifies pictures, all in one way.

    Args:
        model: says how the pictures are prepared, and names the classes.
        models: all whose probabilities are averaged, `model` among them.
    """

    model: Model
    models: tuple[Model, ...]
    invert: Invert
    form: Form
    raw: bool
    top: int
    unknown: Unknown

    def read_pages(self, file: "PictureFile") -> list[PicturePrediction]:
        """Read all pages of a file; a page without digits is an error only if all pages are such."""
        from cnncli.pictures.digits import NothingToRead

        found, blank = [], []
        for number in range(len(file)):
            name = file.page_name(number)
            try:
                page = file.read(number, quick=self.form == "digits")
                try:
                    found.append(self._read(name, file, number, page))
                except NothingToRead as error:
                    blank.append(number)
                    found.append(PicturePrediction(name, (), "", page.warnings, error.message, error.hint))
            except CnnError as error:
                found.append(PicturePrediction(name, error=error.message, hint=error.hint))
        if len(blank) < len(file):
            for number in blank:
                warnings = (*found[number].warnings, f"{found[number].error}")
                found[number] = PicturePrediction(file.page_name(number), warnings=warnings)
        return found

    def read_labeled(self, image: LabeledImage) -> PicturePrediction:
        """Read an image of a data set; nothing is looked for in it, and only an image of another size is resized."""
        picture = from_pixels(image.pixels)
        found = self._take_whole(picture, self.invert if self.invert == "yes" else "no", picture.size)
        return replace(self._predict(image.name, found, whole=True), label=image.label)

    def _read(self, name: str, file: "PictureFile", number: int, page: "Page") -> PicturePrediction:
        from cnncli.pictures.digits import find_digits_on  # loads Pillow

        if self.form == "digits":
            page, found = find_digits_on(file, number, page, self.invert)
        else:
            picture, invert = page.picture, self.invert
            if self.raw and invert == "auto":
                invert = "no"
            elif not self.raw:
                picture, invert = self._as_in_training(picture, invert)
            found = self._take_whole(picture, invert, page.size)
        return self._predict(name, found, page.warnings, whole=self.form == "as_is", size=page.size)

    def _as_in_training(self, picture: "Image", invert: Invert) -> tuple["Image", Invert]:
        """Exchange rows and columns, and bright and dark, of a whole picture if the config of the training does."""
        data = self.model.data_config
        if data.get("transpose"):
            picture = transpose(picture)
        if data.get("invert") and invert == "auto":
            invert = "yes"
        return picture, invert

    def _take_whole(self, picture: "Image", invert: Invert, size: tuple[int, int]) -> "Preprocessed":
        """Resize the whole picture, of this width and height in its file, as in training; invert it if needed."""
        from cnncli.pictures.digits import Digit, Preprocessed

        expected = self.model.preparation
        pixels = resize_whole(picture, expected.size, colour=expected.colour)
        warnings = []
        if invert == "auto" and picture.size[::-1] != expected.size:
            background = clear_background(pixels)
            if {background, expected.background} == {"dark", "bright"}:
                said = (
                    f"its background is {background}, and those of the pictures that {self.model.name} was trained on "
                    f"are {expected.background}"
                )
                if expected.colour:
                    warnings.append(f"{said}; `invert='yes'` inverts it")
                else:
                    invert = "yes"
                    warnings.append(f"{said}, so it was inverted; `invert='no'` prevents that")
        if invert == "yes":
            pixels = 255 - pixels
        return Preprocessed((Digit(pixels, (0, 0, *size)),), tuple(warnings))

    def _predict(
        self,
        name: str,
        found: "Preprocessed",
        warnings: Sequence[str] = (),
        *,
        whole: bool,
        size: tuple[int, int] | None = None,
    ) -> PicturePrediction:
        parts = [part for alternative in found.alternatives for part in alternative.parts]
        predictions = list(self._classify([*found.digits, *parts]))
        others = iter(predictions[len(found.digits) :])
        digits, cut = choose_readings(
            found.digits,
            predictions[: len(found.digits)],
            found.alternatives,
            [list(islice(others, len(alternative.parts))) for alternative in found.alternatives],
            knows_none=all(model.data_config.get("unknown") for model in self.models),
        )
        left_out = 0
        if found.table is None and size is not None:
            digits, left_out = leave_out_at_edge(digits, size)
        digits = flag_all_or_some(digits)
        # what was cut may have been left out
        cut = cut and not (left_out and len(digits) == 1)
        doubts = [*([CUT_APART] if cut else []), *doubts_about(digits, whole=whole)]
        if left_out:
            doubts.append(f"{left_out} left out at the edge of the picture, like none of the classes")
        if self.unknown == "refuse" and (strange := sum(digit.unknown for digit in digits)):
            what = "it is" if len(digits) == 1 else f"{strange} of the {len(digits)} found in it are"
            return PicturePrediction(
                path=name,
                warnings=(*warnings, *found.warnings),
                error=f"{what} like none of the classes of {self.model.name}",
                hint="`unknown='warn'` reads the rest",
            )
        return PicturePrediction(
            path=name,
            digits=tuple(digits),
            text=text_of(digits) if found.table is None else table_text_of(digits, found.table),
            warnings=(*warnings, *found.warnings, *doubts),
            table=found.table,
            size=size,
        )

    def _classify(self, digits: "Sequence[Digit]") -> Iterator[DigitPrediction]:
        """Classify all digits of a picture, so many at once that the windows of a convolution fit into the cache."""
        classes = self.model.classes
        chunks = [digits[start : start + _CHUNK] for start in range(0, len(digits), _CHUNK)]
        inputs = (np.stack([digit.pixels for digit in chunk]) for chunk in chunks)
        answers = [answers_of(self.models, x, unknown=self.unknown != "never") for x in inputs]
        pairs = ((p, float(evidence)) for each in answers for p, evidence in zip(*each, strict=True))
        for digit, (p, evidence) in zip(digits, pairs, strict=True):  # p: (K,)
            order = np.argsort(-p, kind="stable")[: max(self.top, 1)]
            best = tuple((classes[k], float(p[k])) for k in order)
            row, column = (None, None) if digit.column is None else (digit.line + 1, digit.column + 1)
            yield DigitPrediction(
                *best[0],
                digit.box,
                best,
                digit.pixels,
                digit.line,
                row,
                column,
                unknown=evidence < 1,
                doubtful=DOUBTFUL <= evidence < 1,
            )
