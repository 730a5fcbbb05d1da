"""Prints what `cnn eval` found: the figures, a row for each class, and what was taken for what."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnncli.cli.console import number, out, percent, table

if TYPE_CHECKING:
    from rich.table import Table

    from cnncli.cli.eval_measure import Measured
    from cnncli.training.evaluate import Evaluation
    from cnncli.types import IntArray

WIDEST = 20
"""More classes than this do not fit a terminal as a matrix; the worst pairs are listed instead."""


def show(measured: "Measured") -> None:
    """Print everything on stdout."""
    console, evaluation, document = out(), measured.evaluation, measured.document
    wrong = evaluation.count - int(evaluation.confusion.trace())
    lines = {
        "run": f"{document['run']}, {document['checkpoint']} checkpoint",
        "images": f"{evaluation.count:,} of {document['dataset']}, {document['split']}",
        "accuracy": f"{percent(evaluation.accuracy)}, {wrong:,} wrong",
        "loss": number(evaluation.loss),
    }
    for name, value in lines.items():
        console.print(f"{name:<10}{value}", soft_wrap=True)
    console.print()
    console.print(class_table(evaluation, measured.classes))
    console.print()
    matrix = confusion_table if len(measured.classes) <= WIDEST else worst_pairs
    console.print(matrix(evaluation.confusion, measured.classes))


def class_table(evaluation: "Evaluation", classes: Sequence[str]) -> "Table":
    """Return precision, recall and F1 of each class."""
    made = table("class", "precision>", "recall>", "F1>", "images>")
    for name, each in zip(classes, evaluation.per_class, strict=True):
        made.add_row(
            name, percent(each.precision), percent(each.recall), percent(each.f1), f"{each.support:,}"
        )
    return made


def confusion_table(confusion: "IntArray", classes: Sequence[str]) -> "Table":
    """Return a row for each true class and a column for each answer; the right ones are on the diagonal.

    Args:
        confusion: (K, K).
        classes: the K names; columns are numbered where a name is too long for one.
    """
    from rich.text import Text

    long = max(map(len, classes)) > 4
    made = table("true \\ answer", *(f"{label if long else name}>" for label, name in enumerate(classes)))
    for label, row in enumerate(confusion.tolist()):
        cells = []
        for answer, count in enumerate(row):
            style = "bold green" if answer == label else "red" if count else "dim"
            cells.append(Text(f"{count:,}" if count else ".", style=style))
        made.add_row(f"{label} {classes[label]}" if long else classes[label], *cells)
    return made


def worst_pairs(confusion: "IntArray", classes: Sequence[str], count: int = 20) -> "Table":
    """Return the pairs of classes that were mistaken most often.

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
    made = table("true", "answer", "times>", "of>")
    for times, label, answer in sorted(pairs, key=lambda pair: -pair[0])[:count]:
        made.add_row(classes[label], classes[answer], f"{times:,}", f"{int(confusion[label].sum()):,}")
    return made
