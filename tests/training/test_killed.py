"""Trainings killed from outside, again and again, at moments nobody chose."""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli.checkpoint import load_checkpoint, network_hash
from cnncli.data.readers.idx import write_idx
from cnncli.runs import Run

CONFIG = """
seed: 3
data: {dataset: DATA, validation: 8, augment: [{shift: 1}]}
model: [{conv: {filters: 4, kernel: 3, padding: same}}, batchnorm, relu, flatten, {dropout: 0.3}, {linear: 3}]
train:
  epochs: 12
  batch_size: 4
  optimizer: {name: adam, lr: 0.01}
  schedule: one_cycle
  average: ema
  save_every: {steps: 2}
engine: {kind: plain}
"""

PROGRAM = """
import sys
from pathlib import Path
from cnncli.config.load import parse_config
from cnncli.runs import Run
from cnncli.training.session import train_run
run = Run(Path(sys.argv[1]))
config = parse_config(Path(sys.argv[2]).read_text())
for record in train_run(config, run, resume=True, plots=False):
    pass
"""


def launch(folder: Path, config: Path) -> "subprocess.Popen[bytes]":
    folder.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder), str(config)])


def kill_after_saves(process: "subprocess.Popen[bytes]", path: Path, saves: int, delay: float) -> bool:
    """Kill a training some time after it has saved that often; return whether it was still running."""
    seen = path.stat().st_ino if path.exists() else None
    while saves and process.poll() is None:
        now = path.stat().st_ino if path.exists() else None
        saves -= now != seen
        seen = now
        time.sleep(0.001)
    time.sleep(delay)
    process.kill()
    return process.wait() != 0


@pytest.mark.slow
def test_a_training_killed_at_random_moments_ends_with_the_bits_of_the_unbroken_one(
    tmp_path: Path, tiny_pictures: Callable[..., Any]
) -> None:
    data = tmp_path / "pictures"
    data.mkdir()
    for prefix, count in (("train", 100), ("t10k", 12)):
        images, labels = tiny_pictures(count)
        write_idx(data / f"{prefix}-images-idx3-ubyte.gz", images)
        write_idx(data / f"{prefix}-labels-idx1-ubyte.gz", labels.astype(np.uint8))
    config = tmp_path / "tiny.yaml"
    config.write_text(CONFIG.replace("DATA", str(data)))
    assert launch(tmp_path / "unbroken", config).wait() == 0
    unbroken = Run(tmp_path / "unbroken")
    expected = load_checkpoint(unbroken.last_path)
    rng, kills = random.Random(0), 0
    broken = Run(tmp_path / "broken")
    while broken.status() != "done":
        process = launch(broken.path, config)
        if kill_after_saves(process, broken.last_path, rng.randrange(1, 40), rng.uniform(0, 0.02)):
            kills += 1
        assert broken.status() != "running"
        for path in (broken.last_path, broken.best_path):
            if path.exists():
                load_checkpoint(path)
    found = load_checkpoint(broken.last_path)
    for one, other in ((expected.network, found.network), (expected.optimizer, found.optimizer)):
        assert network_hash(one) == network_hash(other)
    assert [row["epoch"] for row in broken.read_metrics()] == list(range(1, 13))
    assert kills >= 3
    assert not list(broken.path.rglob("*.tmp"))
