"""Writes what a training run leaves for people and scripts: its result, its evaluations, its pictures."""

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from cnncli.data.dataset import Member, Split
from cnncli.report import draw_confusion, draw_curves, draw_mistakes, find_mistakes, save_png
from cnncli.report.figures import percent
from cnncli.runs import Run
from cnncli.storage import make_folder, write_text_atomic
from cnncli.training.evaluate import Evaluation
from cnncli.training.prepare import Prepared
from cnncli.training.state import TrainingState

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

MOST_MISTAKES = 1000
"""How many mistakes the document of an evaluation lists, the most confident first."""


@dataclass(frozen=True)
class TrainResult:
    """The result of a training run: the document of `cnn train --json`.

    Attributes:
        run: the run's name.
        path: its folder.
        status: "done".
        epochs: how many were trained; fewer than asked for when the run stopped early.
        best_epoch: the epoch whose weights are kept.
        val_accuracy: of that epoch; None without validation.
        test_accuracy, test_loss: of those weights, measured once at the end; None without test images.
        other_tests: the accuracy on the test images of each further set that was trained on.
        seconds: of the whole run, evaluation included.
        images_per_second: in training steps alone; None if no step was timed.
        parameters: how many numbers are learned.
        data_notes: how the files of the data set were read; a likely mistake starts with "warning:".
        left_out: how many files of the data set were not read, for each reason.
    """

    run: str
    path: str
    status: str
    epochs: int
    best_epoch: int | None
    val_accuracy: float | None
    test_accuracy: float | None
    test_loss: float | None
    seconds: float
    images_per_second: float | None
    parameters: int
    data_notes: list[str] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    other_tests: dict[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        figures = [
            f"{name} {100 * value:.2f} %"
            for name, value in (("validation", self.val_accuracy), ("test", self.test_accuracy))
            if value is not None
        ]
        best = f"best epoch {self.best_epoch} of {self.epochs}"
        return f"TrainResult({self.path!r}: {', '.join([best, *figures])}, {self.seconds:.1f} s)"

    def to_json(self) -> dict[str, Any]:
        """Return the document as a dict."""
        return asdict(self)


def is_guessing(accuracy: float | None, classes: int, count: int) -> bool:
    """Tell whether an accuracy is no better than chance, three standard deviations and 2 % allowed.

    Args:
        accuracy: measured on `count` images; None when there were none.
        classes: how many there are, all as frequent as the others.
        count: the number of images.

    Example:
        >>> is_guessing(0.101, 10, 10_000), is_guessing(0.3, 10, 10_000)
        (True, False)
    """
    chance = 1 / classes
    return (
        accuracy is not None and accuracy < chance + 0.02 + 3 * (chance * (1 - chance) / max(count, 1)) ** 0.5
    )


def folder_of_set(eval_dir: Path, name: str) -> Path:
    """Return the folder in a run's eval folder for what was measured on a set other than its first."""
    return eval_dir / (re.sub(r"[^\w.-]+", "-", name).strip("-.") or "set")


def write_results(
    run: Run,
    prepared: Prepared,
    state: TrainingState,
    measured: Evaluation | None,
    others: Mapping[str, Evaluation] = MappingProxyType({}),
) -> TrainResult:
    """Write eval/test.json of a finished training run, and return its result.

    Args:
        run: its folder.
        prepared: its data and network.
        state: at its end.
        measured: the evaluation of the best weights on the test images; None when there are no test images.
        others: their evaluation on the test images of each further set that was trained on, by its name.

    Raises:
        StorageError: the file cannot be written.
    """
    if measured is not None:
        write_evaluation(
            run.eval_dir,
            _test_document(run, prepared, measured),
            measured,
            prepared.dataset.test,
            prepared.dataset.classes,
            plots=False,
        )
    for member in prepared.dataset.members:
        if member.name in others:
            evaluation, classes = others[member.name], prepared.dataset.classes
            document = _test_document(run, prepared, evaluation, member)
            folder = folder_of_set(run.eval_dir, member.name)
            write_evaluation(folder, document, evaluation, member.test, classes, plots=False)
    return TrainResult(
        run=run.name,
        path=str(run.path),
        status="done",
        epochs=state.epoch - 1,
        best_epoch=state.best_epoch,
        val_accuracy=state.best_accuracy,
        test_accuracy=measured.accuracy if measured else None,
        test_loss=measured.loss if measured else None,
        seconds=state.elapsed,
        images_per_second=state.images_per_second,
        parameters=prepared.network.get_num_parameters(),
        data_notes=list(prepared.dataset.notes),
        left_out=dict(prepared.dataset.left_out),
        other_tests={name: each.accuracy for name, each in others.items()},
    )


def draw_results(run: Run, prepared: Prepared, state: TrainingState, measured: Evaluation | None) -> None:
    """Draw curves.png and the pictures of the test; a picture that cannot be drawn is a warning in the log.

    Args:
        run, prepared, state, measured: as for `write_results`.
    """
    _draw(
        lambda: draw_curves(
            state.history,
            title=run.name,
            subtitle=_what_was_trained(run, prepared, state, measured),
            best_epoch=state.best_epoch,
        ),
        run.curves_path,
    )
    if measured is not None:
        test, classes = prepared.dataset.test, prepared.dataset.classes
        _draw_evaluation(run.eval_dir, _test_document(run, prepared, measured), measured, test, classes)


def _test_document(
    run: Run, prepared: Prepared, measured: Evaluation, member: Member | None = None
) -> dict[str, Any]:
    """Return the document of a test; of several sets, that of one of them, by default of the first."""
    dataset = prepared.dataset
    if member is None and dataset.members:
        member = dataset.members[0]
    return evaluation_document(
        measured,
        run=run.name,
        checkpoint="best",
        dataset=member.name if member else dataset.name,
        split="test",
        classes=dataset.classes,
        images=(member or dataset).test,
    )


def _what_was_trained(run: Run, prepared: Prepared, state: TrainingState, measured: Evaluation | None) -> str:
    """Return what a picture of a training run has to say to be understood by itself."""
    config = run.read_info().get("config")
    facts = [
        prepared.dataset.name,
        *([f"config {Path(config).name}"] if isinstance(config, str) else []),
        f"{prepared.network.get_num_parameters():,} parameters",
    ]
    if measured is None:
        return f"{', '.join(facts)}. No test images"
    which = f"epoch {state.best_epoch}" if state.best_epoch is not None else "the last epoch"
    return (
        f"{', '.join(facts)}. Test with the weights of {which}: "
        f"{percent(measured.accuracy)} right, loss {measured.loss:.4g}, "
        f"calibration error {percent(measured.calibration_error)}"
    )


def evaluation_document(
    evaluation: Evaluation,
    *,
    run: str,
    checkpoint: str,
    dataset: str,
    split: str,
    classes: Sequence[str],
    images: Split,
    warnings: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the document of `cnn eval --json`: which weights, which images, the figures and the mistakes.

    Args:
        evaluation: what was measured.
        run: the run's name, or the names of several.
        checkpoint: which weights.
        dataset: the name of the data set.
        split: "train", "val", "test" or "all".
        classes: the K names.
        images: what was measured on, (N,); the index of a mistake is a position in them.
        warnings: why the figures may not say what they seem to say.
    """
    measured = {"run": run, "checkpoint": checkpoint, "dataset": dataset, "split": split}
    mistakes = [
        {
            "index": mistake.index,
            **({"file": images.files[mistake.index]} if images.files else {}),
            "true": classes[mistake.label],
            "predicted": classes[mistake.predicted],
            "probability": mistake.confidence,
        }
        for mistake in find_mistakes(evaluation.probabilities, images.labels, MOST_MISTAKES)
    ]
    return {
        **measured,
        **evaluation.to_json(classes),
        "mistakes": mistakes,
        "warnings": list(warnings),
    }


def write_evaluation(
    folder: Path,
    document: dict[str, Any],
    evaluation: Evaluation,
    images: Split,
    classes: Sequence[str],
    *,
    plots: bool = True,
) -> list[Path]:
    """Write <split>.json, <split>-confusion.png and <split>-mistakes.png into a folder.

    A picture that cannot be drawn is a warning in the log.

    Args:
        folder: usually a run's eval folder; created when missing.
        document: from `evaluation_document`.
        evaluation: what the pictures show.
        images: the images that were evaluated.
        classes: the K names.
        plots: draw the pictures.

    Returns:
        The files that were written.

    Raises:
        StorageError: the folder or <split>.json cannot be written.
    """
    make_folder(folder)
    figures = folder / f"{document['split']}.json"
    write_text_atomic(figures, json.dumps(document, indent=2) + "\n")
    pictures = _draw_evaluation(folder, document, evaluation, images, classes) if plots else []
    return [figures, *pictures]


def _draw_evaluation(
    folder: Path, document: dict[str, Any], evaluation: Evaluation, images: Split, classes: Sequence[str]
) -> list[Path]:
    """Draw the pictures of an evaluation, and return those that could be drawn."""
    split = document["split"]
    wrong = evaluation.count - int(evaluation.confusion.trace())
    subject = f"{document['run']} on {document['dataset']}, {split}"
    mistakes = find_mistakes(evaluation.probabilities, images.labels)
    which = "all mistakes" if wrong == len(mistakes) else f"{len(mistakes)} of {wrong:,} mistakes"
    confusion = _draw(
        lambda: draw_confusion(
            evaluation.confusion,
            classes,
            title=subject,
            subtitle=f"{percent(evaluation.accuracy)} of {evaluation.count:,} right",
        ),
        folder / f"{split}-confusion.png",
    )
    gallery = _draw(
        lambda: draw_mistakes(
            mistakes,
            images.images,
            classes,
            files=images.files,
            title=f"{subject}: {which}, the most confident first" if wrong else subject,
        ),
        folder / f"{split}-mistakes.png",
    )
    return [*confusion, *gallery]


def _draw(draw: Callable[[], "Figure"], path: Path) -> list[Path]:
    """Write a picture and return its path; one that cannot be drawn or written is a warning, and nothing returned."""
    try:
        return [save_png(draw(), path)]
    except Exception as error:
        log.warning("%s is not drawn: %s", path, error)
        return []
