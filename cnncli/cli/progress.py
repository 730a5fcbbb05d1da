"""Shows a training run while it runs: a table and bars on a terminal, elsewhere one line per epoch."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from cnncli.cli.console import err, four_decimals, note, percent, print_text

if TYPE_CHECKING:
    from cnncli.training.state import EpochRecord, StepRecord

LEGEND = "* the best epoch so far: a higher val acc, or the same one with a lower val loss"
SHORT_LEGEND = "* the best epoch so far"
COLUMNS = (
    ("epoch", 8, 0),
    ("train loss", 12, 3),
    ("train acc", 11, 2),
    ("val loss", 10, 3),
    ("val acc", 10, 0),
    ("lr", 10, 5),
    ("img/s", 9, 4),
    ("time", 9, 1),
)
"""The columns of the epochs: title, characters, and how early it is left out on a narrow terminal; 0 is never."""


def make_display(epochs: int, *, quiet: bool = False) -> "QuietDisplay":
    """Return the display that fits stderr: bars on a terminal, lines elsewhere, nothing with --quiet."""
    if quiet:
        return QuietDisplay()
    console = err()
    return BarDisplay(epochs) if console.is_terminal and not console.is_dumb_terminal else LineDisplay(epochs)


class QuietDisplay:
    """Shows nothing; the other displays override what they show."""

    def note(self, line: str) -> None:
        """Print a line that stays."""

    def step(self, record: "StepRecord") -> None:
        """Show one batch."""

    def epoch(self, record: "EpochRecord") -> None:
        """Show one epoch as a line that stays."""

    def stopping(self) -> None:
        """Show that the run will save and stop. A signal handler calls it, so it must not print."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


class LineDisplay(QuietDisplay):
    """Prints one plain line per epoch, easy to grep, for logs and pipes."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._speed: float | None = None  # of the steps of this epoch that are shown here
        self._began = time.monotonic()

    def note(self, line: str) -> None:
        note(line)

    def step(self, record: "StepRecord") -> None:
        self._speed = record.images_per_second

    def epoch(self, record: "EpochRecord") -> None:
        now = time.monotonic()
        words = [
            f"epoch {record.epoch}/{self._epochs}",
            f"train_loss={record.train_loss:.4f} train_accuracy={record.train_accuracy:.4f}",
        ]
        if record.val_loss is not None and record.val_accuracy is not None:
            words.append(f"val_loss={record.val_loss:.4f} val_accuracy={record.val_accuracy:.4f}")
        words.append(f"lr={record.lr:.3g}")
        if self._speed is not None:  # a resume may begin after the last step of an epoch
            words.append(f"images_per_second={self._speed:.0f}")
        words.append(f"seconds={now - self._began:.1f}")
        self._began, self._speed = now, None
        note(" ".join(words) + (" best" if record.best else ""))


class BarDisplay(QuietDisplay):
    """Prints a line per epoch, and below it two bars: the epochs, and the batches of this epoch."""

    def __init__(self, epochs: int) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._epochs = epochs
        self._speed: float | None = None  # of the steps of this epoch that are shown here
        self._began = time.monotonic()
        self._headed = False
        console = err()
        self._width = console.width
        self._columns = columns_for(console.width, epochs)
        bar = 24 if console.width >= 100 else 12 if console.width >= 80 else 0
        self._progress = Progress(
            TextColumn("{task.description:<10}", style="bold"),
            *([BarColumn(bar_width=bar)] if bar else []),
            TextColumn("{task.fields[count]}", justify="right"),
            *([TextColumn("ETA")] if console.width >= 60 else []),
            TimeRemainingColumn(compact=not bar),
            TextColumn("{task.fields[details]}"),
            console=console,
            refresh_per_second=5,
            transient=True,
        )
        self._all = self._progress.add_task("epochs", total=epochs, count=f"0/{epochs}", details="")
        self._one = self._progress.add_task("batches", total=None, count="", details="")

    def step(self, record: "StepRecord") -> None:
        self._speed = record.images_per_second
        done = record.epoch - 1 + record.step / record.steps
        self._progress.update(
            self._all,
            completed=done,
            count=f"{record.epoch}/{self._epochs}",
            details="" if self._speed is None else f"{self._speed:,.0f} img/s",
        )
        accuracy = f"  acc {percent(record.accuracy)}" if self._width >= 60 else ""
        rate = f"  lr {record.learning_rate:.2e}" if self._width >= 100 else ""
        self._progress.update(
            self._one,
            description="batches" if record.step < record.steps else "validating",
            total=record.steps,
            completed=record.step,
            count=f"{record.step}/{record.steps}",
            details=f"loss {record.loss:.4f}{accuracy}{rate}",
        )

    def epoch(self, record: "EpochRecord") -> None:
        now = time.monotonic()
        if not self._headed:
            legend = LEGEND if len(LEGEND) <= self._width else SHORT_LEGEND
            self._progress.console.print(legend, style="dim")
            titles = (f"{title:>{width}}" for title, width, _ in self._columns)
            self._progress.console.print("".join(titles) + " *", style="bold")
            self._headed = True
        cells = {
            "epoch": f"{record.epoch}/{self._epochs}",
            "train loss": f"{record.train_loss:.4f}",
            "train acc": percent(record.train_accuracy),
            "val loss": four_decimals(record.val_loss),
            "val acc": percent(record.val_accuracy),
            "lr": f"{record.lr:.2e}",
            "img/s": "-" if self._speed is None else f"{self._speed:,.0f}",
            "time": f"{now - self._began:.1f} s",
        }
        self._began, self._speed = now, None
        line = "".join(f"{cells[title]:>{width}}" for title, width, _ in self._columns)
        self._progress.console.print(
            line + (" *" if record.best else ""), style="green" if record.best else None
        )
        last = record.epoch == self._epochs
        self._progress.reset(
            self._one, description="testing" if last else "batches", total=None, count="", details=""
        )

    def note(self, line: str) -> None:
        print_text(self._progress.console, line)

    def stopping(self) -> None:
        self._progress.update(
            self._one, details="saving; once more ends it at once" if self._width >= 70 else "saving"
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()


def columns_for(width: int, epochs: int) -> list[tuple[str, int, int]]:
    """Return those of `COLUMNS` that fit into a terminal, with two characters for the star.

    Example:
        >>> [title for title, _, _ in columns_for(40, epochs=20)]
        ['epoch', 'train acc', 'val acc', 'time']
    """
    kept = [
        (title, max(size, 2 * len(f"{epochs}") + 2) if title == "epoch" else size, order)
        for title, size, order in COLUMNS
    ]
    while sum(size for _, size, _ in kept) + 2 > width and any(order for _, _, order in kept):
        kept.remove(max(kept, key=lambda column: column[2]))
    return kept


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Provide a function of (done, total) that moves a bar on a terminal; the bar is removed at the end."""
    console = err()
    if not console.is_terminal or console.is_dumb_terminal:
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = [BarColumn(24)] if console.width >= 60 else []
    columns = (TextColumn("{task.description}"), *bar, MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, refresh_per_second=5, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
