"""How much time does `cnn train` add to its training steps, for data, validation, logging and checkpoints?

    CNNCLI_TEST_MNIST=... python benchmarks/epoch.py

It measures in turns two epochs of the reference network with `cnn train`, and the steps of one epoch alone.
"""

import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from arena import arguments, layers_of, save


def steps_alone(count: int, batch: int) -> float:
    """Return the seconds of this many training steps on one batch that is already in memory."""
    import cnncli.engine as engine
    from cnncli.nn.build import build_network
    from cnncli.optim.optimizers import make_optimizer

    network = build_network(layers_of("mnist.yaml"), (1, 28, 28), rng=np.random.default_rng(0))
    rng = np.random.default_rng(1)
    x, labels = rng.random((batch, 1, 28, 28), dtype=np.float32), rng.integers(0, 10, batch)
    rule = make_optimizer("adam", {}, network.parameters)
    settings = engine.StepSettings(1e-3)
    with engine.compile(network, batch_size=batch) as executor:
        executor.train_step(x, labels, rule, settings, key=(0, 1, 0))
        start = time.perf_counter()
        for step in range(count):
            executor.train_step(x, labels, rule, settings, key=(0, 1, step))
        return time.perf_counter() - start


def epochs_of_a_run(data: str, folder: str) -> list[float]:
    """Return the seconds of each of two epochs of `cnn train`; the second includes the checkpoint in between."""
    command = [sys.executable, "-m", "cnncli", "train", "--config", "mnist.yaml", "--epochs", "2", "--json"]
    done = subprocess.run(
        [*command, "--set", f"data.dir={data}"], cwd=folder, capture_output=True, text=True, check=True
    )
    run = Path(folder) / json.loads(done.stdout)["path"]
    with open(run / "metrics.csv", newline="") as file:
        first, second = (float(row["time_s"]) for row in csv.DictReader(file))
    return [first, second - first]


def main() -> None:
    """Measure, print, and write results/epoch.json."""
    options = arguments(__doc__, rounds=5)
    data = os.environ.get("CNNCLI_TEST_MNIST")
    if data is None:
        sys.exit("CNNCLI_TEST_MNIST must name the folder with the MNIST files")
    epochs, alone = [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            epochs.append(epochs_of_a_run(data, folder))
            alone.append(steps_alone(430, 128))
    first, second = (
        round(statistics.median(run[i] / steps for run, steps in zip(epochs, alone, strict=True)), 3)
        for i in (0, 1)
    )
    print(f"""
time of an epoch of `cnn train`, relative to its 430 steps alone:
  {first}  the first epoch, with building the plan and starting the workers
  {second}  the second epoch, with everything between two epochs, a checkpoint included""")
    if not options.no_save:
        figures = {"first": first, "second": second, "epoch_seconds": epochs, "steps_seconds": alone}
        save("epoch", {"rounds": options.rounds, "ratio": max(first, second), **figures})


if __name__ == "__main__":
    main()
