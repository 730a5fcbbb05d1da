"""Knows the files of a run folder, and reads and writes its run.json."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnncli.errors import RunError, StorageError
from cnncli.runs.holding import hold_folder
from cnncli.runs.info import UNKNOWN, read_info, status_of, write_info
from cnncli.runs.metrics_file import Row, append_row, read_rows, rewrite_rows
from cnncli.storage import remove_abandoned

CONTENTS = ("run.json", "config.yaml", "checkpoint")
"""What a complete run folder has."""


@dataclass(unsafe_hash=True)
class Run:
    """A run folder and the paths of its files.

    Args:
        path: the folder.
    """

    path: Path

    def __post_init__(self) -> None:
        self.config_path = self.path / "config.yaml"
        self.info_path = self.path / "run.json"
        self.metrics_path = self.path / "metrics.csv"
        self.curves_path = self.path / "curves.png"
        self.checkpoints = self.path / "checkpoints"
        self.best_path, self.last_path = self.checkpoints / "best.npz", self.checkpoints / "last.npz"
        self.eval_dir = self.path / "eval"

    @property
    def name(self) -> str:
        return self.path.resolve().name

    def read_info(self) -> dict[str, Any]:
        """Return the content of run.json, {} when there is no such file.

        Raises:
            RunError: it is not a JSON object.
        """
        return read_info(self.info_path)

    def write_info(self, **fields: Any) -> dict[str, Any]:
        """Set fields of run.json, keep the others, and return them all.

        With status="running" the identity of this process is stored too, so that `status` can tell when it was killed.

        Raises:
            StorageError: the file cannot be written, for example on a full disk; it is unchanged.
        """
        return write_info(self.info_path, **fields)

    def status(self) -> str:
        """Return running, done, failed, interrupted, "interrupted (killed)", or unknown."""
        try:
            return status_of(self.read_info())
        except (RunError, StorageError):
            return UNKNOWN

    def missing(self, needed: Iterable[str] = CONTENTS) -> list[str]:
        """Return the missing items, named as in CONTENTS."""
        present = {
            "run.json": self.info_path.is_file(),
            "config.yaml": self.config_path.is_file(),
            "checkpoint": self.best_path.is_file() or self.last_path.is_file(),
        }
        return [name for name in needed if not present[name]]

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Prevent other processes from training this run during a `with` block.

        Raises:
            RunBusyError: another process trains it; the message names the process.
        """
        with hold_folder(self.path):
            remove_abandoned(self.checkpoints)
            yield

    def read_metrics(self) -> list[Row]:
        """Return the rows of metrics.csv, [] when there is no such file; raises RunError."""
        return read_rows(self.metrics_path)

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        """Add one epoch to metrics.csv and flush it; raises StorageError."""
        append_row(self.metrics_path, row)

    def rewrite_metrics(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Replace all rows of metrics.csv in one atomic write; raises StorageError."""
        rewrite_rows(self.metrics_path, rows)

    def clear(self) -> None:
        """Remove the files of an earlier run of this name; other files in the folder stay."""
        own = (self.info_path, self.config_path, self.metrics_path, self.curves_path)
        for path in (*own, self.best_path, self.last_path):
            path.unlink(missing_ok=True)
        for path in self.eval_dir.glob("*"):
            if path.suffix in (".json", ".png", ".csv"):
                path.unlink()
