"""Tries to break the program, for a long time, with real faults.

    python -m tests.faults                    everything, about half an hour
    python -m tests.faults --only kill_points pictures
    python -m tests.faults --scale 0.01       a hundredth of it, to see that it runs
    python -m tests.faults --write            and put the table into docs/reliability.md

Ends with exit code 1 when anything was lost.
"""

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

from . import data_files, inputs, places, training_runs
from .outcome import Outcome

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- table: python -m tests.faults --write -->", "<!-- end of table -->"

CAMPAIGN: dict[str, tuple[Callable[[Path, int], Outcome], int]] = {
    "kill_points": (training_runs.kill_points, 200),
    "killed_processes": (training_runs.killed_processes, 90),
    "signals": (training_runs.signals, 60),
    "second_signals": (training_runs.second_signals, 10),
    "many_starts": (training_runs.many_starts, 50),
    "evaluations_meanwhile": (training_runs.evaluations_meanwhile, 30),
    "full_disks": (places.full_disks, 40),
    "cut_downloads": (places.cut_downloads, 50),
    "lying_mirrors": (places.lying_mirrors, 20),
    "eight_at_once": (places.eight_at_once, 5),
    "configs": (inputs.configs, 20_000),
    "checkpoints": (inputs.checkpoints, 100_000),
    "idx_files": (inputs.idx_files, 20_000),
    "pictures": (inputs.pictures, 20_000),
    "bombs": (inputs.bombs, 10),
    "data_files": (data_files.data_files, 160_000),
    "data_bombs": (data_files.data_bombs, 5),
}
"""Each fault with the number of tries at scale 1."""


def table(outcomes: list[Outcome], minutes: float) -> str:
    """Return the outcomes as a table in Markdown."""
    lines = ["| fault | tried | result | lost |", "|---|---|---|---|"]
    for one in outcomes:
        lines.append(f"| {one.fault} | {one.tried:,} | {one.came_to} | {'; '.join(one.lost) or 'nothing'} |")
    made = f"{date.today().isoformat()}, Python {platform.python_version()} on {platform.system()}"
    return "\n".join([*lines, "", f"Made on {made}, in {minutes:.0f} minutes."])


def main() -> int:
    """Run the campaign and print what each fault led to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=CAMPAIGN, metavar="FAULT", help=", ".join(CAMPAIGN))
    parser.add_argument("--scale", type=float, default=1.0, help="how much of it")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    options = parser.parse_args()
    outcomes, began = [], time.monotonic()
    for name in options.only or CAMPAIGN:
        attempt, count = CAMPAIGN[name]
        with tempfile.TemporaryDirectory(prefix="cnn-faults-") as folder:
            start = time.monotonic()
            outcome = attempt(Path(folder), max(1, round(count * options.scale)))
        outcomes.append(outcome)
        what = f"LOST: {'; '.join(outcome.lost)}" if outcome.lost else outcome.came_to
        print(f"{name}: {outcome.tried:,} in {time.monotonic() - start:.0f} s: {what}", flush=True)
    text = table(outcomes, (time.monotonic() - began) / 60)
    print(f"\n{text}")
    if options.write:
        page = PAGE.read_text(encoding="utf-8")
        before, rest = page.split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")
    return int(any(outcome.lost for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
