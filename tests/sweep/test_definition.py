"""A sweep file is checked as a whole before anything is trained, and each mistake has its file and line."""

from pathlib import Path

import pytest

from cnncli.errors import ConfigError, UsageError
from cnncli.sweep.definition import load_sweep, require_packages
from cnncli.sweep.searches import make_search
from cnncli.sweep.space import Choice, Range, read_space

GRID = """
config: tiny.yaml
set: {train.epochs: 1}
grid:
  train.optimizer.lr: [1e-3, 1e-2]
  seed: [1, 2, 3]
"""

WRONG = """
config: tiny.yaml
sett: {train.epochs: 1}
set:
  train.epochz: 3
  model.0.conv.filters: 4
grid:
  train.batch_size: [20, many, 0]
  train.optimizer.lr: 0.1
  model.0.conv.filter: [1]
search:
  seed: {logg: [1, 2]}
sampler: best
trials: 0
prune: {name: median, warmup: 1}
"""


def load(text: str, **options: object):
    Path("s.yaml").write_text(text)
    return load_sweep("s.yaml", **options)


def test_a_grid_is_all_combinations_in_order(place: Path) -> None:
    found = load(GRID)
    assert (found.count, found.keys) == (6, ["train.optimizer.lr", "seed"])
    search = make_search(found)
    asked = [search.ask(number) for number in range(7)]
    assert asked[0] == {"train.optimizer.lr": 0.001, "seed": 1}
    assert asked[1] == {"train.optimizer.lr": 0.001, "seed": 2}
    assert asked[5:] == [{"train.optimizer.lr": 0.01, "seed": 3}, None]
    config = found.config_of(asked[5])
    assert (config.seed, config.train.optimizer.lr, config.train.epochs) == (3, 0.01, 1)
    assert load(GRID, trials=4).count == 4


def test_drawn_values_depend_on_seed_and_number_alone(place: Path) -> None:
    search = "{train.optimizer.lr: {log: [1e-4, 0.1]}, seed: {int: [1, 9]}}"
    text = f"config: tiny.yaml\ntrials: 5\nseed: 3\nsearch: {search}"
    first, second = make_search(load(text)), make_search(load(text))
    assert first.ask(4) == second.ask(4) != first.ask(3)
    assert make_search(load(text.replace("seed: 3", "seed: 4"))).ask(4) != first.ask(4)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(place: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(WRONG)
    lines = caught.value.message.splitlines()
    numbers = [int(line.split(":")[1]) for line in lines]
    assert numbers == sorted(numbers)
    expected = {
        3: "sett: unknown key (did you mean 'set'?)",
        5: "train.epochz: unknown key",
        7: "expected grid or search, found both",
        8: "train.batch_size: expected a whole number from 1 to 65536",
        9: "grid.train.optimizer.lr: expected a list of values, found 0.1",
        10: "filter",
        12: "search.seed.logg: unknown kind of range (did you mean 'log'?)",
        14: "trials: expected a whole number from 1",
        15: "prune.warmup: unknown key",
    }
    for number, words in expected.items():
        assert any(line.startswith(f"s.yaml:{number}: ") and words in line for line in lines), (number, lines)
    assert sum(line.startswith("s.yaml:8: ") for line in lines) == 2
    assert any("a grid has no sampler" in line for line in lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected a mapping with config"),
        ("config: tiny.yaml\ngrid: {seed: [1]}\nx: [", "s.yaml:"),
        ("grid: {seed: [1]}", "config: missing"),
        ("config: 3\ngrid: {seed: [1]}", "expected the name of a config"),
        ("config: none.yaml\ngrid: {seed: [1]}", "s.yaml:1: config: there is no config 'none.yaml'"),
        ("config: tiny.yaml", "expected grid or search, found neither"),
        ("config: tiny.yaml\ngrid: {}", "expected a mapping of keys of the config"),
        ("config: tiny.yaml\ngrid: {seed: []}", "expected a list of values, found an empty list"),
        ("config: tiny.yaml\nsearch: {seed: [1, 2]}", "neither trials nor minutes say"),
        ("config: tiny.yaml\nset: {seed: 1}\ngrid: {seed: [1]}", "this key is varied"),
        ("config: tiny.yaml\nset: {data.validation: 0}\ngrid: {seed: [1]}", "data.validation is 0"),
        ("config: tiny.yaml\ntrials: 3\nsampler: best\nsearch: {seed: [1]}", "expected one of random, tpe"),
        ("config: tiny.yaml\ntrials: 3\nahead: 0\nsearch: {seed: [1]}", "a whole number from 1 to 1000"),
        (
            "config: tiny.yaml\ntrials: 3\nprune: mean\nsearch: {seed: [1]}",
            "expected one of median, percentile",
        ),
        ("config: tiny.yaml\ntrials: 3\nsearch: {seed: {int: [1, 99999999999999999999]}}", "too large"),
        ("config: tiny.yaml\ntrials: 3\nsearch: {train.batch_size: {int: [1, 99999999]}}", "found 99999999"),
        ("config: tiny.yaml\ngrid: {model.0.conv.kernel: [3, -1]}", "kernel"),
        ("config: tiny.yaml\ngrid: {modle.0: [3]}", "unknown key"),
    ],
)
def test_a_mistake_has_its_line(place: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert message in caught.value.message


def test_a_mistake_of_the_config_itself_is_told_too(place: Path) -> None:
    Path("bad.yaml").write_text(Path("tiny.yaml").read_text() + "seeed: 3\n")
    with pytest.raises(ConfigError) as caught:
        load("config: bad.yaml\ngrid: {seed: 1}")
    assert "s.yaml:2: grid.seed: expected a list" in caught.value.message
    assert "bad.yaml:6: seeed: unknown key" in caught.value.message


def test_the_config_may_lie_beside_the_sweep(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("s.yaml").write_text(GRID)
    Path("below").mkdir()
    monkeypatch.chdir("below")
    assert load_sweep("../s.yaml").count == 6


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, "expected a list of values, or"),
        ({}, "expected a list of values, or"),
        ({"log": [1, 2], "int": [1, 2]}, "expected a list"),
        ({"log": [0, 1]}, "a log scale starts above 0"),
        ({"uniform": [2, 1]}, "expected [low, high], found [2, 1]"),
        ({"uniform": [1, 2, 3]}, "expected [low, high]"),
        ({"uniform": [1, True]}, "expected a number, found true"),
        ({"int": [1, 2.5]}, "expected a whole number, found 2.5"),
        ({"uniform": [0, float("inf")]}, "expected a number, found inf"),
        ({"choice": 3}, "expected a list of values"),
        ([], "expected a list of values"),
    ],
)
def test_a_range_that_cannot_be_read_is_explained(value: object, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        read_space(value)
    assert message in str(caught.value)


def test_draws_stay_in_their_range_and_reach_its_ends() -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    draws = [Range(1, 3, log=True, whole=True).draw(rng) for _ in range(200)]
    assert set(draws) == {1, 2, 3} and all(type(draw) is int for draw in draws)
    assert {Range(1, 3, whole=True).draw(rng) for _ in range(100)} == {1, 2, 3}
    small = [Range(1e-4, 1e-1, log=True).draw(rng) for _ in range(300)]
    assert all(1e-4 <= draw <= 0.1 for draw in small)
    assert 100 < sum(draw < 10**-2.5 for draw in small) < 200
    assert all(len(repr(draw)) <= 10 for draw in small)
    assert {str(Choice((1, "a", None)).draw(rng)) for _ in range(50)} == {"1", "a", "None"}


def test_a_missing_package_is_told_before_the_first_trial(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    text = "config: tiny.yaml\ntrials: 3\nsearch: {seed: [1, 2]}\n"
    require_packages(load(text))
    for line, words in (
        ("sampler: tpe", "sampler: tpe needs Optuna"),
        ("prune: median", "prune: median needs Optuna"),
    ):
        with pytest.raises(UsageError, match=words) as caught:
            require_packages(load(text + line))
        assert 'pip install "cnncli[sweep]"' in str(caught.value.hint)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "cmaes" else 1)
    with pytest.raises(UsageError, match="sampler: cmaes needs cmaes"):
        require_packages(load(text + "sampler: cmaes"))
