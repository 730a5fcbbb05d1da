"""Makes tables that fit into the terminal: a narrow one leaves out the less important columns."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest
from typing import TYPE_CHECKING

from cnncli.cli.console import unicode_ok

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

GAP = 3
"""The columns of the terminal between two columns of a table."""

MIN_NAME = 6
"""The least columns of a name that is cut."""


def table(*columns: str, title: str | None = None, gap: int = GAP) -> "Table":
    """Return an empty table.

    Args:
        columns: their titles; a column whose title ends in '>' is aligned to the right.
        title: of the whole table.
        gap: between two columns: 1 or 3.

    Example:
        >>> table("layer", "parameters>").columns[1].justify
        'right'
    """
    from rich import box
    from rich.table import Table

    made = Table(
        box=box.SIMPLE_HEAD,
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        pad_edge=False,
        show_edge=False,
        padding=(0, gap // 2),
    )
    for column in columns:
        right = column.endswith(">")
        made.add_column(column.removesuffix(">"), justify="right" if right else "left", overflow="fold")
    return made


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: as for `table`.
        cells: the text of each row.
        rank: how early it is left out on a narrow terminal; 0 is never. Columns of one rank go together.
        least: the width in which its texts are still readable, in several lines; None for no line breaks.
        are_names: its texts may be cut in the middle, as those of the first column.
    """

    title: str
    cells: Sequence[str]
    rank: int = 0
    least: int | None = None
    are_names: bool = False

    @cached_property
    def width(self) -> int:
        """The columns of the terminal that it takes, at least."""
        texts = (self.title.rstrip(">"), *self.cells)
        widest = max(map(_widest_line, texts))
        return widest if self.least is None else min(widest, self.least)


def fitted_table(
    columns: Sequence[Column],
    console: "Console",
    *,
    title: str | None = None,
    styles: Sequence[str | None] = (),
    total: bool = False,
) -> "Table":
    """Return a table at most as wide as the console, in which no number is broken in two.

    First the less important columns are left out, then the gaps get smaller, at last names are cut in the middle.

    Args:
        columns: each with as many cells.
        console: where it will be printed.
        title: of the whole table.
        styles: of the rows, from the first on.
        total: draw a line above the last row, and print it bold.
    """
    kept, gap = _fit(columns, console)
    made = table(*(column.title for column in kept), title=title, gap=gap)
    for drawn, column in zip(made.columns, kept, strict=True):
        drawn.no_wrap = column.least is None
    rows = list(zip(*(column.cells for column in kept), strict=True))
    for row, style in zip_longest(rows[: len(rows) - total], styles):
        made.add_row(*row, style=style)
    if total:
        made.add_section()
        made.add_row(*rows[-1], style="bold")
    return made


def table_lines(columns: Sequence[Column], console: "Console") -> tuple[str, list[str]]:
    """Return the header and the rows of such a table as plain text; thousands of rows take a few milliseconds."""
    kept, gap = _fit(columns, console)
    aligned = []
    for column in kept:
        width, right = column.width, column.title.endswith(">")
        texts = (column.title.removesuffix(">"), *column.cells)
        aligned.append([_padded(text, width, right=right) for text in texts])
    header, *rows = [(" " * gap).join(row).rstrip() for row in zip(*aligned, strict=True)]
    return header, rows


def _widest_line(text: str) -> int:
    return max(map(_cells, text.split("\n"))) if "\n" in text else _cells(text)


def _cells(text: str) -> int:
    """Return how many columns of the terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _padded(text: str, width: int, *, right: bool) -> str:
    fill = " " * (width - _cells(text))
    return fill + text if right else text + fill


def _fit(columns: Sequence[Column], console: "Console") -> tuple[list[Column], int]:
    """Return the columns that fit into the console, with names cut where that is needed, and the gap between them."""
    kept, gap = list(columns), GAP

    def too_wide() -> int:
        return sum(column.width for column in kept) + gap * (len(kept) - 1) - console.width

    for rank in sorted({column.rank for column in columns} - {0}, reverse=True):
        if too_wide() > 0:
            kept = [column for column in kept if column.rank != rank]
    if too_wide() > 0:
        gap = 1
    if (excess := too_wide()) > 0:
        kept = _cut(kept, excess, "…" if unicode_ok(console.file) else "~")
    return kept, gap


def _cut(columns: Sequence[Column], excess: int, mark: str) -> list[Column]:
    """Return the columns with their names cut, the widest names first, until they take so much less in all."""
    from cnncli.cli.drawing import middle_cut  # imports NumPy, which the list of runs does without

    widths = {
        number: column.width for number, column in enumerate(columns) if column.are_names or number == 0
    }
    for _ in range(excess):
        widest = max(widths, key=lambda number: widths[number])
        widths[widest] = max(widths[widest] - 1, MIN_NAME)
    return [
        replace(column, cells=[middle_cut(name, widths[number], mark) for name in column.cells])
        if number in widths
        else column
        for number, column in enumerate(columns)
    ]
