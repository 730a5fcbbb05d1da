"""A training run starts from other weights exactly, says what it took, and refuses what does not fit."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from cnncli.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from cnncli.checkpoint.safetensors import to_safetensors
from cnncli.checkpoint.torch_names import torch_name
from cnncli.config.load import parse_config
from cnncli.errors import CheckpointError, ConfigError, RunError
from cnncli.nn import build_network
from cnncli.npz import write_npz
from cnncli.runs import create_run
from cnncli.training.initial import start_from
from cnncli.training.session import train_run

LAYERS = [
    {"maxpool": 4},
    {"conv": {"filters": 3, "kernel": 3}},
    "batchnorm",
    "relu",
    "flatten",
    {"linear": 10},
]
CONFIG = (
    "data: {dataset: synthetic, limit: 60, validation: 20}\n"
    f"model: {json.dumps(LAYERS)}\ntrain: {{epochs: 2, batch_size: 20}}\nengine: {{kind: plain}}"
)


def network(seed: int, layers=LAYERS):
    made = build_network(layers, (1, 28, 28), rng=np.random.default_rng(seed))
    for buffer in made.buffers.values():
        buffer[...] = np.random.default_rng(seed).uniform(0.5, 1.5, buffer.shape)
    return made


def write(name: str, arrays) -> str:
    """Write arrays in the form that the ending of a name stands for; "checkpoint.npz" is a checkpoint."""
    path = Path(name)
    if path.suffix == ".safetensors":
        counter = {"batchnorm1.num_batches_tracked": np.array(7)}
        named = {torch_name(key): array for key, array in arrays.items()}
        path.write_bytes(to_safetensors(named | counter, {"format": "pt"}))
    elif name == "checkpoint.npz":
        meta = {"config": {}, "input_shape": [1, 28, 28], "classes": list("0123456789")}
        save_checkpoint(path, Checkpoint(arrays, meta=meta))
    else:
        with open(path, "wb") as file:
            write_npz(file, {"meta": np.zeros(2, np.uint8), **arrays})
    return name


@pytest.fixture(autouse=True)
def _stand_in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["checkpoint.npz", "exported.npz", "model.safetensors"])
def test_every_kind_of_file_gives_the_same_weights(name) -> None:
    source, target = network(1), network(2)
    taken = start_from(target, write(name, source.state()))
    assert (taken.kept, taken.fresh, taken.unused) == (("conv1", "batchnorm1", "linear1"), (), ())
    for key, array in source.state().items():
        np.testing.assert_array_equal(target.state()[key], array)


def test_a_pytorch_model_of_the_same_names_fits() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    from collections import OrderedDict

    from safetensors.torch import save_file

    modules = OrderedDict(
        maxpool1=torch.nn.MaxPool2d(4),
        conv1=torch.nn.Conv2d(1, 3, 3),
        batchnorm1=torch.nn.BatchNorm2d(3),
        relu1=torch.nn.ReLU(),
        flatten1=torch.nn.Flatten(),
        linear1=torch.nn.Linear(75, 10),
    )
    model = torch.nn.Sequential(modules)
    model(torch.rand(8, 1, 28, 28))  # so that the running statistics are not those of the start
    save_file(model.state_dict(), "model.safetensors")
    target, x = network(2), np.random.default_rng(0).random((4, 1, 28, 28), np.float32)
    start_from(target, "model.safetensors")
    expected = model.eval()(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(target.forward(x), expected, atol=1e-5)


def test_missing_unknown_and_misshapen_arrays_are_told_apart_and_nothing_changes() -> None:
    arrays = network(1).state()
    del arrays["conv1.bias"]
    arrays["head.weight"] = np.zeros(3, np.float32)
    arrays["linear1.weight"] = np.zeros((26, 75), np.float32)
    target = network(2)
    before = target.state()
    with pytest.raises(CheckpointError) as caught:
        start_from(target, write("exported.npz", arrays))
    assert caught.value.message == (
        "exported.npz: the saved arrays do not fit the network. Missing: conv1.bias. Not expected: head.weight. "
        "Of another shape: linear1.weight (26, 75) instead of (10, 75)."
    )
    assert "`train.init_partial=true`" in caught.value.hint
    for key, array in before.items():
        np.testing.assert_array_equal(target.state()[key], array)


def test_in_part_whole_layers_are_kept_and_the_others_start_fresh() -> None:
    source = network(1, [*LAYERS[:-1], {"linear": 26}]).state()
    source["head.weight"] = np.zeros(3, np.float32)
    target = network(2)
    before = target.state()
    taken = start_from(target, write("model.safetensors", source), partial=True)
    assert taken.kept == ("conv1", "batchnorm1") and taken.fresh == ("linear1",)
    assert set(taken.unused) == {"linear1.weight", "linear1.bias", "head.weight"}
    for key, array in target.state().items():
        np.testing.assert_array_equal(array, before[key] if key.startswith("linear") else source[key])
    with pytest.raises(CheckpointError, match="no layer of the network"):
        start_from(network(2), write("exported.npz", {"head.weight": source["head.weight"]}), partial=True)


def test_a_run_starts_there_repeats_from_its_config_and_resumes_without_the_file() -> None:
    write("exported.npz", network(1).state())
    config = parse_config(CONFIG).with_overrides(
        ["train.init_from=exported.npz", "train.freeze=[conv1, batchnorm1]", "train.average=ema"]
    )
    first = create_run(name="first")
    list(train_run(config, first, plots=False))
    info = first.read_info()
    assert info["initial"]["path"] == "exported.npz" and info["frozen"] == ["conv1", "batchnorm1"]
    assert info["initial"]["kept"] == ["conv1", "batchnorm1", "linear1"]
    from cnncli.config.load import load_config

    second = create_run(name="second")
    list(train_run(load_config("runs/first/config.yaml"), second, plots=False))
    stopped = create_run(name="stopped")
    records = train_run(config, stopped, plots=False)
    for _ in range(2):
        next(records)
    records.close()
    Path("exported.npz").unlink()
    list(train_run(None, stopped, resume=True, plots=False))
    assert stopped.read_info()["initial"] == info["initial"]
    arrays = load_checkpoint(first.last_path)
    for run in (second, stopped):
        for key, array in load_checkpoint(run.last_path).network.items():
            np.testing.assert_array_equal(array, arrays.network[key])
    for key in ("conv1.weight", "batchnorm1.gamma", "batchnorm1.running_mean"):
        np.testing.assert_array_equal(arrays.network[key], network(1).state()[key])
        np.testing.assert_array_equal(arrays.average[key], network(1).state()[key])
    with pytest.raises(RunError, match=r"train.freeze.*cannot change"):
        changed = config.with_overrides(["train.freeze=[]", "train.epochs=3"])
        list(train_run(changed, first, resume=True, plots=False))


def test_a_run_name_and_the_bundled_model_are_sources_and_others_are_refused() -> None:
    with pytest.raises(RunError, match="there is no run 'nobody'"):
        start_from(network(2), "nobody")
    with pytest.raises(CheckpointError, match="do not fit the network"):
        start_from(network(2), "bundled")
    Path("model.pt").write_bytes(b"\x80\2not a pickle")
    with pytest.raises(CheckpointError, match="is a Python pickle"):
        start_from(network(2), "model.pt")
    with pytest.raises(ConfigError, match=r"there is no train\.init_from to take a part of"):
        parse_config(CONFIG).with_overrides(["train.init_partial=true"])


PAGE = (Path(__file__).parents[2] / "docs/fine-tuning.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)


def test_the_config_of_the_page_takes_all_of_the_bundled_model_but_its_last_layer() -> None:
    (text,) = [content for language, content in BLOCKS if language == "yaml"]
    config = parse_config(text)
    made = build_network(config.model, (1, 28, 28), rng=np.random.default_rng(0))
    taken = start_from(made, config.train.init_from, partial=config.train.init_partial)
    assert taken.fresh == ("linear1",) and set(config.train.freeze) < set(taken.kept)


def test_the_code_of_the_page_makes_a_file_that_fits() -> None:
    for package in ("torch", "safetensors"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    exec("\n".join(content for language, content in BLOCKS if language == "python"), {})
    layers = [{"conv": {"filters": 8, "kernel": 3}}, "relu", "flatten", {"linear": 10}]
    assert start_from(network(0, layers), "model.safetensors").kept == ("conv1", "linear1")


def test_the_figures_of_the_page_are_those_of_the_benchmark() -> None:
    results = Path(__file__).parents[2] / "benchmarks/results/fine_tuning.json"
    for images, row in json.loads(results.read_text(encoding="utf-8"))["sets"].items():
        cells = " | ".join(f"{100 * value:.1f} %" for value in row.values())
        assert f"| {images} | {cells} |" in PAGE
