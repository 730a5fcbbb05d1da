"""How long does the one-epoch recipe take from the prompt to the test accuracy, compared with the same in PyTorch?

CNNCLI_TEST_MNIST=... python benchmarks/speedrun.py [--seeds 10]

Each seed is a whole process of each contestant, in turns. So starting Python, importing and reading MNIST count.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from arena import HERE, save

CONTESTANTS = ("cnncli", "PyTorch channels_last", "PyTorch eager")


def command(name: str, mnist: str, seed: int) -> list[str]:
    """Return the command of one contestant."""
    if name == "cnncli":
        run = ["train", "--config", "speedrun", "--no-plots", "--json", "--quiet", "--data-dir", mnist]
        return [sys.executable, "-m", "cnncli", *run, "--seed", str(seed)]
    return [sys.executable, str(HERE / "torch_speedrun.py"), mnist, name.split()[1], str(seed)]


def main() -> None:
    """Measure, print, and write results/speedrun.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--no-save", action="store_true", help="do not write benchmarks/results/")
    options = parser.parse_args()
    mnist = os.environ.get("CNNCLI_TEST_MNIST")
    if mnist is None:
        sys.exit("CNNCLI_TEST_MNIST must name the folder with the MNIST files")
    mnist = str(Path(mnist).resolve())
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in CONTESTANTS}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(1, options.seeds + 1):
            for name in CONTESTANTS:
                start = time.perf_counter()
                done = subprocess.run(
                    command(name, mnist, seed), cwd=folder, capture_output=True, text=True, check=True
                )
                seconds = time.perf_counter() - start
                accuracy = (
                    json.loads(done.stdout)["test_accuracy"] if name == "cnncli" else float(done.stdout)
                )
                found[name].append((seconds, accuracy))
                print(f"seed {seed:2d}  {name:22s} {seconds:6.1f} s  {100 * accuracy:.2f} %", flush=True)
    table = {}
    for name, figures in found.items():
        seconds, accuracies = zip(*figures, strict=True)
        ratios = [ours / theirs for (ours, _), theirs in zip(found["cnncli"], seconds, strict=True)]
        table[name] = {
            "seconds": round(statistics.median(seconds), 2),
            "cnncli_takes": round(statistics.median(ratios), 3),
            "mean": round(100 * statistics.mean(accuracies), 3),
            "deviation": round(100 * statistics.stdev(accuracies), 3) if len(accuracies) > 1 else None,
        }
        print(f"{name:22s}", "  ".join(f"{key} {value}" for key, value in table[name].items()))
    if not options.no_save:
        save("speedrun", {"seeds": options.seeds, "table": table})


if __name__ == "__main__":
    main()
