"""A sweep gives the same trials with the same weights however many run at once, and also after an interruption."""

import math
import signal
from pathlib import Path
from typing import Any

import pytest

from cnncli.errors import Interrupted, RunBusyError, RunError
from cnncli.runs import Group, Run
from cnncli.sweep.definition import load_sweep
from cnncli.sweep.finding import find_sweep, load_group
from cnncli.sweep.finish import finish_sweep
from cnncli.sweep.places.place import LOST, Ended, Job
from cnncli.sweep.run import SweepEvents, run_sweep
from cnncli.sweep.trial import DIVERGED, DONE, FAILED
from cnncli.sweep.trials import Trial, best_trial, read_trials
from tests.runs.sample import row, run_code
from tests.sweep.places import Here

RANDOM = """
config: tiny.yaml
set: {train.epochs: 1}
search: {train.optimizer.lr: {log: [1e-4, 1e-1]}, model.0.conv.filters: [2, 4]}
trials: 5
"""


QUIET = SweepEvents()


def define(text: str = RANDOM, **options: Any):
    Path("s.yaml").write_text(text)
    return load_sweep("s.yaml", **options)


def run(definition, name: str, place: Here, events: SweepEvents = QUIET) -> list[Trial]:
    return run_sweep(find_sweep(definition, "runs", name), definition, place, events)


def outcome(trials: list[Trial]) -> list[tuple[Any, ...]]:
    return [(trial.number, trial.values, trial.state, trial.val_accuracy, trial.epochs) for trial in trials]


def hashes(name: str) -> list[str]:
    return [each.read_info()["weights_sha256"] for each in Group(Path("runs") / name).runs()]


def off(values: dict[str, Any]) -> float:
    """Return how far the learning rate is from the best one, on a log scale."""
    return abs(math.log10(values["train.optimizer.lr"]) + 2) / 2


def pretend(job: Job) -> Ended:
    """End a trial with an accuracy and a curve that depend on its values alone."""
    run = Run(job.folder)
    values = run.read_info()["values"]
    height = 1 - off(values)
    epochs = 4 if "epochs: 4" in run.config_path.read_text() else 1
    run.rewrite_metrics(
        [row(epoch, val_accuracy=height * epoch / (epoch + 1)) for epoch in range(1, epochs + 1)]
    )
    run.write_info(status="done", val_accuracy=height * epochs / (epochs + 1), seconds=1.0, steps_done=epochs)
    return Ended(job.number, DONE)


def test_the_trials_do_not_depend_on_how_many_run_at_once(place: Path) -> None:
    one = run(define(), "one", Here(1))
    three = run(define(), "three", Here(3, seed=2))
    assert outcome(one) == outcome(three)
    assert hashes("one") == hashes("three") and len(set(hashes("one"))) == 5
    assert {trial.state for trial in one} == {"done"}
    info = Group(Path("runs/three")).read_info()
    assert (info["status"], info["members"], info["best"]) == ("done", 5, best_trial(one).name)


@pytest.mark.parametrize(
    "extra", ["sampler: tpe\n", "prune: median\n", "sampler: tpe\nprune: percentile\nahead: 2\n"]
)
def test_what_optuna_chooses_does_not_depend_on_it_either(place: Path, extra: str) -> None:
    pytest.importorskip("optuna")
    text = RANDOM.replace("train.epochs: 1", "train.epochs: 4").replace("trials: 5", "trials: 24") + extra
    results = [
        outcome(run(define(text), f"r{slots}-{seed}", Here(slots, seed, pretend)))
        for slots, seed in ((1, 0), (2, 1), (5, 2))
    ]
    assert results[0] == results[1] == results[2]
    states = [state for _, _, state, _, _ in results[0]]
    assert ("pruned" in states) == ("prune" in extra)
    # the first epoch is warm-up, and after the last there is nothing to stop
    assert {epochs for _, _, state, _, epochs in results[0] if state == "pruned"} <= {2, 3}
    if "tpe" in extra:  # it has learned where the good ones are
        distances = [off(values) for _, values, *_ in results[0]]
        assert sum(distances[-10:]) < sum(distances[:10])


@pytest.mark.parametrize("extra", ["", "sampler: tpe\nprune: median\n"])
def test_an_interrupted_sweep_ends_as_a_whole_one(place: Path, extra: str) -> None:
    if extra:
        pytest.importorskip("optuna")
    text = RANDOM.replace("train.epochs: 1", "train.epochs: 4").replace("trials: 5", "trials: 20") + extra
    whole = run(define(text), "whole", Here(3, 0, pretend))
    for part in range(1, 5):
        calls = iter(range(10_000))
        events = SweepEvents(stop=lambda: signal.SIGINT if next(calls) > 9 else None)  # noqa: B023
        try:
            parts = run(define(text), "parts", Here(3, part, pretend), events)
            break
        except Interrupted as error:
            assert error.run == Path("runs/parts")
            assert Group(Path("runs/parts")).status() == "interrupted"
    parts = run_sweep(
        Group(Path("runs/parts")), load_group(Group(Path("runs/parts"))), Here(2, 9, pretend), SweepEvents()
    )
    assert outcome(parts) == outcome(whole)


def test_a_finished_sweep_trains_nothing_and_can_get_more_trials(place: Path) -> None:
    first = run(define(), "s", Here(2, end=pretend))
    again = Here(2, end=pretend)
    assert outcome(run(define(), "s", again)) == outcome(first) and again.started == [] and again.closed
    more = Here(2, end=pretend)
    longer = run(define(trials=7), "s", more)
    assert sorted(more.started) == [5, 6] and outcome(longer)[:5] == outcome(first)


def test_a_lost_trial_goes_on_and_one_that_never_gets_further_ends_the_sweep(place: Path) -> None:
    losses = {1: 2}

    def lose(job: Job) -> Ended:
        if losses.get(job.number, 0):
            losses[job.number] -= 1
            return Ended(job.number, LOST, "the process was killed by signal 9")
        return pretend(job)

    notes: list[str] = []
    trials = run(define(), "s", Here(2, end=lose), SweepEvents(note=notes.append))
    assert {trial.state for trial in trials} == {"done"}
    assert len(notes) == 2 and "killed by signal 9" in notes[0]
    losses[1] = 100
    with pytest.raises(RunError, match="got no further"):
        run(define(), "t", Here(2, end=lose))
    assert Group(Path("runs/t")).status() == "failed"


def test_a_trial_that_fails_by_itself_is_noted_and_another_failure_ends_all(place: Path) -> None:
    def diverge(job: Job) -> Ended:
        return Ended(job.number, DIVERGED, "the loss is nan") if job.number == 2 else pretend(job)

    trials = run(define(), "s", Here(2, end=diverge))
    assert [trial.state for trial in trials] == ["done", "done", "failed", "done", "done"]
    assert trials[2].error == "the loss is nan"
    assert Run(Path("runs/s/trial-2")).status() == "failed"

    def full(job: Job) -> Ended:
        return Ended(job.number, FAILED, "the disk is full")

    with pytest.raises(RunError, match=r"trial-0 cannot be trained: the disk is full"):
        run(define(), "t", Here(1, end=full))


def test_values_that_do_not_go_together_fail_alone(place: Path) -> None:
    text = "config: tiny.yaml\ngrid: {train.warmup_epochs: [0, 2], train.epochs: [1, 2]}"
    trials = run(define(text), "s", Here(1, end=lambda job: pretend_any(job)))
    assert [trial.state for trial in trials] == ["done", "done", "failed", "done"]
    assert "warmup_epochs" in trials[2].error


def pretend_any(job: Job) -> Ended:
    run = Run(job.folder)
    run.rewrite_metrics([row(1, val_accuracy=0.5)])
    run.write_info(status="done", val_accuracy=0.5, seconds=1.0)
    return Ended(job.number, DONE)


def test_the_time_is_a_budget_too(place: Path) -> None:
    text = RANDOM.replace("trials: 5", "minutes: 0.0001")
    trials = run(define(text), "s", Here(1, end=pretend))
    assert 1 <= len(trials) < 200
    assert len(run(define(text), "s", Here(1, end=pretend))) == len(trials)


def test_only_the_winner_sees_the_test_images_and_only_once(place: Path) -> None:
    definition = define()
    group = find_sweep(definition, "runs", None)
    trials = run_sweep(group, definition, Here(2), QUIET)
    assert all(each.read_info()["test_accuracy"] is None for each in group.runs())
    assert not list(group.path.glob("*/eval/test.json"))
    result = finish_sweep(group, definition, trials, plots=False)
    best = best_trial(trials)
    assert [path.parts[-3] for path in group.path.glob("*/eval/test.json")] == [best.name]
    assert result.test_accuracy == Run(group.path / best.name).read_info()["test_accuracy"] is not None
    (group.path / best.name / "eval/test.json").unlink()
    assert finish_sweep(group, definition, trials, plots=False).test_accuracy == result.test_accuracy
    assert not list(group.path.glob("*/eval/test.json"))  # it was not measured again
    rows = (group.path / "trials.csv").read_text().splitlines()
    assert rows[0] == "trial,state,train.optimizer.lr,model.0.conv.filters,val_accuracy,epochs,seconds,error"
    assert len(rows) == 6


def test_the_config_of_the_winner_trains_to_its_weights(place: Path, cnn) -> None:
    definition = define()
    group = find_sweep(definition, "runs", None)
    result = finish_sweep(group, definition, run_sweep(group, definition, Here(2), QUIET))
    assert {path.name for path in result.files} == {
        "best.yaml",
        "trials.csv",
        "importance.png",
        "parallel.png",
    }
    done = cnn("train", "runs/s/best.yaml", "--name", "again", "--no-plots", "-q")
    assert done.exit_code == 0, done.output
    assert Run(Path("runs/again")).read_info()["weights_sha256"] == hashes("s")[result.best.number]


def test_another_file_gets_another_folder_and_a_name_is_not_taken_twice(place: Path) -> None:
    run(define(), "s", Here(1, end=pretend))
    assert find_sweep(define(trials=9), "runs", None).name == "s"
    other = define(RANDOM + "seed: 1\n")
    assert find_sweep(other, "runs", None).name == "s-2"
    with pytest.raises(RunError, match="is another sweep"):
        find_sweep(other, "runs", "s")
    Path("tiny.yaml").write_text(Path("tiny.yaml").read_text().replace("batch_size: 20", "batch_size: 30"))
    assert find_sweep(define(), "runs", None).name == "s-2"
    with Group(Path("runs/s")).lock(), pytest.raises(RunBusyError):
        run_sweep(
            Group(Path("runs/s")), load_group(Group(Path("runs/s"))), Here(1, end=pretend), SweepEvents()
        )


def test_trials_are_read_back_and_damage_is_told(place: Path) -> None:
    trials = run(define(), "s", Here(1, end=pretend))
    group = Group(Path("runs/s"))
    assert outcome(read_trials(group)) == outcome(trials)
    group.write_info(trials=[{"x": 1}])
    with pytest.raises(RunError, match=r"group.json is damaged"):
        read_trials(group)
    group.write_info(definition=None)
    with pytest.raises(RunError, match="is no sweep"):
        load_group(group)


def test_other_answers_of_the_search_are_noticed(place: Path) -> None:
    run(define(), "s", Here(1, end=pretend))
    group = Group(Path("runs/s"))
    trials = group.read_info()["trials"]
    trials[1]["values"]["train.optimizer.lr"] = 0.5
    group.write_info(trials=trials)
    with pytest.raises(RunError, match=r"trial-1 has .* and the search now proposes"):
        run(define(), "s", Here(1, end=pretend))


def test_a_sweep_without_optuna_does_not_import_it() -> None:
    code = (
        "import sys, cnncli.sweep.run, cnncli.sweep.finish, cnncli.cli.sweep; print('optuna' in sys.modules)"
    )
    assert run_code(code).stdout == "False\n"
