"""Runs and rows of metrics for tests, and a way to run code in another process."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import cnncli
from cnncli.runs import Run, create_run

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(cnncli.__file__).parents[1])}


def run_code(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python code in another process."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=ENVIRONMENT, text=True, capture_output=True, check=True)


def finished_run(runs_dir: Path, name: str | None = None, status: str = "done") -> Run:
    """Create a run that has all that a run can have."""
    run = create_run(runs_dir, name)
    run.config_path.write_text("seed: 1\n")
    run.best_path.write_bytes(b"weights")
    run.write_info(status=status)
    return run


def row(epoch: int, **changes: Any) -> dict[str, Any]:
    """A row of metrics.csv."""
    return {
        "epoch": epoch,
        "step": 430 * epoch,
        "time_s": 1.25 * epoch,
        "lr": 1e-3,
        "train_loss": 1 / 3,
        "train_accuracy": 0.9,
        "val_loss": np.float32(0.1),
        "val_accuracy": None,
        **changes,
    }
