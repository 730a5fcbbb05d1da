"""Makes a report on a run and writes it where it belongs."""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from cnncli.storage import refuse_to_overwrite, write_text_atomic
from cnncli.training.ensemble import SplitName
from cnncli.web.report.collect import Findings, collect
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


def report_on(
    name: str,
    runs_dir: str | Path = "runs",
    output: Path | None = None,
    split: SplitName | None = None,
    *,
    dataset: str | None = None,
    checkpoint: Literal["best", "last"] = "best",
    data_dir: str | Path | None = None,
    on_batch: Callable[[int, int], None] | None = None,
    notify: Callable[[str], None] = lambda text: None,
) -> Report:
    """Measure a run, look into its network, and write one HTML file about it.

    Args:
        name: a run or a checkpoint file.
        output: the file; None for report.html in the run's folder, or in the working folder if there is no run.
        runs_dir, split, dataset, checkpoint, data_dir, on_batch, notify: as for `measure_runs`.

    Raises:
        RunError, CheckpointError, DataError, UsageError: as `measure_runs` does.
        StorageError: the file cannot be written.
    """
    if output is not None and dataset is not None:
        from cnncli.data.load import files_of

        refuse_to_overwrite(output, files_of(dataset, Path(data_dir or "data")))
    found = collect(
        name,
        runs_dir,
        split,
        dataset=dataset,
        checkpoint=checkpoint,
        data_dir=data_dir,
        on_batch=on_batch,
        notify=notify,
    )
    path = output or default_path(found, [part for part in (dataset, split) if part])
    text = make_page(found)
    write_text_atomic(path, text)
    document = found.measured.document
    return Report(
        **{key: document[key] for key in ("run", "checkpoint", "dataset", "split", "count", "accuracy")},
        wrong=len(found.mistakes),
        path=str(path),
        bytes=len(text.encode("utf-8")),
    )


def default_path(found: Findings, parts: list[str]) -> Path:
    """Return where a report is written if the user names no file.

    Args:
        found: what it is about.
        parts: what it was measured on, where that is not the test set of the training.
    """
    if found.model.checkpoint == "last":
        parts = [*parts, "last"]
    name = "-".join(["report", *(re.sub(r"[^\w.-]+", "-", part).strip("-.") or "set" for part in parts)])
    if found.run is not None:
        return found.run.path / f"{name}.html"
    return Path(f"{found.model.name}-{name}.html")
