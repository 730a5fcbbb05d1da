"""Answers for all images of a data file without labels, as a table or in the form that Kaggle's competitions take.

Axis letters: N images, K classes.
"""

import csv
import io
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cnncli.batches.batches import to_input
from cnncli.data.dataset import pixel_statistics
from cnncli.data.reading import Reading
from cnncli.engine import compile
from cnncli.errors import UsageError
from cnncli.pictures.whole import background_of_set
from cnncli.training.calibration import evidence_of, with_temperature
from cnncli.training.members import as_models, check_members, joined_name
from cnncli.training.model import Model
from cnncli.types import BoolArray, ByteArray, FloatArray

AnswerFormat = Literal["table", "kaggle"]

BATCH = 1000

COLUMNS = ("path", "index", "class", "probability", "unknown")


@dataclass(frozen=True)
class Answers:
    """What a network, or several together, say about the images of one file.

    Attributes:
        path: of the file.
        classes: the K names.
        probabilities: (N, K).
        unknown: (N,), whether an image is like none of the classes.
        notes: how the file was read; a likely mistake starts with "warning:".
    """

    path: Path
    classes: tuple[str, ...]
    probabilities: FloatArray
    unknown: BoolArray
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Answers({str(self.path)!r}: {len(self.probabilities):,} images, {len(self.classes)} classes)"

    @property
    def labels(self) -> list[str]:
        """The most probable class of each image."""
        return [self.classes[label] for label in self.probabilities.argmax(axis=1).tolist()]

    def to_csv(self, form: AnswerFormat = "table") -> str:
        """Return one row for each image: with probabilities, or `ImageId,Label` with ids from 1, as Kaggle takes it."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if form == "kaggle":
            writer.writerow(("ImageId", "Label"))
            writer.writerows(enumerate(self.labels, start=1))
            return text.getvalue()
        writer.writerow(COLUMNS)
        best = self.probabilities.max(axis=1).tolist()
        marks = ["?" if each else "" for each in self.unknown.tolist()]
        rows = zip(self.labels, best, marks, strict=True)
        writer.writerows(
            (self.path, index, label, f"{probability:.6f}", mark)
            for index, (label, probability, mark) in enumerate(rows)
        )
        return text.getvalue()

    def to_json(self, top: int = 3) -> list[dict[str, Any]]:
        """Return the entries of `cnn predict --json`, one for each image.

        Args:
            top: how many classes to list for each.
        """
        order = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :top]
        entries = []
        for index, (ranks, p, unknown) in enumerate(
            zip(order.tolist(), self.probabilities.tolist(), self.unknown.tolist(), strict=True)
        ):
            best = self.classes[ranks[0]]
            digit = {
                "class": best,
                "probability": p[ranks[0]],
                "unknown": unknown,
                "box": None,
                "top": [[self.classes[rank], p[rank]] for rank in ranks],
            }
            text = "?" if unknown else best
            entries.append(
                {
                    "path": f"{self.path}:{index}",
                    "text": text,
                    "digits": [digit],
                    "warnings": [],
                    "error": None,
                }
            )
        return entries


def answer_file(
    path: str | Path,
    model: Model | Sequence[Model],
    *,
    invert: bool = False,
    unknown: bool = True,
    on_batch: Callable[[int, int], None] | None = None,
) -> Answers:
    """Classify all images of a file of arrays, such as CSV, .npz, .npy or IDX; labels in it are not looked at.

    Args:
        path: of the file. Of a file with several parts the test images are taken.
        model: from `load_model`; of a list of several, the probabilities are averaged.
        invert: exchange bright and dark.
        unknown: mark what is like none of the classes.
        on_batch: called with (images done, N) before the first batch and after each.

    Raises:
        UsageError: the network does not take such images, or several networks cannot answer together.
        DataError: the file cannot be read, or what it holds is not clear.

    Example:
        >>> from cnncli import load_model
        >>> answer_file("test.csv", load_model("runs/run-3")).to_csv("kaggle")[:14]
        'ImageId,Label\\n'
    """
    from cnncli.data.readers.array_set import load_images

    models = as_models(model)
    check_members(models, same_form=False)
    first = models[0]
    shape = first.network.input_shape
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise UsageError(f"{first.name} takes inputs of shape {shape}, which are not pictures")
    channels, height, width = shape
    recorded = Reading.from_config(first.data_config)
    images, notes = load_images(
        Path(path),
        Reading(transpose=recorded.transpose, invert=invert or recorded.invert),
        (height, width),
        colour=channels == 3,
    )
    mean, background = pixel_statistics(images)[0], background_of_set(images)
    if {background, first.preparation.background} == {"dark", "bright"} and not invert:
        notes.append(
            f"warning: the images have a {background} background (mean {mean:.2f}), and those that {first.name} was "
            f"trained on a {first.preparation.background} one; `invert='yes'` inverts them"
        )
    probabilities, evidence = _classify(models, images, on_batch)
    if not unknown:
        evidence = np.full_like(evidence, np.inf)
    return Answers(Path(path), first.classes, probabilities, evidence < 1, tuple(notes))


def answers_document(model: Model | Sequence[Model], answers: Sequence[Answers], top: int) -> dict[str, Any]:
    """Return the document of `cnn predict --json` for files of images."""
    entries = [entry for each in answers for entry in each.to_json(top)]
    return {"model": joined_name(as_models(model)), "images": entries}


def _classify(
    models: Sequence[Model], images: ByteArray, on_batch: Callable[[int, int], None] | None
) -> tuple[FloatArray, FloatArray]:
    """Return the mean probabilities (N, K), and how well each image fits, 1 at the threshold of the unknown (N,)."""
    n = len(images)
    probabilities = np.empty((n, len(models[0].classes)), np.float32)
    fits = np.full(n, np.inf, np.float32)
    with ExitStack() as stack:
        executors = [stack.enter_context(compile(model.network, batch_size=BATCH)) for model in models]
        if on_batch is not None:
            on_batch(0, n)
        for start in range(0, n, BATCH):
            batch = slice(start, start + BATCH)
            each = []
            for model, executor in zip(models, executors, strict=True):
                logits = executor.forward(to_input(images[batch], model.normalize, model.network.dtype))
                each.append(with_temperature(logits, model.calibration))
                threshold = model.calibration.unknown_threshold
                # a threshold is fitted for one network
                if len(models) == 1 and threshold is not None and threshold > 0:
                    fits[batch] = evidence_of(logits) / threshold
            probabilities[batch] = np.mean(each, axis=0)
            if on_batch is not None:
                on_batch(min(batch.stop, n), n)
    return probabilities, fits
