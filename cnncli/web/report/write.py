"""Writes a report on a run where it belongs."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cnncli.storage import write_text_atomic
from cnncli.web.report.collect import Findings
from cnncli.web.report.page import make_page


@dataclass(frozen=True)
class Report:
    """A report that was written: the document of `cnn report --json`.

    Attributes:
        run, checkpoint, dataset, split: what was measured, and on what.
        count: the number of images.
        accuracy: the share of them that is right.
        wrong: how many are not.
        path: the file.
        bytes: its size.
    """

    run: str
    checkpoint: str
    dataset: str
    split: str
    count: int
    accuracy: float
    wrong: int
    path: str
    bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return the document as a dict."""
        return asdict(self)


def write_report(found: Findings, output: Path | None = None) -> Report:
    """Write one HTML file about a run.

    Args:
        found: from `collect`.
        output: the file; None for report.html in the run's folder, or in the working folder if there is no run.

    Raises:
        StorageError: the file cannot be written.
    """
    path = output or default_path(found)
    text = make_page(found)
    write_text_atomic(path, text)
    document = found.measured.document
    return Report(
        **{key: document[key] for key in ("run", "checkpoint", "dataset", "split", "count", "accuracy")},
        wrong=len(found.mistakes),
        path=str(path),
        bytes=len(text.encode("utf-8")),
    )


def default_path(found: Findings) -> Path:
    """Return where a report is written if the user names no file: its name has what was asked for."""
    asked = ["last"] if found.model.checkpoint == "last" else []
    parts = (re.sub(r"[^\w.-]+", "-", part).strip("-.") or "set" for part in [*found.asked, *asked])
    name = "-".join(["report", *parts])
    if found.run is not None:
        return found.run.path / f"{name}.html"
    return Path(f"{found.model.name}-{name}.html")
