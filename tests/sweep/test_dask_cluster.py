"""Trials on a Dask cluster of real processes: nothing is lost when a worker dies, and the weights stay the same."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cnncli.errors import CnnError, UsageError
from cnncli.runs import Run
from cnncli.sweep.definition import load_sweep
from cnncli.sweep.finding import find_sweep
from cnncli.sweep.places.dask_cluster import DaskPlace
from cnncli.sweep.run import SweepEvents, run_sweep
from cnncli.sweep.trial import DONE
from tests.runs.sample import ENVIRONMENT
from tests.sweep.places import Here
from tests.sweep.test_local import wait_for

Cluster = tuple[str, list[subprocess.Popen[bytes]]]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Callable[[int], Cluster]]:
    """Start a scheduler and workers on this machine, and return the address and the processes."""
    pytest.importorskip("distributed")
    processes: list[subprocess.Popen[bytes]] = []

    def command(module: str, *arguments: str) -> subprocess.Popen[bytes]:
        line = [sys.executable, "-m", f"distributed.cli.{module}", *arguments, "--no-dashboard"]
        process = subprocess.Popen(
            line,
            env=ENVIRONMENT,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        processes.append(process)
        return process

    def begin(workers: int) -> Cluster:
        file = tmp_path / "scheduler.json"
        command("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
        wait_for(file, 60)
        address = json.loads(file.read_text())["address"].removeprefix("tcp://")
        started = [
            command(
                "dask_worker",
                address,
                "--nthreads",
                "1",
                "--no-nanny",
                "--local-directory",
                str(tmp_path / "dask"),
            )
            for _ in range(workers)
        ]
        return address, started

    yield begin
    for process in reversed(processes):
        process.kill()
        process.wait()


def connect(address: str, workers: int) -> DaskPlace:
    """Return the place as soon as all workers are there."""
    until = time.monotonic() + 60
    while True:
        with suppress(CnnError):
            place = DaskPlace(address)
            if place.slots == workers:
                return place
            place.close()
        assert time.monotonic() < until
        time.sleep(0.2)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_worker_that_is_killed_loses_nothing(place: Path, cluster: Callable[[int], Cluster]) -> None:
    Path("s.yaml").write_text("config: tiny.yaml\nset: {train.epochs: 60}\ngrid: {seed: [1, 2, 3]}\n")
    definition = load_sweep("s.yaml")
    run_sweep(find_sweep(definition, "runs", "here"), definition, Here(1), SweepEvents())
    address, _ = cluster(2)
    there = connect(address, 2)
    victim = Run(Path("runs/there/trial-0"))
    killed: list[Any] = []

    def kill() -> None:
        wait_for(victim.last_path, 120)
        worker = parent_of(victim.read_info()["process"]["pid"])
        killed.append((worker, victim.status()))
        os.kill(worker, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    trials = run_sweep(find_sweep(definition, "runs", "there"), definition, there, SweepEvents())
    thread.join()
    assert killed and killed[0][1] == "running"
    assert [trial.state for trial in trials] == [DONE] * 3
    assert victim.read_info()["resumes"][-1]["from_step"] > 0
    for number in range(3):
        hashes = {
            Run(Path(f"runs/{name}/trial-{number}")).read_info()["weights_sha256"]
            for name in ("here", "there")
        }
        assert len(hashes) == 1


@pytest.mark.slow
def test_the_command_runs_on_a_cluster_and_stops_there(place: Path, cluster, cnn) -> None:
    address, _ = cluster(1)
    connect(address, 1).close()
    Path("s.yaml").write_text("config: tiny.yaml\ngrid: {seed: [1, 2]}\n")
    done = cnn("sweep", "s.yaml", "--on", f"dask://{address}", "--no-plots")
    assert done.exit_code == 0, done.output
    assert "2 of 2" in done.stderr
    Path("long.yaml").write_text("config: tiny.yaml\nset: {train.epochs: 5000}\ngrid: {seed: [1]}\n")
    definition = load_sweep("long.yaml")
    group = find_sweep(definition, "runs", None)
    trial = Run(group.path / "trial-0")
    with pytest.raises(CnnError, match="stopped after 0 of 1 trials"):
        stop = SweepEvents(stop=lambda: signal.SIGINT if trial.last_path.exists() else None)
        run_sweep(group, definition, connect(address, 1), stop)
    assert trial.status() == "interrupted"


def test_a_scheduler_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("cnncli.sweep.places.dask_cluster._CONNECT_SECONDS", 0.5)
    with pytest.raises(CnnError, match=r"no Dask scheduler answers at 127\.0\.0\.1:9"):
        DaskPlace("127.0.0.1:9")


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="need distributed") as caught:
        DaskPlace("127.0.0.1:9")
    assert 'pip install "cnncli[dask]"' in str(caught.value.hint)
