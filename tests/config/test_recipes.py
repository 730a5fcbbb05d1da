"""Every recipe that ships loads, builds and trains what its head comment claims."""

import re
from pathlib import Path

import numpy as np
import pytest

from cnncli.batches.augment import make_augmentation
from cnncli.config.files import find_config, list_configs
from cnncli.config.load import load_config, parse_config
from cnncli.data.dataset import SYNTHETIC
from cnncli.data.registry import DATASETS
from cnncli.nn.build import build_network
from cnncli.nn.network import Network
from cnncli.optim import make_optimizer, make_schedule
from cnncli.optim.averaging import make_average

FOLDER = Path(__file__).parents[2] / "configs"
RECIPES = sorted(FOLDER.glob("*.yaml"))
NAMES = [path.stem for path in RECIPES]
EXPECTED = {
    "bundled",
    "deotte",
    "fashion-mnist",
    "kmnist",
    "lenet5",
    "mnist",
    "resnet",
    "small",
    "speedrun",
    "synthetic",
    "tiny",
    "vgg-small",
}

each_recipe = pytest.mark.parametrize("path", RECIPES, ids=NAMES)


def build(path: Path) -> Network:
    return build_network(load_config(path).model, (1, 28, 28), rng=np.random.default_rng(1))


def head(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return lines[: next(number for number, line in enumerate(lines) if not line.startswith("#"))]


def test_the_folder_holds_the_recipes_and_nothing_else() -> None:
    assert set(NAMES) == EXPECTED
    assert sorted(FOLDER.iterdir()) == RECIPES


@each_recipe
def test_the_head_comment_says_what_the_network_is_and_how_to_train_it(path: Path) -> None:
    lines = head(path)
    assert re.fullmatch(r"# [A-Z].*[.:]", lines[0])
    assert any(
        line.startswith("#   cnn ") and line.endswith(f"cnn train --config {path.name}") for line in lines
    )


@each_recipe
def test_the_network_has_the_parameters_its_head_comment_claims(path: Path) -> None:
    (claim,) = (line for line in head(path) if line.startswith("# parameters: "))
    assert claim == f"# parameters: {build(path).get_num_parameters():,}"


@each_recipe
def test_the_network_gives_ten_finite_logits(path: Path) -> None:
    logits = build(path).forward(np.random.default_rng(0).random((2, 1, 28, 28), np.float32))
    assert logits.shape == (2, 10)
    assert np.isfinite(logits).all()


@each_recipe
def test_every_name_and_option_in_it_is_known_where_it_is_used(path: Path) -> None:
    config = load_config(path)
    network = build(path)
    assert {entry.name for entry in config.data.sets} <= {*DATASETS, SYNTHETIC}
    assert (make_augmentation(config.data.augment) is None) == (not config.data.augment)
    make_optimizer(config.train.optimizer.name, config.train.optimizer.options, network.parameters)
    rate = make_schedule(
        config.train.schedule.name,
        config.train.schedule.options,
        base_lr=config.train.optimizer.lr,
        total_steps=100,
        steps_per_epoch=10,
        warmup_epochs=config.train.warmup_epochs,
    )
    assert all(0 <= rate(step) <= config.train.optimizer.lr for step in range(100))
    if config.train.average is not None:
        make_average(config.train.average.name, config.train.average.options, network, 100)


@each_recipe
def test_a_recipe_reads_back_as_itself(path: Path) -> None:
    config = load_config(path)
    assert parse_config(config.to_yaml()) == config


@each_recipe
def test_a_recipe_is_found_by_its_name_from_anywhere(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config(path.name).read_bytes() == find_config(path.stem).read_bytes() == path.read_bytes()
    assert path.name in list_configs()


def test_the_reference_network_is_the_one_of_421642_parameters() -> None:
    shapes = {
        name: parameter.value.shape
        for name, parameter in build(FOLDER / "mnist.yaml").parameters.named.items()
    }
    assert shapes == {
        "conv1.weight": (32, 1, 3, 3),
        "conv1.bias": (32,),
        "conv2.weight": (64, 32, 3, 3),
        "conv2.bias": (64,),
        "linear1.weight": (128, 3136),
        "linear1.bias": (128,),
        "linear2.weight": (10, 128),
        "linear2.bias": (10,),
    }


def test_the_synthetic_recipe_trains_the_reference_network() -> None:
    assert load_config(FOLDER / "synthetic.yaml").model == load_config(FOLDER / "mnist.yaml").model


def test_the_small_recipe_is_below_20000_parameters() -> None:
    assert build(FOLDER / "small.yaml").get_num_parameters() < 20_000
