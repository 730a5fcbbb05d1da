"""Prints what differs between runs: a column for each run, in several tables where they do not fit side by side."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from cnncli.cli.console import four_decimals, out, percent, unicode_ok
from cnncli.cli.tables import GAP, Column, table_lines

if TYPE_CHECKING:
    from rich.console import Console

    from cnncli.runs.compare import Comparison

STEPS = "▁▂▃▄▅▆▇█"
"""The heights of a small curve."""

CURVE_WIDTH = 16
"""The most epochs that a small curve shows one by one; more are put together."""

MOST_VALUE = 28
"""The widest value of a config in the table."""

NAMES = {
    "val_accuracy": "validation",
    "val_loss": "validation loss",
    "test_accuracy": "test",
    "test_loss": "test loss",
    "best_epoch": "best epoch",
}


def print_comparison(found: "Comparison") -> None:
    """Print the figures of all runs and the keys of their configs that differ."""
    console = out()
    rows = [
        (NAMES.get(key, key), [_figure(key, value) for value in values])
        for key, values in found.metrics.items()
    ]
    if (curves := _curves(found)) and unicode_ok(console.file):
        rows.append(("curve", curves))
    _print_columns(found.names, rows, console)
    console.print()
    if not found.config:
        console.print("their configs are the same")
        return
    keys = [(key, [_value(value) for value in values]) for key, values in found.config.items()]
    _print_columns(found.names, keys, console)


def _print_columns(names: Sequence[str], rows: Sequence[tuple[str, list[str]]], console: "Console") -> None:
    titles = [title for title, _ in rows]
    columns = [
        Column(name, [values[at] for _, values in rows], are_names=True) for at, name in enumerate(names)
    ]
    first = Column("", titles)
    for number, part in enumerate(_parts(columns, console.width - first.width)):
        if number:
            console.print()
        header, lines = table_lines([first, *part], console)
        console.print(header, style="bold", soft_wrap=True)
        for line in lines:
            console.print(line, soft_wrap=True)


def _parts(columns: Sequence[Column], width: int) -> Iterable[list[Column]]:
    """Yield the columns in parts that fit side by side, each of one column at least."""
    part: list[Column] = []
    left = width
    for column in columns:
        if part and left < GAP + column.width:
            yield part
            part, left = [], width
        part.append(column)
        left -= GAP + column.width
    yield part


def _figure(key: str, value: Any) -> str:
    if value is None:
        return "-"
    if key.endswith("accuracy"):
        return percent(value)
    if key.endswith("loss"):
        return four_decimals(value)
    if key == "seconds":
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _value(value: object) -> str:
    from cnncli.config.yaml_writer import inline

    text = "(none)" if value == "-" else inline(value)
    return text if len(text) <= MOST_VALUE else f"{text[: MOST_VALUE - 3]}..."


def _curves(found: "Comparison") -> list[str]:
    """Return the validation accuracy of each run as a small curve, all on one scale; [] when no run has two epochs.

    The heights are those of the log of the error, so that the last percent can be seen.
    """
    heights = []
    for rows in found.curves:
        accuracies = [row["val_accuracy"] for row in rows]
        values = [
            -math.log(max(1.0002 - value, 0.0002))
            for value in accuracies
            if value is not None and math.isfinite(value)
        ]
        heights.append(_shortened(values))
    every = [height for values in heights for height in values]
    if max(map(len, heights), default=0) < 2:
        return []
    low, high = min(every), max(every)
    return ["".join(_step(height, low, high) for height in values) or "-" for values in heights]


def _step(height: float, low: float, high: float) -> str:
    return STEPS[round((height - low) / (high - low) * (len(STEPS) - 1)) if high > low else 0]


def _shortened(values: Sequence[float]) -> list[float]:
    """Return at most CURVE_WIDTH values, each the mean of its neighbors."""
    count = min(len(values), CURVE_WIDTH)
    bounds = [round(at * len(values) / count) for at in range(count + 1)] if count else []
    return [sum(values[low:high]) / (high - low) for low, high in pairwise(bounds)]
