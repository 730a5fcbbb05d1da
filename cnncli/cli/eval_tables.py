"""The tables that `cnn eval` prints: the classes, the confusion matrix, and the pairs that are confused most often."""

from collections.abc import Sequence
from statistics import mean
from typing import TYPE_CHECKING

from cnncli.cli.console import percent
from cnncli.cli.tables import GAP, Column, fitted_table, table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from cnncli.training.evaluate import Evaluation
    from cnncli.types import IntArray

MAX_CLASSES = 20
"""With more classes than this the matrix is too wide for a terminal; the worst pairs are listed instead."""


def fits(made: "Table", console: "Console") -> bool:
    """Tell whether the console is wide enough for a table without folded cells."""
    unlimited = console.options.update(max_width=10_000)
    return console.measure(made, options=unlimited).maximum <= console.width


def class_table(evaluation: "Evaluation", classes: Sequence[str], console: "Console") -> "Table":
    """Return a table with precision, recall and F1 of each class, and their averages over the classes.

    On a narrow console the sign % stands once above the table.

    Args:
        evaluation: what was measured.
        classes: the K names.
        console: where it will be printed.
    """
    *each_class, images = zip(*evaluation.per_class, strict=True)
    shares = [[percent(value) for value in (*values, mean(values))] for values in each_class]

    def columns() -> list[Column]:
        return [
            Column("class", [*classes, "average"]),
            *(
                Column(title, cells)
                for title, cells in zip(("precision>", "recall>", "F1>"), shares, strict=True)
            ),
            Column("images>", [f"{count:,}" for count in (*images, evaluation.count)]),
        ]

    units = sum(column.width + GAP for column in columns()) - GAP <= console.width
    if not units:
        shares = [[cell.removesuffix(" %") for cell in cells] for cells in shares]
    return fitted_table(columns(), console, title=None if units else "in percent", total=True)


def matrix_that_fits(confusion: "IntArray", classes: Sequence[str], console: "Console") -> "Table":
    """Return the confusion matrix with as much space as the console has, or the worst pairs if it is too wide."""
    if len(classes) <= MAX_CLASSES:
        for gap, grouped in ((1, True), (0, True), (0, False)):
            made = confusion_table(confusion, classes, gap=gap, grouped=grouped)
            if fits(made, console):
                return made
    return worst_pairs(confusion, classes, console)


def confusion_table(
    confusion: "IntArray", classes: Sequence[str], *, gap: int = 1, grouped: bool = True
) -> "Table":
    """Return a table with a row for each true class and a column for each predicted one, all of the same width.

    Args:
        confusion: (K, K).
        classes: the K names; if one is long, the columns are numbered.
        gap: spaces to the left and right of each column, besides one between columns.
        grouped: write 1129 as 1,129.
    """
    from rich.text import Text

    long = max(map(len, classes)) > 4
    heads = [str(label) if long else name for label, name in enumerate(classes)]
    made = table("true \\ predicted" if gap else "true", *(f"{head}>" for head in heads))
    made.padding = (0, gap, 0, gap)
    cells = [
        [f"{count:{',' if grouped else ''}}" if count else "." for count in row] for row in confusion.tolist()
    ]
    for column in made.columns[1:]:
        column.min_width = max(map(len, [*heads, *(cell for row in cells for cell in row)]))
    for label, row in enumerate(cells):
        texts = [
            Text(cell, style="bold green" if answer == label else "dim" if cell == "." else "red")
            for answer, cell in enumerate(row)
        ]
        made.add_row(f"{label} {classes[label]}" if long else classes[label], *texts)
    return made


def confused_pairs(confusion: "IntArray") -> list[tuple[int, int, int]]:
    """Return how often, true class and predicted class of each pair that was confused, the most frequent first.

    Args:
        confusion: (K, K).
    """
    pairs = [
        (times, label, answer)
        for label, row in enumerate(confusion.tolist())
        for answer, times in enumerate(row)
        if times and label != answer
    ]
    return sorted(pairs, key=lambda pair: -pair[0])


def worst_pairs(
    confusion: "IntArray", classes: Sequence[str], console: "Console", count: int = 20
) -> "Table":
    """Return a table of the pairs of classes that were confused most often.

    Args:
        confusion: (K, K).
        classes: the K names.
        console: where it will be printed.
        count: how many at most.
    """
    pairs = confused_pairs(confusion)[:count]
    return fitted_table(
        [
            Column("true", [classes[label] for _, label, _ in pairs], are_names=True),
            Column("predicted", [classes[answer] for _, _, answer in pairs], are_names=True),
            Column("times>", [f"{times:,}" for times, _, _ in pairs]),
            Column("of>", [f"{int(confusion[label].sum()):,}" for _, label, _ in pairs]),
        ],
        console,
    )
