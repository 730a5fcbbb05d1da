"""Training runs that are killed, stopped, started at the same moment, and read while they run."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import numpy as np

from cnncli.checkpoint import load_checkpoint
from cnncli.data.readers.idx import write_idx
from cnncli.runs import Run, list_runs

from .bounded import ENVIRONMENT, cnn
from .outcome import Outcome

CONFIG = """
seed: 3
data: {dataset: DATA, validation: 30, augment: [{shift: 1}, {noise: 0.02}]}
model:
  - conv: {filters: 6, kernel: 3, padding: same, bias: false}
  - batchnorm
  - relu
  - maxpool: 2
  - flatten
  - dropout: 0.3
  - linear: 3
train:
  epochs: EPOCHS
  batch_size: 8
  optimizer: {name: adam, lr: 3e-3}
  schedule: one_cycle
  warmup_epochs: 1
  average: ema
  label_smoothing: 0.05
  clip_norm: 5
  patience: 50
  save_every: {steps: 3}
engine: {kind: fast, workers: 2, shards: 2}
"""

START_METHODS = ("fork", "spawn", "forkserver")


def write_config(folder: Path, epochs: int = 6) -> Path:
    """Write a small set of three classes and a config with every kind of state in it."""
    rng = np.random.default_rng(0)
    data = folder / "set"
    data.mkdir(parents=True)
    for prefix, count in (("train", 270), ("t10k", 30)):
        labels = np.arange(count, dtype=np.uint8) % 3
        images = rng.integers(0, 120, (count, 12, 12), dtype=np.uint8)
        for third in range(3):
            images[labels == third, :, 4 * third : 4 * third + 3] += 100
        write_idx(data / f"{prefix}-images-idx3-ubyte", images)
        write_idx(data / f"{prefix}-labels-idx1-ubyte", labels)
    config = folder / "small.yaml"
    config.write_text(CONFIG.replace("DATA", str(data)).replace("EPOCHS", str(epochs)))
    return config


def start(*arguments: str, cwd: Path) -> "subprocess.Popen[bytes]":
    """Start a command of the program in a group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "cnncli", *arguments],
        cwd=cwd,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def members(group: int) -> list[int]:
    """Return the living processes of a group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                after_name = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(after_name[2]) == group and after_name[0] != "Z":
                found.append(int(entry.name))
    return found


def seconds_until_gone(group: int, limit: float = 5) -> float | None:
    """Wait until no process of a group is left. Return None if one outlives the limit."""
    began = time.monotonic()
    while members(group):
        if time.monotonic() - began > limit:
            return None
        time.sleep(0.01)
    return time.monotonic() - began


def shared_memory(group: int) -> set[Path]:
    """Return the shared memory that has a name and that a living process of a group has mapped."""
    found = set()
    for member in members(group):
        try:
            maps = Path(f"/proc/{member}/maps").read_text()
        except OSError:
            continue
        fields = (line.split(maxsplit=5) for line in maps.splitlines() if " /dev/shm/" in line)
        found |= {Path(path) for *_, path in fields if not path.endswith(" (deleted)")}
    return found


@cache
def unbroken() -> dict[str, object]:
    """Train without a fault, and return the end that all other runs must reach."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        config = write_config(folder)
        done = cnn("train", "-c", str(config), "--name", "unbroken", "-q", "--no-plots", cwd=folder)
        if done.code:
            raise RuntimeError(done.stderr)
        return ending(Run(folder / "runs/unbroken"))


def ending(run: Run) -> dict[str, object]:
    """Return what two equal training runs have in common."""
    info = run.read_info()
    rows = [{**row, "time_s": 0} for row in run.read_metrics()]
    return {"rows": rows, **{key: info.get(key) for key in ("weights_sha256", "best_epoch", "test_accuracy")}}


def wait_for_saves(process: "subprocess.Popen[bytes]", path: Path, saves: int, delay: float) -> None:
    """Wait until a checkpoint was replaced `saves` times, then `delay` seconds, or until the process ends."""
    seen = path.stat().st_ino if path.exists() else None
    while saves and process.poll() is None:
        now = path.stat().st_ino if path.exists() else None
        saves -= now != seen
        seen = now
        time.sleep(0.001)
    time.sleep(delay)


@contextmanager
def watched(lost: list[str]) -> Iterator[Callable[["subprocess.Popen[bytes]", int], None]]:
    """Yield a function that signals a process, and note the shared memory that the signalled processes left behind.

    Only what they had mapped at that moment counts: other programs on this machine have shared memory too.
    """
    mapped: set[Path] = set()

    def send(process: "subprocess.Popen[bytes]", number: int) -> None:
        process.send_signal(signal.SIGSTOP)  # so that nothing is made between the look and the signal
        mapped.update(shared_memory(process.pid))
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)

    yield send
    if left := sorted(str(path) for path in mapped if path.exists()):
        lost.append(f"shared memory is left behind: {left}")


def kill_points(folder: Path, count: int) -> Outcome:
    """Kill training runs with SIGKILL at random moments, and resume each until it ends."""
    config, expected = write_config(folder), unbroken()
    dice, lost, kills, started, in_save, slowest = random.Random(1), [], 0, 0, 0, 0.0
    with watched(lost) as send:
        while kills < count:
            started += 1
            name = f"broken-{started}"
            run = Run(folder / "runs" / name)
            begin = ("train", "-c", str(config), "--name", name, "-q", "--no-plots")
            while not run.path.exists() or run.status() != "done":
                again = run.path.exists() and run.config_path.exists()
                if run.path.exists() and not again:
                    begin = (*begin, "--exist-ok")  # killed before it had written anything
                process = start(
                    *(("train", "--resume", name, "-q", "--no-plots") if again else begin), cwd=folder
                )
                wait_for_saves(
                    process, run.last_path, dice.randrange(0, 60), dice.choice([0, 0.002, 0.01, 0.3])
                )
                send(process, signal.SIGKILL)
                if process.wait() == -signal.SIGKILL:
                    kills += 1
                    gone = seconds_until_gone(process.pid)
                    slowest = max(slowest, 9.0 if gone is None else gone)
                    if gone is None:
                        lost.append(f"a worker outlived the training run {name} by five seconds")
                    in_save += any(run.path.rglob("*.tmp"))
                if not run.path.exists():
                    continue
                if run.status() == "running":
                    lost.append(f"{name} still says that it is running")
                for path in (run.last_path, run.best_path):
                    if path.exists():
                        load_checkpoint(path)  # raises where it was damaged
            if ending(run) != expected:
                lost.append(f"{name} ended differently from the uninterrupted run")
            if stray := [str(path) for path in run.path.rglob("*.tmp")]:
                lost.append(f"{name} has stray files: {stray}")
    return Outcome(
        "`kill -9` of a training run at a random moment, then `--resume`, until it ends",
        kills,
        f"{started} training runs, all with the SHA-256, metrics and best epoch of the uninterrupted one; {in_save} "
        f"kills inside a write; no process left {slowest:.1f} s after a kill",
        tuple(lost),
    )


def parents(group: int) -> dict[int, int]:
    """Return the living processes of a group, each with its parent."""
    found = {}
    for member in members(group):
        with suppress(OSError):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            found[member] = int(fields[1])
    return found


def killed_processes(folder: Path, count: int) -> Outcome:
    """Kill the caller, a worker or the whole group, for each way in which a worker is started, and resume."""
    config, expected = write_config(folder), unbroken()
    dice, lost, slowest = random.Random(4), [], 0.0
    cases = [(method, whom) for method in START_METHODS for whom in ("caller", "worker", "group")]
    with watched(lost) as send:
        for number in range(count):
            method, whom = cases[number % len(cases)]
            name = f"{method}-{whom}-{number}"
            run = Run(folder / "runs" / name)
            begin = ("train", "-c", str(config), "--name", name, "-q", "--no-plots")
            process = start(*begin, "--set", f"engine.start_method={method}", cwd=folder)
            wait_for_saves(process, run.last_path, dice.randrange(1, 30), dice.uniform(0, 0.01))
            family = parents(process.pid)
            (worker,) = set(family) - set(family.values())  # the server that forks is the parent of one
            asked = time.monotonic()
            if whom == "caller":
                send(process, signal.SIGKILL)
            elif whom == "worker":
                os.kill(worker, signal.SIGKILL)
            else:
                os.killpg(process.pid, signal.SIGKILL)
            _, words = process.communicate(timeout=20)
            if seconds_until_gone(process.pid) is None:
                lost.append(f"{name}: processes {members(process.pid)} are left after five seconds")
            slowest = max(slowest, time.monotonic() - asked)
            if whom == "worker" and (process.returncode != 1 or b"worker 1 of the engine died" not in words):
                lost.append(f"{name} ended with exit code {process.returncode}: {words[-300:]!r}")
            if run.status() == "running":
                lost.append(f"{name} still says that it is running")
            again = cnn("train", "--resume", name, "-q", "--no-plots", cwd=folder)
            if again.code or ending(run) != expected:
                lost.append(f"{name} ended differently from the uninterrupted run: {again.stderr[-300:]}")
    return Outcome(
        "`kill -9` of the caller, a worker or the whole group, with each `engine.start_method`, then `--resume`",
        count,
        f"the SHA-256 of the uninterrupted run; no process left {slowest:.1f} s after a kill, no shared memory",
        tuple(lost),
    )


def signals(folder: Path, count: int) -> Outcome:
    """Stop training runs with Ctrl-C and SIGTERM at random moments, and resume each until it ends."""
    config, expected = write_config(folder), unbroken()
    dice, lost, stops, slowest, started = random.Random(2), [], Counter(), 0.0, 0
    with watched(lost) as send:
        while stops.total() < count:
            started += 1
            name = f"stopped-{started}"
            run = Run(folder / "runs" / name)
            first = True
            while first or run.status() != "done":
                begin = ("train", "-c", str(config), "--name", name, "-q", "--no-plots")
                process = start(
                    *(begin if first else ("train", "--resume", name, "-q", "--no-plots")), cwd=folder
                )
                first = False
                wait_for_saves(process, run.last_path, dice.randrange(1, 30), dice.uniform(0, 0.02))
                number = dice.choice([signal.SIGINT, signal.SIGTERM])
                asked = time.monotonic()
                send(process, number)
                _, words = process.communicate(timeout=20)
                took = time.monotonic() - asked
                if run.status() == "done":  # the signal came too late to stop it, or while the process ended
                    if process.returncode not in (0, 128 + number, -number):
                        lost.append(f"{name} is done, with exit code {process.returncode}: {words[-300:]!r}")
                    continue
                stops[number.name] += 1
                slowest = max(slowest, took)
                if process.returncode != 128 + number:
                    lost.append(f"{number.name} ended with exit code {process.returncode}: {words[-300:]!r}")
                if run.status() != "interrupted":
                    lost.append(f"after {number.name} the status of {name} is {run.status()}")
                if f"cnn train --resume {name}".encode() not in words:
                    lost.append(f"{number.name} did not say how to go on: {words[-300:]!r}")
                if members(process.pid):
                    lost.append(f"{number.name} left processes behind")
            if ending(run) != expected:
                lost.append(f"{name} ended differently from the uninterrupted run")
    if slowest > 2:
        lost.append(f"a stop took {slowest:.1f} s")
    kinds = " and ".join(f"{stops[name]} {name}" for name in sorted(stops))
    return Outcome(
        "Ctrl-C and SIGTERM at a random step, then `--resume`",
        stops.total(),
        f"{kinds}; exit 130 and 143, the slowest after {slowest:.1f} s; {started} training runs with the SHA-256 of "
        "the uninterrupted one",
        tuple(lost),
    )


def second_signals(folder: Path, count: int) -> Outcome:
    """Send two signals at once: the second one ends the process at once, and the checkpoint loads."""
    config = write_config(folder)
    dice, lost, slowest = random.Random(3), [], 0.0
    for number in range(count):
        name = f"twice-{number}"
        run = Run(folder / "runs" / name)
        process = start("train", "-c", str(config), "--name", name, "-q", "--no-plots", cwd=folder)
        wait_for_saves(process, run.last_path, dice.randrange(1, 10), 0)
        asked = time.monotonic()
        for kind in (signal.SIGINT, dice.choice([signal.SIGINT, signal.SIGTERM])):
            process.send_signal(kind)
            time.sleep(0.001)
        process.communicate(timeout=20)
        slowest = max(slowest, time.monotonic() - asked)
        load_checkpoint(run.last_path)
        if run.status() == "running" or seconds_until_gone(process.pid) is None:
            lost.append(f"{name}: {run.status()}, processes {members(process.pid)}")
    return Outcome(
        "two signals in a row",
        count,
        f"ended within {slowest:.1f} s; every checkpoint loads",
        tuple(lost),
    )


def many_starts(folder: Path, count: int) -> Outcome:
    """Start training runs at the same moment in one folder of runs."""
    config = write_config(folder, epochs=1)
    lost: list[str] = []
    began = [start("train", "-c", str(config), "-q", "--no-plots", cwd=folder) for _ in range(count)]
    for process in began:
        _, words = process.communicate(timeout=600)
        if process.returncode:
            lost.append(f"exit code {process.returncode}: {words[-300:]!r}")
    runs = list_runs(folder / "runs")
    names = sorted((run.name for run in runs), key=lambda name: int(name.removeprefix("run-")))
    hashes = {run.read_info().get("weights_sha256") for run in runs}
    if names != [f"run-{number}" for number in range(1, count + 1)]:
        lost.append(f"the folders are {names}")
    if any(run.status() != "done" for run in runs) or len(hashes) != 1:
        lost.append("not all of them ended with the same weights")
    return Outcome(
        "training runs started at once in one folder",
        count,
        f"{len(runs)} run folders, all with the same weights",
        tuple(lost),
    )


def evaluations_meanwhile(folder: Path, count: int) -> Outcome:
    """Evaluate and inspect a run while it is being trained."""
    config = write_config(folder, epochs=100_000)
    lost: list[str] = []
    endless = ("--set", "train.patience=null")
    process = start("train", "-c", str(config), "--name", "busy", "-q", *endless, cwd=folder)
    run = Run(folder / "runs/busy")
    wait_for_saves(process, run.last_path, 5, 0)
    try:
        for number in range(count):
            command = (
                ("eval", "busy", "--json", "--checkpoint", "last")
                if number % 3
                else ("inspect", "busy", "--json")
            )
            done = cnn(*command, cwd=folder)
            if done.code or not json.loads(done.stdout):
                lost.append(f"{' '.join(command)}: exit code {done.code}, {done.stderr[-300:]}")
        if process.poll() is not None:
            lost.append("the training run ended meanwhile")
    finally:
        process.kill()
        process.communicate()
    return Outcome(
        "`cnn eval` and `inspect` of a run that saves many times a second",
        count,
        "all read a whole checkpoint",
        tuple(lost),
    )
