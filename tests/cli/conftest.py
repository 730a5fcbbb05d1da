"""A set so small that a training takes a blink; ways to call a command in this process, or in its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import cnncli
from cnncli.cli.app import app
from cnncli.cli.signals import STOPPING
from cnncli.data.readers.idx import write_idx

CONFIG = """
data: {dataset: tiny, validation: 30, normalize: {mean: 0.3, std: 0.3}}
model: [{conv: {filters: 4, kernel: 3}}, relu, {maxpool: 2}, flatten, {linear: 3}]
train: {epochs: 2, batch_size: 20, optimizer: {name: adam, lr: 0.01}}
engine: {kind: plain}
"""


def write_tiny_set(folder: Path, train: int = 150, test: int = 30) -> None:
    """Write three classes of 8x8 images, each bright in a third of its own, under the names of MNIST."""
    rng = np.random.default_rng(5)
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in (("train", train), ("t10k", test)):
        labels = np.arange(count) % 3
        images = rng.integers(0, 120, (count, 8, 8), dtype=np.uint8)
        for third in range(3):
            images[labels == third, :, 3 * third : 3 * third + 2] += 110
        write_idx(folder / f"{name}-images-idx3-ubyte", images)
        write_idx(folder / f"{name}-labels-idx1-ubyte", labels.astype(np.uint8))


@pytest.fixture(autouse=True)
def signals_as_in_a_terminal() -> Iterator[None]:
    """Handle the signals that a background job and `nohup` ignore, and leave ignored in what they start."""
    ignored = [number for number in STOPPING if signal.getsignal(number) == signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with the tiny set and its config in it."""
    monkeypatch.chdir(tmp_path)
    write_tiny_set(tmp_path / "tiny")
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    return tmp_path


@pytest.fixture(scope="session")
def cnn() -> Callable[..., object]:
    """Call a command in this process."""

    def call(*args: str, stdin: bytes | None = None):
        return CliRunner().invoke(app, list(args), input=stdin, prog_name="cnn")

    return call


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen]]:
    """Start a command in a process of its own; what is left of it when the test ends is killed."""
    started = []

    def begin(*args: str, **environment: str) -> subprocess.Popen:
        found = {**os.environ, "PYTHONPATH": str(Path(cnncli.__file__).parents[1]), **environment}
        process = subprocess.Popen(
            [sys.executable, "-m", "cnncli", *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=found,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
