"""Draws runs, evaluations and data sets as matplotlib figures, for a notebook."""

from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from cnncli.data.dataset import Dataset, Split
from cnncli.errors import RunError
from cnncli.randomness import stream
from cnncli.report import draw_confusion, draw_curves, draw_mistakes, draw_samples, find_mistakes
from cnncli.runs import Run, find_run
from cnncli.training.evaluate import Evaluation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure


def plot_run(run: Run | str | Path, runs_dir: str | Path = "runs") -> "Figure":
    """Return the loss and the accuracy of a run over its epochs.

    Args:
        run: from `create_run`, or a name or path as for `find_run`.
        runs_dir: where names are looked up.

    Raises:
        RunError: there is no such run, or its first epoch is not finished.
    """
    if not isinstance(run, Run):
        run = find_run(str(run), runs_dir, needs=["run.json"])
    rows = run.read_metrics()
    if not rows:
        raise RunError(f"{run.name} has not finished an epoch yet")
    return _for_notebooks(draw_curves(rows, title=run.name, best_epoch=run.read_info().get("best_epoch")))


def plot_confusion(evaluation: Evaluation, classes: "Sequence[str]") -> "Figure":
    """Return the confusion matrix of an evaluation.

    Args:
        evaluation: from `evaluate`.
        classes: the names of the classes, such as `dataset.classes`.
    """
    return _for_notebooks(draw_confusion(evaluation.confusion, classes))


def plot_mistakes(
    evaluation: Evaluation, images: Split, classes: "Sequence[str]", count: int = 24
) -> "Figure":
    """Return the most confident mistakes of an evaluation.

    Args:
        evaluation: from `evaluate`.
        images: the images that were evaluated, such as `dataset.test`.
        classes: the names of the classes, such as `dataset.classes`.
        count: how many mistakes at most.
    """
    mistakes = find_mistakes(evaluation.probabilities, images.labels, count)
    return _for_notebooks(draw_mistakes(mistakes, images.images, classes, files=images.files))


def plot_samples(dataset: Dataset, seed: int = 0) -> "Figure":
    """Return training images of every class of a data set; another seed chooses others."""
    train, rng = dataset.train, stream(seed, "samples")
    return _for_notebooks(
        draw_samples(train.images, train.labels, dataset.classes, rng=rng, title=dataset.name)
    )


def _for_notebooks(figure: "Figure") -> "Figure":
    """Let Jupyter show a figure that no window of pyplot belongs to."""
    figure.__dict__["_repr_png_"] = partial(_png, figure)
    return figure


def _png(figure: "Figure") -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
