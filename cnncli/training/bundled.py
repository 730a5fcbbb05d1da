"""The model that ships with the package: its file, its name, and how the outputs of a network are calibrated.

`make_bundled` makes the file.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnncli.errors import CheckpointError, RunError
from cnncli.runs import BUNDLED

BUNDLED_PATH = Path(__file__).parents[1] / f"{BUNDLED}.npz"
"""The checkpoint of the model."""


@dataclass(frozen=True)
class Calibration:
    """How the outputs of a network are turned into probabilities: `calibration` in a checkpoint.

    Attributes:
        temperature: divides the logits before the softmax; None if it was not fitted, which is 1.
        unknown_threshold: an input whose score is beyond it is of no class; None if it was not chosen.
    """

    temperature: float | None = None
    unknown_threshold: float | None = None


NOT_CALIBRATED = Calibration()


def bundled_path(text: str | Path, runs_dir: str | Path = "runs") -> Path | None:
    """Return the checkpoint of the bundled model if a user means that model by a name, else None.

    Raises:
        RunError: there is a run of that name, too.
    """
    if text != BUNDLED:
        return None
    if (Path(runs_dir) / BUNDLED).is_dir():
        folder = Path(runs_dir) / BUNDLED
        raise RunError(
            f"'{BUNDLED}' is the model that ships with cnncli, and there is a run {folder}, too",
            f"name the run by its path, {folder}{'' if folder.is_absolute() else ' with ./ before it'}; or rename it",
        )
    return BUNDLED_PATH


def read_calibration(meta: Mapping[str, Any]) -> Calibration:
    """Return the calibration that a checkpoint records; one without any if it has no such entry.

    Raises:
        CheckpointError: the entry is of another form.
    """
    recorded = meta.get("calibration")
    if recorded is None:
        return NOT_CALIBRATED
    fields = recorded if isinstance(recorded, dict) else {"": recorded}
    numbers = [value for value in fields.values() if value is not None]
    finite = all(type(value) in (int, float) and math.isfinite(value) for value in numbers)
    known = set(fields) <= {"temperature", "unknown_threshold"}
    temperature = fields.get("temperature")
    if not known or not finite or (temperature is not None and temperature <= 0):
        raise CheckpointError(f"its calibration is not one that this version knows: {recorded!r:.200}")
    return Calibration(**fields)
