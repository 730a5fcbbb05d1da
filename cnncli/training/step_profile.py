"""Where the time of a training's steps went: profile.json for programs, profile.txt for people."""

import json
from typing import Any

from cnncli.engine.profile import StepClock
from cnncli.runs import Run
from cnncli.storage import write_text_atomic
from cnncli.training.fit import TrainingState

PREPARING = "around the steps: first batches, weight averages"
BETWEEN = "validation, checkpoints, logs"


class StepProfile:
    """Takes the times of one part of a training: from here to `write`.

    Args:
        state: of the training, as it begins or goes on.
    """

    def __init__(self, state: TrainingState) -> None:
        self.clock = StepClock()
        self._state = state
        self._steps, self._seconds, self._elapsed = state.global_step, state.train_seconds, state.elapsed

    def document(self) -> dict[str, Any]:
        """Return what profile.json holds.

        Returns:
            steps: how many were measured.
            milliseconds: of one step, on average.
            between: milliseconds for each step that were spent outside of steps.
            rows: for each part of a step its name, "forward" or "backward" for layers, milliseconds and
                share of the step; the slowest first. The first worker's shard is the one that is looked at.
        """
        state = self._state
        steps = state.global_step - self._steps
        if steps == 0:
            return {"steps": 0, "milliseconds": 0.0, "between": 0.0, "rows": []}
        seconds = state.train_seconds - self._seconds
        parts = {**self.clock.seconds, (PREPARING, ""): max(0.0, seconds - sum(self.clock.seconds.values()))}
        both_ways = {what for what, way in parts if way == "backward"}  # layers, and nothing else
        rows = [
            {
                "what": what,
                "way": way if what in both_ways else "",
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
    width = max([len(BETWEEN), *(len(row["what"]) for row in document["rows"])])
    lines.append(f"{'':{width}}            ms a step    share")
    for row in document["rows"]:
        lines.append(
            f"{row['what']:{width}}  {row['way']:8}  {row['milliseconds']:9.3f}  {100 * row['share']:5.1f} %"
        )
    lines += ["", f"{BETWEEN:{width}}            {document['between']:9.3f}"]
    return "\n".join(lines) + "\n"
