"""Trains a small network with every start method that this system has, and compares the weights.

    python -m tests.start_methods

Ends with exit code 1 when the workers were not processes, or when two methods gave different weights.
"""

import os
import sys

import numpy as np

from cnncli import compile
from cnncli.batches.augment import make_augmentation
from cnncli.batches.batches import Batches
from cnncli.engine.executor import StepSettings
from cnncli.engine.parallel.caller import FastExecutor
from cnncli.engine.parallel.cores import can_fork
from cnncli.nn import build_network
from cnncli.optim import make_optimizer

MODEL = [
    ("conv", {"filters": 8, "kernel": 3, "padding": "same"}), ("batchnorm", {}), ("relu", {}),
    ("maxpool", {"size": 2}), ("flatten", {}), ("dropout", {"rate": 0.2}), ("linear", {"units": 10}),
]  # fmt: skip


def train(start_method: str) -> tuple[bool, bytes]:
    """Return whether the workers were processes, and the trained weights."""
    rng = np.random.default_rng(0)
    network = build_network(MODEL, (1, 28, 28), rng=rng)
    optimizer = make_optimizer("adam", {}, network.parameters)
    images = rng.integers(0, 256, (512, 28, 28), dtype=np.uint8)
    augment = make_augmentation([("affine", {})])
    batches = Batches(images, np.arange(512) % 10, batch_size=64, augment=augment)
    executor = compile(network, workers=2, shards=2, pool="processes", start_method=start_method)  # type: ignore[arg-type]
    with executor:
        for step in range(len(batches)):
            executor.train_batch(batches, optimizer, StepSettings(1e-3), key=(0, 1, step))
        assert isinstance(executor, FastExecutor)
        return executor.processes, network.parameters.values.tobytes()


def main() -> int:
    """Train with each method and print how it went."""
    methods = ["spawn", *(["forkserver"] if hasattr(os, "fork") else []), *(["fork"] if can_fork() else [])]
    found = {method: train(method) for method in methods}
    for method, (processes, _) in found.items():
        print(f"{method}: the workers were {'processes' if processes else 'threads'}")
    same = len({weights for _, weights in found.values()}) == 1
    print("the weights are the same" if same else "the weights differ")
    return int(not same or not all(processes for processes, _ in found.values()))


if __name__ == "__main__":
    sys.exit(main())
