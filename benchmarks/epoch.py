"""What does `cnn train` add to the steps: data, validation, logging, checkpoints?

    CNNCLI_TEST_MNIST=... python benchmarks/epoch.py

One epoch of the reference network as the command runs it, and the same number of steps alone, in turns.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
from arena import arguments, layers_of, save


def steps_alone(count: int, batch: int) -> float:
    """Return the seconds of so many training steps on one batch that is already there."""
    import cnncli.engine as engine
    from cnncli.nn.build import build_network
    from cnncli.optim.optimizers import make_optimizer

    network = build_network(layers_of("mnist.yaml"), (1, 28, 28), rng=np.random.default_rng(0))
    rng = np.random.default_rng(1)
    x, labels = rng.random((batch, 1, 28, 28), dtype=np.float32), rng.integers(0, 10, batch)
    rule = make_optimizer("adam", {}, network.parameters)
    with engine.compile(network, batch_size=batch) as executor:
        executor.train_step(x, labels, rule, 1e-3, key=(0, 1, 0))
        start = time.perf_counter()
        for step in range(count):
            executor.train_step(x, labels, rule, 1e-3, key=(0, 1, step))
        return time.perf_counter() - start


def main() -> None:
    """Measure, print, and write results/epoch.json."""
    options = arguments(__doc__, rounds=3)
    data = os.environ.get("CNNCLI_TEST_MNIST")
    if data is None:
        sys.exit("CNNCLI_TEST_MNIST must name the folder with the MNIST files")
    ratios, epochs, alone = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            command = [
                sys.executable,
                "-m",
                "cnncli",
                "train",
                "--config",
                "mnist.yaml",
                "--epochs",
                "1",
                "--json",
            ]
            done = subprocess.run(
                [*command, "--set", f"data.dir={data}"],
                cwd=folder,
                capture_output=True,
                text=True,
                check=True,
            )
            document = json.loads(done.stdout)
            with open(os.path.join(folder, document["path"], "metrics.csv")) as file:
                header, row = (line.strip().split(",") for line in file.readlines()[:2])
            epochs.append(float(dict(zip(header, row, strict=True))["time_s"]))
            alone.append(steps_alone(430, 128))
            ratios.append(epochs[-1] / alone[-1])
    ratio = round(statistics.median(ratios), 3)
    print(
        f"\none epoch of `cnn train` (430 steps, validation, checkpoints) takes {ratio} times its steps alone"
    )
    if not options.no_save:
        save(
            "epoch",
            {"rounds": options.rounds, "ratio": ratio, "epoch_seconds": epochs, "steps_seconds": alone},
        )


if __name__ == "__main__":
    main()
