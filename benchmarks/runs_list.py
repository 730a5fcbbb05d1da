"""How long does `cnn runs` take for 2,000 runs, as a whole process, beside `cnn --help`?

python benchmarks/runs_list.py
"""

import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from arena import arguments, save
from processes import wall

CNN = [sys.executable, "-m", "cnncli"]
COUNT = 2000


def main() -> None:
    """Measure, print, and write results/runs_list.json."""
    options = arguments(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        make_runs(Path(folder))
        commands = {
            "cnn --help": [*CNN, "--help"],
            "cnn runs": [*CNN, "runs"],
            "cnn runs --sort val -n 10": [*CNN, "runs", "--sort", "val", "-n", "10"],
            "cnn runs --json": [*CNN, "runs", "--json"],
        }
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(options.rounds + 1):
            for name, command in commands.items():
                seconds[name].append(wall(command, cwd=folder))
    # The first run of each only warms the disk cache.
    table = {name: round(statistics.median(times[1:]), 3) for name, times in seconds.items()}
    base = table["cnn --help"]
    print(f"\nwhole processes, {COUNT:,} runs, warm disk")
    for name, value in table.items():
        print(f"  {name:28s} {value:6.3f} s   {value / base:.1f} times `cnn --help`")
    if not options.no_save:
        save("runs_list", {"rounds": options.rounds, "runs": COUNT, "seconds": table})


def make_runs(folder: Path) -> None:
    """Train one run, and copy it; without the checkpoints' content, which `cnn runs` does not read."""
    train = ["train", "--config", "synthetic.yaml", "--epochs", "1", "-q", "--set", "data.limit=500"]
    wall([*CNN, *train, "--set", "data.validation=100", "--name", "run-0"], cwd=str(folder))
    first = folder / "runs" / "run-0"
    for checkpoint in (first / "checkpoints").iterdir():
        checkpoint.write_bytes(b"")
    for picture in first.rglob("*.png"):
        picture.write_bytes(b"")
    for number in range(1, COUNT):
        shutil.copytree(first, folder / "runs" / f"run-{number}")


if __name__ == "__main__":
    main()
