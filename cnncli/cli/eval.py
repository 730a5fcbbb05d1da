"""`cnn eval`: evaluates a run, or the average of several, on labeled images."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cnncli.cli.console import four_decimals, note, out, percent, print_json, table
from cnncli.cli.options import DataDir, Json, Plots, RunsDir, complete_run

if TYPE_CHECKING:
    from rich.table import Table

    from cnncli.training.ensemble import Measured
    from cnncli.training.evaluate import Evaluation
    from cnncli.types import IntArray

EXAMPLES = """
[bold]Examples[/]
  cnn eval latest                          the latest finished run, on the test images
  cnn eval run-3 --split val               on the images held out of its training
  cnn eval run-1 run-2 run-3               three runs: their probabilities are averaged
  cnn eval run-3 --dataset qmnist          on another set
  cnn eval run-3 --min-accuracy 0.99       exit code 3 below 99 %
"""

MAX_CLASSES = 20
"""With more classes than this the matrix is too wide for a terminal; the worst pairs are listed instead."""


def eval(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="A name, a path, a unique prefix, or `latest`: the latest finished run, else the latest with a"
            " checkpoint. Several: their probabilities are averaged.",
            autocompletion=complete_run,
            show_default=False,
        ),
    ],
    split: Annotated[
        Literal["test", "val", "train"],
        typer.Option("--split", metavar="test|val|train", help="Which images to evaluate on."),
    ] = "test",
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", metavar="SET", help="A data set other than the run's."),
    ] = None,
    checkpoint: Annotated[
        Literal["best", "last"],
        typer.Option("--checkpoint", metavar="best|last", help="Which weights of the run."),
    ] = "best",
    min_accuracy: Annotated[
        float | None,
        typer.Option(
            "--min-accuracy", metavar="X", min=0, max=1, help="Exit with code 3 below this, such as 0.99."
        ),
    ] = None,
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("runs"),
    plots: Plots = True,
    json: Json = False,
) -> None:
    """Evaluate a run on labeled images.

    Prints the accuracy, precision, recall and F1 of each class, and the confusion matrix. The result is also
    written to the run's eval folder, with pictures of the confusion matrix and the most confident mistakes.
    """
    from cnncli.cli.progress import counting
    from cnncli.errors import GateError, StorageError
    from cnncli.training.ensemble import measure_runs

    with counting("evaluating") as on_batch:
        measured = measure_runs(
            runs,
            runs_dir,
            split,
            dataset=dataset,
            checkpoint=checkpoint,
            data_dir=data_dir,
            on_batch=on_batch,
            notify=note,
        )
    try:
        files = measured.write(plots=plots)
    except StorageError as error:
        note(f"warning: the result is not kept, because {error.message}")
    else:
        if files:
            note("wrote " + ", ".join(map(str, files)))
    if json:
        print_json(measured.document)
    else:
        print_measured(measured)
    accuracy = measured.evaluation.accuracy
    if min_accuracy is not None and accuracy < min_accuracy:
        raise GateError(
            f"the accuracy is {100 * accuracy:.3f} %, below the {100 * min_accuracy:g} % asked for"
        )


def print_measured(measured: "Measured") -> None:
    """Print the metrics, a row for each class, and the confusion matrix."""
    console, evaluation, document = out(), measured.evaluation, measured.document
    wrong = evaluation.count - int(evaluation.confusion.trace())
    lines = {
        "run": f"{document['run']}, {document['checkpoint']} checkpoint",
        "images": f"{evaluation.count:,} of {document['dataset']}, {document['split']}",
        "accuracy": f"{percent(evaluation.accuracy)}, {wrong:,} wrong",
        "loss": four_decimals(evaluation.loss),
    }
    for name, value in lines.items():
        console.print(f"{name:<10}{value}", soft_wrap=True)
    console.print()
    console.print(class_table(evaluation, measured.classes))
    console.print()
    matrix = confusion_table if len(measured.classes) <= MAX_CLASSES else worst_pairs
    console.print(matrix(evaluation.confusion, measured.classes))


def class_table(evaluation: "Evaluation", classes: Sequence[str]) -> "Table":
    """Return a table with precision, recall and F1 of each class."""
    made = table("class", "precision>", "recall>", "F1>", "images>")
    for name, each in zip(classes, evaluation.per_class, strict=True):
        made.add_row(
            name, percent(each.precision), percent(each.recall), percent(each.f1), f"{each.support:,}"
        )
    return made


def confusion_table(confusion: "IntArray", classes: Sequence[str]) -> "Table":
    """Return a table with a row for each true class and a column for each predicted one.

    Args:
        confusion: (K, K).
        classes: the K names; if one is long, the columns are numbered.
    """
    from rich.text import Text

    long = max(map(len, classes)) > 4
    made = table("true \\ predicted", *(f"{label if long else name}>" for label, name in enumerate(classes)))
    for label, row in enumerate(confusion.tolist()):
        cells = []
        for answer, count in enumerate(row):
            style = "bold green" if answer == label else "red" if count else "dim"
            cells.append(Text(f"{count:,}" if count else ".", style=style))
        made.add_row(f"{label} {classes[label]}" if long else classes[label], *cells)
    return made


def worst_pairs(confusion: "IntArray", classes: Sequence[str], count: int = 20) -> "Table":
    """Return a table of the pairs of classes that were confused most often.

    Args:
        confusion: (K, K).
        classes: the K names.
        count: how many at most.
    """
    pairs = [
        (times, label, answer)
        for label, row in enumerate(confusion.tolist())
        for answer, times in enumerate(row)
        if times and label != answer
    ]
    made = table("true", "predicted", "times>", "of>")
    for times, label, answer in sorted(pairs, key=lambda pair: -pair[0])[:count]:
        made.add_row(classes[label], classes[answer], f"{times:,}", f"{int(confusion[label].sum()):,}")
    return made
