"""Trials on this machine are processes that end with their parent, and go on from their checkpoints."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cnncli.runs import Group, Run, create_run
from cnncli.runs.process import is_alive
from cnncli.sweep.definition import load_sweep
from cnncli.sweep.finding import find_sweep
from cnncli.sweep.places.local import LocalPlace
from cnncli.sweep.places.place import LOST, Job, read_outcome, trial_environment
from cnncli.sweep.run import SweepEvents, run_sweep
from cnncli.sweep.trial import DONE, IMPOSSIBLE, STOP_FILE, STOPPED
from tests.sweep.places import Here

SWEEP = """
config: tiny.yaml
grid: {seed: [1, 2]}
"""

LONG = """
config: tiny.yaml
set: {train.epochs: 4000, train.save_every: {steps: 200}}
grid: {seed: [1, 2]}
"""


def run_of(folder: Path, text: str | None = None) -> Run:
    config = Path("tiny.yaml").read_text() if text is None else text
    return create_run(folder / "runs", config=config)


def wait_for(path: Path, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < until, f"{path} did not appear"
        time.sleep(0.02)


def test_a_sweep_runs_in_processes_and_prints_its_winner(place: Path, cnn) -> None:
    Path("s.yaml").write_text(SWEEP)
    done = cnn("sweep", "s.yaml", "--jobs", "2", "--json", "--no-plots")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert (document["sweep"], document["status"], len(document["trials"])) == ("s", "done", 2)
    assert document["best"] in ("trial-0", "trial-1") and document["test_accuracy"] is not None
    assert "2 of 2: trial-" in done.stderr
    again = cnn("sweep", "--resume", "s", "--no-plots")
    assert again.exit_code == 0 and "next" in again.stdout and "trial-" not in again.stderr
    assert "s/" in cnn("runs").stdout
    assert cnn("eval", "s", "--no-plots").exit_code == 0
    assert "is a sweep" in cnn("train", "--resume", "s").stderr


def test_a_trial_that_is_stopped_or_impossible_says_so(place: Path) -> None:
    bad = run_of(place, Path("tiny.yaml").read_text().replace("linear: 3", "linear: 4"))
    stopped = run_of(place, Path("tiny.yaml").read_text().replace("epochs: 2", "epochs: 5000"))
    where = LocalPlace(2)
    where.start(Job(0, bad.path))
    where.start(Job(1, stopped.path))
    wait_for(stopped.last_path)
    (stopped.path / STOP_FILE).touch()
    ended = {}
    while len(ended) < 2:
        ended |= {each.number: each for each in where.wait(20)}
    assert ended[0].outcome == IMPOSSIBLE and "4 outputs" in ended[0].message
    assert ended[1].outcome == STOPPED and stopped.status() == "interrupted"
    where.close()


def test_a_killed_trial_is_lost_and_closing_saves_the_others(place: Path) -> None:
    config = Path("tiny.yaml").read_text().replace("epochs: 2", "epochs: 5000")
    killed, closed = run_of(place, config), run_of(place, config)
    where = LocalPlace(2)
    where.start(Job(0, killed.path))
    where.start(Job(1, closed.path))
    for run in (killed, closed):
        wait_for(run.last_path)
    pid = killed.read_info()["process"]["pid"]
    assert pid != os.getpid()
    os.kill(pid, signal.SIGKILL)
    (ended,) = where.wait(20)
    assert (ended.number, ended.outcome) == (0, LOST) and "signal 9" in ended.message
    where.close()
    assert closed.status() == "interrupted" and closed.last_path.exists()


def test_a_sweep_that_is_killed_takes_its_trials_along_and_resumes_to_the_same_weights(
    place: Path, start, cnn
) -> None:
    Path("long.yaml").write_text(LONG.replace("4000", "15"))
    definition = load_sweep("long.yaml")
    run_sweep(find_sweep(definition, "runs", "whole"), definition, Here(1), SweepEvents())
    process = start("sweep", "long.yaml", "--name", "parts", "--jobs", "2", "--no-plots")
    trials = [Run(Path(f"runs/parts/trial-{number}")) for number in (0, 1)]
    for trial in trials:
        wait_for(trial.last_path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for trial in trials:
        until = time.monotonic() + 20
        while "process" in (info := trial.read_info()) and is_alive(info["process"]):
            assert time.monotonic() < until
            time.sleep(0.05)
    done = cnn("sweep", "long.yaml", "--name", "parts", "--no-plots", "-q")
    assert done.exit_code == 0, done.output
    for number in (0, 1):
        found = [
            Run(Path(f"runs/{name}/trial-{number}")).read_info()["weights_sha256"]
            for name in ("whole", "parts")
        ]
        assert found[0] == found[1]


def test_ctrl_c_ends_all_and_names_the_command_that_goes_on(place: Path, start) -> None:
    Path("long.yaml").write_text(LONG)
    process = start("sweep", "long.yaml", "--no-plots")
    wait_for(Path("runs/long/trial-0/metrics.csv"))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert b"go on with: cnn sweep --resume long" in errors
    group = Group(Path("runs/long"))
    assert group.status() == "interrupted"
    assert {run.status() for run in group.runs()} <= {"interrupted", "running", "interrupted (killed)"}


def test_a_trial_waits_for_another_process_in_its_folder(place: Path) -> None:
    run = run_of(place)
    where = LocalPlace(1)
    with run.lock():
        where.start(Job(0, run.path))
        assert where.wait(2.5) == []
    (ended,) = where.wait(30)
    assert ended.outcome == DONE
    where.close()


@pytest.mark.parametrize(
    ("output", "code", "outcome"),
    [
        (b'{"outcome": "done", "message": null}\n', 0, DONE),
        (b'noise\n{"outcome": "done", "message": null}\n', 0, DONE),
        (b"", -9, LOST),
        (b"", 1, LOST),
        (b"[1]", 0, LOST),
        (b'{"outcome": "what", "message": null}', 0, LOST),
        (b"\xff{", None, LOST),
    ],
)
def test_what_a_trial_leaves_is_read_whatever_it_is(output: bytes, code: int | None, outcome: str) -> None:
    assert read_outcome(3, output, code)[:2] == (3, outcome)


def test_a_trial_is_no_rank_of_a_job_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMI_RANK", "1")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    found = trial_environment(1)
    assert "PMI_RANK" not in found and "OMPI_COMM_WORLD_SIZE" not in found
    assert found["OMP_NUM_THREADS"] == "1"
    code = "import cnncli.sweep.trial"
    subprocess.run([sys.executable, "-c", code], env=found, cwd="/", check=True)


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ([], 2, "name the file of a sweep, or --resume NAME"),
        (["s.yaml", "--resume", "s"], 2, "name the file of a sweep, or --resume NAME"),
        (["none.yaml"], 2, "none.yaml: cannot be read"),
        (["--resume", "none"], 2, "there is no sweep 'none'"),
        (["s.yaml", "--on", "mars"], 2, "--on mars: expected local or dask://HOST:PORT"),
        (["s.yaml", "--trials", "0"], 2, "invalid value for '--trials'"),
        (["--resume", "x", "--name", "y"], 2, "--name does not go with that"),
    ],
)
def test_a_mistake_is_explained_and_leaves_nothing(place: Path, cnn, args, code, message) -> None:
    Path("s.yaml").write_text(SWEEP)
    done = cnn("sweep", *args)
    assert done.exit_code == code and message in done.stderr, done.output
    assert not Path("runs").exists()


def test_a_dry_run_shows_the_first_trials(place: Path, cnn) -> None:
    Path("s.yaml").write_text(SWEEP)
    done = cnn("sweep", "s.yaml", "--dry-run")
    assert done.exit_code == 0 and [line.split() for line in done.stdout.splitlines()] == [
        ["trial", "seed"],
        ["0", "1"],
        ["1", "2"],
    ]
    assert "2 in all" in done.stderr and not Path("runs").exists()
