"""Ends a sweep: the winner as a config, its accuracy on the test images, a table and pictures."""

import csv
import io
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnncli.config.load import load_config
from cnncli.config.yaml_writer import inline
from cnncli.runs import Group, Run
from cnncli.storage import write_text_atomic
from cnncli.sweep.definition import SweepDefinition, with_base
from cnncli.sweep.importance import importance
from cnncli.sweep.trial import DONE
from cnncli.sweep.trials import PRUNED, Trial, best_trial

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

BEST_FILE, TABLE_FILE = "best.yaml", "trials.csv"
IMPORTANCE_FILE, PARALLEL_FILE = "importance.png", "parallel.png"


@dataclass(frozen=True)
class SweepResult:
    """The result of a sweep.

    Attributes:
        group: its folder.
        trials: all of them.
        best: the winner; None if no trial is done.
        test_accuracy: of the winner; None without test images.
        importance: of each key that is varied.
        files: what was written.
    """

    group: Group
    trials: list[Trial]
    best: Trial | None
    test_accuracy: float | None
    importance: dict[str, float | None]
    files: list[Path] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the document of `cnn sweep --json`."""
        return {
            "sweep": self.group.name,
            "path": str(self.group.path),
            "status": self.group.status(),
            "best": self.best and self.best.name,
            "values": self.best.values if self.best else None,
            "val_accuracy": self.best and self.best.val_accuracy,
            "test_accuracy": self.test_accuracy,
            "importance": self.importance,
            "trials": [trial.to_json() for trial in self.trials],
            "files": [str(file) for file in self.files],
        }


def ranked(trials: list[Trial]) -> list[Trial]:
    """Return the trials, the best first, then those that were stopped early, then those without a result."""
    order = {DONE: 0, PRUNED: 1}
    return sorted(
        trials,
        key=lambda trial: (order.get(trial.state, 2), -(trial.val_accuracy or 0.0), trial.number),
    )


def finish_sweep(
    group: Group,
    definition: SweepDefinition,
    trials: list[Trial],
    *,
    plots: bool = True,
    on_batch: Callable[[int, int], None] = lambda done, count: None,
) -> SweepResult:
    """Measure the winner on the test images, unless that was done before, and write table, config and pictures.

    Args:
        group: the folder of the sweep.
        definition: of the sweep.
        trials: from `run_sweep`.
        plots: draw the pictures.
        on_batch: called after each batch of test images.

    Raises:
        CnnError: the winner cannot be measured.
        StorageError: a file cannot be written.
    """
    with group.lock():
        # the base as it was used, with a number of shards
        definition = with_base(definition, load_config(group.path / "config.yaml"))
        best = best_trial(trials)
        measured = [(trial.values, trial.val_accuracy) for trial in trials if trial.state == DONE]
        found = importance([(values, value) for values, value in measured if value is not None])
        files = [_write_table(group.path / TABLE_FILE, trials, definition.keys)]
        test = None
        if best is not None:
            test = _test(group, Run(group.path / best.name), on_batch)
            files.insert(0, _write_best(group, definition, best, len(trials)))
            group.write_info(test_accuracy=test, importance=found, values=best.values)
        if plots and best is not None:
            files += _draw(group, definition, trials, found)
        return SweepResult(group, trials, best, test, found, files)


def _test(group: Group, run: Run, on_batch: Callable[[int, int], None]) -> float | None:
    """Return the accuracy of the winner on the test images; it is measured once."""
    info = run.read_info()
    if info.get("tested"):
        return info.get("test_accuracy")
    if not info.get("test_images"):
        return None
    from cnncli.training.ensemble import measure_runs

    measured = measure_runs([str(run.path)], group.path, "test", on_batch=on_batch)
    measured.write(plots=False)
    accuracy = measured.evaluation.accuracy
    run.write_info(test_accuracy=accuracy, test_loss=measured.evaluation.loss, tested=True)
    return accuracy


def _write_best(group: Group, definition: SweepDefinition, best: Trial, count: int) -> Path:
    """Write the config of the winner, with a comment that says where it comes from."""
    path = group.path / BEST_FILE
    values = ", ".join(f"{key}={inline(value)}" for key, value in best.values.items())
    comment = (
        f"# The best of {count} trials of {group.name}: {best.name}.\n"
        f"# {values}\n"
        f"# {100 * (best.val_accuracy or 0.0):.2f} % of the validation images.\n"
    )
    write_text_atomic(path, comment + definition.config_of(best.values).to_yaml())
    return path


def _write_table(path: Path, trials: list[Trial], keys: list[str]) -> Path:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["trial", "state", *keys, "val_accuracy", "epochs", "seconds", "error"])
    for trial in trials:
        values = [_cell(trial.values.get(key)) for key in keys]
        figures = [trial.val_accuracy, trial.epochs, trial.seconds, trial.error]
        writer.writerow([trial.number, trial.state, *values, *figures])
    write_text_atomic(path, buffer.getvalue())
    return path


def _cell(value: object) -> object:
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else inline(value)


def _draw(
    group: Group, definition: SweepDefinition, trials: list[Trial], found: dict[str, float | None]
) -> list[Path]:
    """Draw the pictures of a sweep, and return those that could be drawn."""
    from cnncli.report import draw_importance, draw_parallel, save_png
    from cnncli.sweep.space import Range

    done = [trial for trial in trials if trial.state == DONE and trial.val_accuracy is not None]
    pruned = [trial for trial in trials if trial.state == PRUNED and trial.val_accuracy is not None]
    ranges = {key: space for key, space in definition.search.items() if isinstance(space, Range)}
    logs = {key for key, space in ranges.items() if space.log}
    even = set(definition.keys) - set(ranges)
    title = f"{group.name}: {len(done)} trials" + (f", and {len(pruned)} stopped early" if pruned else "")
    pairs = [(trial.values, trial.val_accuracy or 0.0) for trial in done]
    pictures: dict[str, Callable[[], Figure]] = {
        IMPORTANCE_FILE: lambda: draw_importance(found, title=title),
        PARALLEL_FILE: lambda: draw_parallel(
            pairs, definition.keys, even_keys=even, log_keys=logs, title=title
        ),
    }
    written = []
    for name, draw in pictures.items():
        try:
            written.append(save_png(draw(), group.path / name))
        except Exception as error:  # a picture is not worth the result
            log.warning("%s is not drawn: %s", group.path / name, error)
    return written
