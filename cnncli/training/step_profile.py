"""Measures where the time of training steps goes: profile.json for programs, profile.txt for people."""

import json
from typing import Any

from cnncli.engine.profile import StepClock
from cnncli.runs import Run
from cnncli.storage import write_text_atomic
from cnncli.training.state import TrainingState

_OTHER_PARTS = "other parts: first batches, weight averages"
"""The time within steps that no kernel accounts for."""

_OUTSIDE_STEPS = "validation, checkpoints, logs"
"""The time between the steps."""


class StepProfile:
    """Measures the steps from its creation to `write`.

    Args:
        state: of the training run, at its start or resume.
    """

    def __init__(self, state: TrainingState) -> None:
        self.clock = StepClock()
        self._state = state
        self._steps, self._seconds, self._elapsed = state.global_step, state.train_seconds, state.elapsed

    def document(self) -> dict[str, Any]:
        """Return what profile.json holds.

        Returns:
            steps: how many were measured.
            milliseconds: per step, on average.
            between: milliseconds outside the steps, per step.
            rows: for each part of a step its name, "forward" or "backward" for layers, milliseconds and
                share of the step; the slowest first. Only the first worker's shard is measured.
        """
        state = self._state
        steps = state.global_step - self._steps
        if steps == 0:
            return {"steps": 0, "milliseconds": 0.0, "between": 0.0, "rows": []}
        seconds = state.train_seconds - self._seconds
        parts = {
            **self.clock.seconds,
            (_OTHER_PARTS, ""): max(0.0, seconds - sum(self.clock.seconds.values())),
        }
        layers = {what for what, way in parts if way == "backward"}  # only layers have a backward pass
        rows = [
            {
                "what": what,
                "way": way if what in layers else "",
                "milliseconds": 1000 * spent / steps,
                "share": spent / seconds,
            }
            for (what, way), spent in sorted(parts.items(), key=lambda part: -part[1])
        ]
        between = max(0.0, state.elapsed - self._elapsed - seconds)
        return {
            "steps": steps,
            "milliseconds": 1000 * seconds / steps,
            "between": 1000 * between / steps,
            "rows": rows,
        }

    def write(self, run: Run) -> None:
        """Write both files into the run folder.

        Raises:
            StorageError: they cannot be written.
        """
        document = self.document()
        write_text_atomic(run.path / "profile.json", json.dumps(document, indent=2) + "\n")
        write_text_atomic(run.path / "profile.txt", profile_table(document))


def profile_table(document: dict[str, Any]) -> str:
    """Return a profile as lines of text."""
    lines = [f"{document['steps']:,} steps of {document['milliseconds']:.2f} ms", ""]
    width = max([len(_OUTSIDE_STEPS), *(len(row["what"]) for row in document["rows"])])
    lines.append(f"{'':{width}}          ms per step    share")
    for row in document["rows"]:
        lines.append(
            f"{row['what']:{width}}  {row['way']:8}  {row['milliseconds']:9.3f}  {100 * row['share']:5.1f} %"
        )
    lines += ["", f"{_OUTSIDE_STEPS:{width}}            {document['between']:9.3f}"]
    return "\n".join(lines) + "\n"
