"""Trained networks out of checkpoints: the weights that were judged, and a clear error for anything else."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli.checkpoint import Checkpoint, save_checkpoint
from cnncli.errors import CheckpointError, RunError
from cnncli.nn import Network, build_network
from cnncli.runs import create_run
from cnncli.training.model import load_model

LAYERS: list[tuple[str, dict[str, Any]]] = [
    ("conv", {"filters": 2, "kernel": 3}),
    ("batchnorm", {}),
    ("globalavgpool", {}),
    ("linear", {"units": 3}),
]


def network(seed: int = 0) -> Network:
    return build_network(LAYERS, (1, 6, 6), rng=np.random.default_rng(seed))


def meta(**changes: Any) -> dict[str, Any]:
    fields = {
        "config": {},
        "model": network().spec(),
        "input_shape": [1, 6, 6],
        "classes": ["a", "b", "c"],
        "normalize": [0.1, 0.3],
        "run": "run-7",
    }
    fields.update(changes)
    return {name: value for name, value in fields.items() if value is not ...}


def save(path: Path, source: Network | None = None, average: Any = (), **changes: Any) -> Path:
    state = (source or network()).state()
    save_checkpoint(path, Checkpoint(state, average=dict(average), meta=meta(**changes)))
    return path


def test_a_checkpoint_gives_the_network_back_to_the_bit(tmp_path: Path) -> None:
    original = network(seed=4)
    original.buffers["batchnorm1.running_mean"][...] = [0.5, -1]
    model = load_model(save(tmp_path / "best.npz", original))
    x = np.random.default_rng(0).normal(size=(5, 1, 6, 6)).astype(np.float32)
    assert np.array_equal(model.network.forward(x), original.forward(x))
    assert model.classes == ("a", "b", "c")
    assert model.normalize == (0.1, 0.3)
    assert (model.name, model.checkpoint) == ("run-7", "best")


def test_averaged_weights_are_used_where_there_are_some(tmp_path: Path) -> None:
    averaged = network(seed=5).state()
    model = load_model(save(tmp_path / "last.npz", network(4), {**averaged, "update_count": np.array(3)}))
    assert all(np.array_equal(array, averaged[name]) for name, array in model.network.state().items())


def test_a_run_gives_its_best_checkpoint_and_the_last_one_while_there_is_no_other(tmp_path: Path) -> None:
    run = create_run(tmp_path)
    with pytest.raises(RunError, match="run-1 has no best checkpoint yet"):
        load_model(run)
    save(run.last_path, network(1))
    assert load_model(run).checkpoint == "last"
    save(run.best_path, network(2))
    assert load_model(run).checkpoint == load_model(run.path).checkpoint == "best"
    assert load_model(str(run.path), "last").checkpoint == "last"


def test_a_best_checkpoint_that_is_missing_is_not_replaced_by_the_last_one(tmp_path: Path) -> None:
    run = create_run(tmp_path)
    save(run.last_path, best={"epoch": 3, "val_accuracy": 0.9, "val_loss": 0.1})
    for source in (run, run.path, str(run.path)):
        with pytest.raises(
            RunError, match=r"best.npz is missing, the checkpoint of the best epoch"
        ) as caught:
            load_model(source)
        assert str(run.last_path) in str(caught.value.hint)
    assert load_model(run, "last").checkpoint == "last"
    for named in (run.last_path, str(run.last_path)):
        assert load_model(named).checkpoint == "last"


def test_a_file_of_another_name_is_called_by_it(tmp_path: Path) -> None:
    model = load_model(save(tmp_path / "digits.npz", run=...))
    assert (model.name, model.checkpoint) == ("digits", "digits")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": ...}, "no list of the layers"),
        ({"model": "conv"}, "no list of the layers"),
        ({"model": [{"conv": {}, "relu": {}}]}, "no list of the layers"),
        ({"model": [{"conv": 3}]}, "no list of the layers"),
        ({"model": []}, "cannot be built"),
        ({"model": [{"dense": {"units": 3}}]}, "cannot be built: layer 1: unknown layer 'dense'"),
        ({"model": [{"flatten": {}}, {"linear": {"units": "many"}}]}, "cannot be built"),
        ({"model": [{"flatten": {}}, {"linear": {"units": 3}}]}, "describes a network with more"),
        ({"model": [{"flatten": {}}, {"linear": {"units": 10**9}}]}, "describes a network with more"),
        ({"model": [{"globalavgpool": {}}, {"linear": {"units": 3}}]}, "do not fit the network"),
        ({"classes": ["a", "b"]}, "2 classes for the 3 outputs"),
        ({"normalize": [0.1, 0.0]}, "no mean and standard deviation"),
        ({"normalize": [0.1]}, "no mean and standard deviation"),
        ({"normalize": "yes"}, "no mean and standard deviation"),
        ({"normalize": [float("nan"), 1.0]}, "no mean and standard deviation"),
        ({"dtype": "float16"}, "unknown dtype 'float16'"),
    ],
)
def test_what_describes_no_fitting_network_is_refused(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    path = save(tmp_path / "best.npz", **changes)
    with pytest.raises(CheckpointError, match=words):
        load_model(path)


def test_loading_a_model_reads_no_config_and_draws_nothing(tmp_path: Path) -> None:
    path = save(tmp_path / "best.npz")
    code = (
        "import sys; from cnncli.training.model import load_model; load_model(sys.argv[1]);"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert not {"pydantic", "yaml", "matplotlib", "PIL", "typer", "rich"} & set(done.stdout.split())
