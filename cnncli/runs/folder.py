"""Knows the files of a run folder, and reads and writes its run.json."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnncli import locks
from cnncli.errors import RunError, StorageError
from cnncli.runs.machine import is_alive, process_identity
from cnncli.runs.metrics_file import Row, append_row, read_rows, rewrite_rows
from cnncli.storage import remove_abandoned, storing, write_text_atomic

STATUSES = ("running", "done", "failed", "interrupted")
KILLED = "interrupted (killed)"
"""The status of a run whose run.json says "running" while its process no longer exists."""

CONTENTS = ("run.json", "config.yaml", "checkpoint")
"""What a complete run folder has."""

_MAX_INFO_BYTES = 4 << 20


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
        with storing(self.info_path, "read"):
            try:
                with open(self.info_path, "rb") as file:
                    text = file.read(_MAX_INFO_BYTES)
            except FileNotFoundError:
                return {}
        try:
            info = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RunError(f"{self.info_path} is damaged: {error}") from error
        if not isinstance(info, dict):
            raise RunError(f"{self.info_path} is damaged: it is not a JSON object")
        return info

    def write_info(self, **fields: Any) -> dict[str, Any]:
        """Set fields of run.json, keep the others, and return them all.

        With status="running" the identity of this process is stored too, so that `status` can tell when it was killed.

        Raises:
            StorageError: the file cannot be written, for example on a full disk; it is unchanged.
        """
        info = {**self.read_info(), **fields}
        if "status" in fields:
            info.pop("process", None)
            if fields["status"] == "running":
                info["process"] = process_identity()
        text = json.dumps(info, indent=2, ensure_ascii=False, default=_to_json_value)
        write_text_atomic(self.info_path, text.encode("utf-8", errors="replace").decode() + "\n")
        return info

    def status(self) -> str:
        """Return running, done, failed, interrupted, "interrupted (killed)", or unknown."""
        try:
            info = self.read_info()
        except (RunError, StorageError):
            return "unknown"
        status = info.get("status")
        if status not in STATUSES:
            return "unknown"
        process = info.get("process")
        if status == "running" and isinstance(process, dict) and not is_alive(process):
            return KILLED
        return str(status)

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
            RunError: another process trains it; the message names the process.
        """
        path = self.path / ".lock"
        try:
            with storing(path):
                held = locks.hold(path)
        except locks.HeldError as error:
            raise RunError(
                f"{self.name} is being trained by {error}",
                "wait for it, stop it, or start a run of another name",
            ) from error
        try:
            remove_abandoned(self.path)
            remove_abandoned(self.checkpoints)
            yield
        finally:
            locks.release(held)

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


def _to_json_value(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"a {type(value).__name__} is not a JSON value")
