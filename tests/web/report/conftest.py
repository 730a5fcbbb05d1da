"""Finds what a report shows, of a run that was trained in a blink."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cnncli import create_run, load_config, train_run
from cnncli.data.readers.idx import write_idx
from cnncli.runs import Run
from cnncli.web.report import Findings, collect

CONFIG = """
data: {{dataset: folder:{folder}, validation: 30}}
model: [{{conv: {{filters: 4, kernel: 3}}}}, relu, {{conv: {{filters: 6, kernel: 3}}}}, relu, {{maxpool: 2}}, flatten,
        {{linear: 8}}, relu, {{linear: 3}}]
train: {{epochs: {epochs}, batch_size: 20, optimizer: {{name: adam, lr: 0.003}}}}
engine: {{kind: plain}}
"""


def write_set(folder: Path, count: int = 150) -> None:
    """Write three classes of 10x10 images: noise, a little brighter in a third of each class."""
    rng = np.random.default_rng(5)
    folder.mkdir()
    for name, n in (("train", count), ("t10k", 90)):
        labels = np.arange(n) % 3
        images = rng.integers(0, 200, (n, 10, 10), dtype=np.uint8)
        for third in range(3):
            images[labels == third, :, 3 * third : 3 * third + 3] += 40
        write_idx(folder / f"{name}-images-idx3-ubyte", images)
        write_idx(folder / f"{name}-labels-idx1-ubyte", labels.astype(np.uint8))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of three epochs that makes some mistakes."""
    folder = tmp_path_factory.mktemp("report")
    write_set(folder / "noise")
    config = folder / "noise.yaml"
    config.write_text(CONFIG.format(folder=folder / "noise", epochs=3))
    run = create_run(folder / "runs", "noise")
    list(train_run(load_config(config), run, plots=False))
    return run


@pytest.fixture(scope="session")
def findings(trained: Run) -> Findings:
    """What the report on `trained` shows."""
    return collect(str(trained.path))


@pytest.fixture
def with_names(findings: Findings) -> Callable[[tuple[str, ...]], Findings]:
    """A function that returns the findings with other names of the classes."""

    def rename(names: tuple[str, ...]) -> Findings:
        measured = SimpleNamespace(**{**vars(findings.measured), "classes": names})
        return Findings(**{**vars(findings), "measured": measured})

    return rename
