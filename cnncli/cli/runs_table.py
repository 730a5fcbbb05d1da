"""Prints the list of runs as a table or as CSV."""

import csv
import io
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cnncli.cli.console import note, out, percent, print_text
from cnncli.cli.tables import Column, table_lines
from cnncli.runs.selection import folder_names

if TYPE_CHECKING:
    from cnncli.runs.listing import Listed

SIZE_FROM = 110
"""With fewer columns than this the sizes are not measured, because they would not fit."""

MOST_SIZES = 500
"""In a longer list the sizes are left out, because to measure them takes as long as all else together."""


def print_list(listed: "Sequence[Listed]", found: int, runs_dir: Path) -> None:
    """Print runs as a table, and on stderr what is broken."""
    if not listed:
        text = f"there are no runs in {runs_dir}; train one: cnn train"
        print_text(out(), "no run meets these conditions" if found or folder_names(runs_dir) else text)
        return
    console = out()
    header, rows = table_lines(columns_of(listed, console.width), console)
    console.print(header, style="bold", soft_wrap=True)
    sys.stdout.write("\n".join(rows) + "\n")
    if len(listed) < found:
        note(f"{len(listed)} of {found}")
    broken = [each for each in listed if each.status == "broken"]
    for each in broken[:5]:
        note(f"{each.name}: {each.problem}", style="dim")
    if len(broken) > 5:
        note(f"and {len(broken) - 5} more are broken: cnn runs --status broken --json", style="dim")


def columns_of(listed: "Sequence[Listed]", width: int) -> list[Column]:
    """Return the columns of the list for a terminal of some columns."""
    from cnncli.cli.layer_table import memory

    cells: dict[str, list[str]] = {
        "name": [each.name + ("/" if each.kind != "run" else "") for each in listed],
        "config": [each.config or "-" for each in listed],
        "status": [each.status for each in listed],
        "epochs": [_epochs(each) for each in listed],
        "val>": [_accuracy(each.val_accuracy, each.val_std) for each in listed],
        "test>": [_accuracy(each.test_accuracy, each.test_std) for each in listed],
        "time>": [duration(each.seconds) for each in listed],
        "when": [when(each.created) for each in listed],
    }
    if width >= SIZE_FROM and len(listed) <= MOST_SIZES:
        cells["size>"] = [memory(each.bytes) for each in listed]
    ranks = {"config": 5, "epochs": 2, "time>": 3, "size>": 6, "when": 4, "test>": 1}
    return [
        Column(title, texts, ranks.get(title, 0), are_names=title == "config")
        for title, texts in cells.items()
    ]


def duration(seconds: float | None) -> str:
    """Return a time as people say it.

    Example:
        >>> duration(4.26), duration(75), duration(7325)
        ('4.3 s', '1:15 min', '2:02 h')
    """
    if seconds is None:
        return "-"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02} h"


def when(moment: datetime | None) -> str:
    """Return a moment in the time zone of the machine."""
    if moment is None:
        return "-"
    try:
        return moment.astimezone().strftime("%Y-%m-%d %H:%M")
    except (OverflowError, OSError, ValueError):  # at the ends of the calendar
        return "-"


def write_csv(listed: "Sequence[Listed]", file: str) -> None:
    """Write runs as CSV into a file, or on stdout if it is called -."""
    from cnncli.runs.listing import Listed
    from cnncli.storage import write_text_atomic

    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [*Listed.__dataclass_fields__, "bytes"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(each.to_json() for each in listed)
    if file == "-":
        sys.stdout.write(buffer.getvalue())
        return
    write_text_atomic(file, buffer.getvalue())
    note(f"wrote {file}, {len(listed)} runs")


def _epochs(each: "Listed") -> str:
    if each.members is not None:
        return f"{each.members} runs"
    if each.epochs is None:
        return "-"
    return f"{each.epochs}/{each.epochs_wanted}" if each.epochs_wanted else str(each.epochs)


def _accuracy(mean: float | None, std: float | None) -> str:
    if mean is None or std is None:
        return percent(mean)
    return f"{100 * mean:.2f} ± {100 * std:.2f} %"
