"""Repeats over seeds are a group: trained once, interrupted and resumed as a whole, with the weights of single runs."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from cnncli.config.load import load_config
from cnncli.errors import DivergenceError, Interrupted, RunBusyError, RunError, StorageError, UsageError
from cnncli.runs import Group, Run, create_run
from cnncli.sweep.repeats import find_repeats, load_repeats, pending_seeds, read_seeds, run_repeats
from cnncli.training.session import train_run
from tests.runs.sample import finished_run


def train(config: Any, run: Run, begun: bool) -> None:
    list(train_run(config, run, resume=begun, plots=False))


def sha(run: Run) -> str:
    return run.read_info()["weights_sha256"]


@pytest.mark.parametrize(
    "text", ["", "x", "0", "-1", "1,1", "1,,2", "1.5", "3,x", "2000", ",", "1,99999999999999999999"]
)
def test_what_are_no_seeds_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_seeds(text, 42)


def test_each_seed_is_the_run_that_it_would_be_alone(place: Path) -> None:
    config = load_config("tiny.yaml")
    group = find_repeats(config, "runs", None)
    result = run_repeats(group, config, [3, 4], train)
    assert group.path == Path("runs/tiny-seeds")
    alone = create_run("runs", "alone")
    train(config.with_overrides(["seed=4"]), alone, False)
    assert sha(alone) == sha(result.seeds[1].run) != sha(result.seeds[0].run)
    info = group.read_info()
    assert (info["status"], info["seeds"], info["members"]) == ("done", [3, 4], 2)
    values = [each.val_accuracy for each in result.seeds]
    assert result.validation.mean == pytest.approx(sum(values) / 2)
    assert result.validation.std == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    assert info["val_accuracy"] == result.validation.to_json()
    assert group.best().path.name == f"seed-{3 + values.index(max(values))}"


def test_finished_seeds_are_not_trained_again_and_more_can_be_added(place: Path) -> None:
    config, trained = load_config("tiny.yaml"), []

    def note(config: Any, run: Run, begun: bool) -> None:
        trained.append((config.seed, begun))
        run.write_info(status="done", val_accuracy=config.seed / 10, test_accuracy=None)

    group = find_repeats(config, "runs", None)
    run_repeats(group, config, [1, 2], note)
    same = find_repeats(config.with_overrides(["seed=9", "engine.workers=1"]), "runs", None)
    assert same == group
    result = run_repeats(same, config, [1, 2, 5], note)
    assert trained == [(1, False), (2, False), (5, False)]
    assert (result.validation.count, result.test.mean) == (3, None)
    assert load_repeats(group)[1] == [1, 2, 5]
    assert find_repeats(config.with_overrides(["train.epochs=3"]), "runs", None).name == "tiny-seeds-2"


def test_an_interruption_stops_all_and_a_resume_ends_with_the_same_weights(place: Path) -> None:
    config = load_config("tiny.yaml").with_overrides(["train.epochs=1"])
    whole = run_repeats(find_repeats(config, "runs", "whole"), config, [1, 2, 3], train)
    calls = iter(range(1000))

    def stop_at_the_second(config: Any, run: Run, begun: bool) -> None:
        stop = (lambda: 2 if next(calls) == 3 else None) if config.seed == 2 else None
        list(train_run(config, run, resume=begun, plots=False, stop=stop))

    group = find_repeats(config, "runs", "parts")
    with pytest.raises(Interrupted, match="of seed 2; 1 of 3 seeds are done") as caught:
        run_repeats(group, config, [1, 2, 3], stop_at_the_second)
    assert caught.value.run == group.path and caught.value.exit_code == 130
    assert group.status() == "interrupted" and pending_seeds(group, [1, 2, 3]) == [2, 3]
    parts = run_repeats(group, *load_repeats(group), train)
    assert [sha(each.run) for each in parts.seeds] == [sha(each.run) for each in whole.seeds]


def test_a_seed_that_diverges_is_noted_and_not_tried_again(place: Path) -> None:
    config, trained = load_config("tiny.yaml"), []

    def diverge(config: Any, run: Run, begun: bool) -> None:
        trained.append(config.seed)
        if config.seed == 1:
            raise DivergenceError("the loss is nan")
        run.write_info(status="done", val_accuracy=0.5)

    group = find_repeats(config, "runs", "some")
    for _ in range(2):
        result = run_repeats(group, config, [1, 2], diverge)
    assert trained == [1, 2]
    assert [each.seed for each in result.failed] == [1] and result.validation.count == 1
    assert group.status() == "failed"


def test_another_failure_stops_all(place: Path) -> None:
    def fail(config: Any, run: Run, begun: bool) -> None:
        raise StorageError("the disk is full")

    config = load_config("tiny.yaml")
    group = find_repeats(config, "runs", None)
    with pytest.raises(StorageError):
        run_repeats(group, config, [1, 2], fail)
    assert group.read_info()["error"] == "the disk is full" and pending_seeds(group, [1, 2]) == [1, 2]


def test_a_group_that_was_killed_while_it_was_made_is_made_again(place: Path) -> None:
    config = load_config("tiny.yaml")
    (place / "runs/tiny-seeds/seed-1").mkdir(parents=True)
    assert find_repeats(config, "runs", None).name == "tiny-seeds-2"  # it has something of its own
    (place / "runs/tiny-seeds/seed-1").rmdir()
    (place / "runs/tiny-seeds/config.yaml").write_text("seed: [")
    group = find_repeats(config, "runs", None)
    assert group.name == "tiny-seeds"
    (group.path / "seed-1").mkdir()
    assert run_repeats(group, config, [1], train).validation.count == 1


def test_a_name_of_something_else_is_refused(place: Path) -> None:
    config = load_config("tiny.yaml")
    finished_run(place / "runs", "taken")
    with pytest.raises(RunError, match="exists already, and is something else"):
        find_repeats(config, "runs", "taken")
    run_repeats(find_repeats(config, "runs", "mine"), config, [1], lambda *_: None)
    with pytest.raises(RunError, match="the repeats of another config"):
        find_repeats(config.with_overrides(["train.batch_size=7"]), "runs", "mine")


def test_one_process_at_a_time_works_on_a_group(place: Path) -> None:
    config = load_config("tiny.yaml")
    group = find_repeats(config, "runs", None)
    run_repeats(group, config, [1], train)
    with group.lock(), pytest.raises(RunBusyError):
        run_repeats(group, config, [1, 2], train)


def test_the_command_prints_mean_and_deviation(place: Path, cnn) -> None:
    done = cnn("train", "tiny.yaml", "--seeds", "1,5", "--epochs", "1", "--no-plots", "-q")
    assert done.exit_code == 0, done.output
    assert [line.split()[:2] for line in done.stdout.splitlines()[2:4]] == [["1", "seed-1"], ["5", "seed-5"]]
    assert "over 2 runs" in done.stdout
    again = cnn("train", "tiny.yaml", "--seeds", "1,5", "--epochs", "1", "--json")
    document = json.loads(again.stdout)
    assert (document["group"], document["status"], document["test_accuracy"]["count"]) == (
        "tiny-seeds",
        "done",
        2,
    )
    assert "2 seeds, 2 done" in again.stderr
    assert "tiny-seeds/" in cnn("runs").stdout
    assert cnn("eval", "tiny-seeds", "--no-plots").exit_code == 0
    assert "seed-" in cnn("eval", "latest", "--no-plots").stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--seeds", "x"], "are no seeds"),
        (["--seeds", "1,2", "--seed", "3"], "no place for --seed"),
        (["--seeds", "2", "--dry-run"], "--dry-run does not go with --seeds"),
        (["--seeds", "2", "--exist-ok"], "--exist-ok does not go with --seeds"),
        (["--seeds", "2", "--resume", "x"], "--seeds does not go with that"),
    ],
)
def test_a_mistake_is_explained(place: Path, cnn, args: list[str], message: str) -> None:
    done = cnn("train", *([] if "--resume" in args else ["tiny.yaml"]), *args)
    assert done.exit_code == 2 and message in done.stderr, done.output
    assert not Path("runs").exists()


def test_ctrl_c_ends_all_and_the_command_that_is_shown_goes_on(place: Path, cnn, start) -> None:
    args = ["train", "tiny.yaml", "--seeds", "2", "--epochs", "3000", "--no-plots", "--name", "long"]
    process = start(*args)
    deadline = time.monotonic() + 30
    while not (place / "runs/long/seed-42/metrics.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert b"go on with: cnn train --resume long" in errors
    assert Group(Path("runs/long")).status() == "interrupted"
    assert "is a group of runs" in cnn("train", "--resume", "latest", "--epochs", "1").stderr
