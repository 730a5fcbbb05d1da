"""What the examples in the docstrings find: a working folder with a picture, `digit.png`, a table of
images, `test.csv`, and a run, `runs/run-3`."""

import os
from importlib.util import find_spec
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    # the tests run beside each other, one a core: further threads of BLAS would only be in each other's way. It reads
    # these when NumPy is imported, so they come first.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cnncli.checkpoint import Checkpoint, save_checkpoint
from cnncli.data.synthetic.draw import make_synthetic
from cnncli.nn import build_network

# a module that imports PyTorch when it is imported; nothing else does
collect_ignore = [] if find_spec("torch") else ["cnncli/export/torch_file.py"]


@pytest.fixture(scope="session")
def example_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a 7 in a picture and a run whose network answers with the nearest of ten mean digits."""
    folder = tmp_path_factory.mktemp("examples")
    picture = Image.new("L", (300, 300), 255)
    ImageDraw.Draw(picture).line([(100, 60), (200, 60), (140, 240)], fill=0, width=16)
    picture.save(folder / "digit.png")

    digits = make_synthetic(train=500, test=10)
    rows = digits.test.images.reshape(10, -1).tolist()
    (folder / "test.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    images, labels = digits.train.images, digits.train.labels
    network = build_network(
        [("flatten", {}), ("linear", {"units": 10})], (1, 28, 28), rng=np.random.default_rng(0)
    )
    means = np.stack([images[labels == digit].mean(axis=0).ravel() / 255 for digit in range(10)])
    # |x - m|^2 is smallest where x @ m - |m|^2 / 2 is largest
    network.layers[1].weight = means
    network.layers[1].bias = -(means**2).sum(axis=1) / 2
    meta = {"model": network.spec(), "input_shape": [1, 28, 28], "classes": digits.classes, "normalize": None}
    path = folder / "runs/run-3/checkpoints/best.npz"
    path.parent.mkdir(parents=True)
    save_checkpoint(path, Checkpoint(network.state(), meta={"config": {}, "run": "run-3", **meta}))
    return folder


@pytest.fixture(autouse=True)
def work_in_the_example_folder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each docstring's example there."""
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(request.getfixturevalue("example_folder"))
