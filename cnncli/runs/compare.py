"""Compares runs: the keys of their configs and the figures that differ, and their curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnncli.errors import RunError, StorageError
from cnncli.runs.config_values import read_config_values
from cnncli.runs.listing import look_at
from cnncli.runs.metrics_file import Row, read_rows

METRICS = (
    "status",
    "epochs",
    "best_epoch",
    "val_accuracy",
    "val_loss",
    "test_accuracy",
    "test_loss",
    "seconds",
    "parameters",
)
"""The figures that are compared."""

MISSING = "-"
"""The value of a key that a config does not have."""


@dataclass(frozen=True)
class Comparison:
    """Several runs side by side.

    Attributes:
        names: of the runs.
        config: each key that differs, with its value in each run.
        metrics: each of METRICS that some run has, with its value in each run.
        curves: the rows of each metrics.csv.
        problems: what could not be read.
    """

    names: list[str]
    config: dict[str, list[object]]
    metrics: dict[str, list[Any]]
    curves: list[list[Row]]
    problems: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return it as values of JSON."""
        return {
            "runs": self.names,
            "config": self.config,
            "metrics": self.metrics,
            "curves": dict(zip(self.names, self.curves, strict=True)),
            "problems": self.problems,
        }


def compare_runs(folders: Mapping[str, Path]) -> Comparison:
    """Return what differs between runs.

    Args:
        folders: the folder of each run, by its name.
    """
    problems: list[str] = []
    configs: list[dict[str, object]] = []
    curves: list[list[Row]] = []
    for folder in folders.values():
        try:
            configs.append(read_config_values(folder / "config.yaml"))
        except (RunError, StorageError) as error:
            problems.append(error.message)
            configs.append({})
        try:
            curves.append(read_rows(folder / "metrics.csv"))
        except (RunError, StorageError) as error:
            problems.append(error.message)
            curves.append([])
    listed = [look_at(folder, name) for name, folder in folders.items()]
    metrics = {key: [getattr(each, key) for each in listed] for key in METRICS}
    return Comparison(
        list(folders),
        _differing(configs),
        {key: values for key, values in metrics.items() if any(value is not None for value in values)},
        curves,
        problems,
    )


def _differing(configs: Sequence[Mapping[str, object]]) -> dict[str, list[object]]:
    """Return the keys whose values differ; a layer is compared with the layer of the same position."""
    keys = dict.fromkeys(key for config in configs for key in config)
    rows = {key: [config.get(key, MISSING) for config in configs] for key in keys}
    return {key: values for key, values in rows.items() if any(value != values[0] for value in values)}
