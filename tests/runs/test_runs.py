"""Run folders: everyone gets one of their own, finds it again, and knows what became of it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnncli
from cnncli.errors import RunError, StorageError, UsageError
from cnncli.runs import (
    COLUMNS,
    KILLED,
    Run,
    create_run,
    find_run,
    latest_finished,
    list_runs,
    machine_facts,
)
from cnncli.runs.machine import git_commit, is_alive, process_identity
from tests.small_disk import fill, needs_mount, small_disk

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(cnncli.__file__).parents[1])}


def run_code(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python code in another process."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=ENVIRONMENT, text=True, capture_output=True, check=True)


def finished_run(runs_dir: Path, name: str | None = None, status: str = "done") -> Run:
    """Create a run that has all that a run can have."""
    run = create_run(runs_dir, name)
    run.config_path.write_text("seed: 1\n")
    run.best_path.write_bytes(b"weights")
    run.write_info(status=status)
    return run


# Names


def test_runs_are_numbered_after_the_highest_there_is(tmp_path: Path) -> None:
    runs_dir = tmp_path / "deep" / "runs"
    assert [create_run(runs_dir).name for _ in range(3)] == ["run-1", "run-2", "run-3"]
    (runs_dir / "run-12").mkdir()
    (runs_dir / "run-9999999999999").mkdir()
    (runs_dir / "run-13-wide").mkdir()
    (runs_dir / "run-20").touch()
    assert create_run(runs_dir).name == "run-21"


def test_a_new_run_has_its_folders_and_says_that_it_is_running(tmp_path: Path) -> None:
    run = create_run(tmp_path)
    assert run.path == tmp_path / "run-1"
    assert run.checkpoints.is_dir() and run.eval_dir.is_dir()
    assert run.status() == "running"
    assert run.read_info()["created"].endswith("+00:00")
    assert run.read_metrics() == []


FIFTY = """
import os, sys
from cnncli.runs import create_run
ready_in, ready_out = os.pipe()
children = []
for _ in range(50):
    pid = os.fork()
    if pid == 0:
        os.close(ready_out)
        os.read(ready_in, 1)  # all wait until the last one is there, and the pipe is closed
        os.write(1, create_run(sys.argv[1]).name.encode() + b" ")  # in one piece
        os._exit(0)
    children.append(pid)
os.close(ready_out)
assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
"""


@posix
def test_fifty_processes_at_once_get_fifty_folders(tmp_path: Path) -> None:
    names = run_code(FIFTY, tmp_path).stdout.split()
    assert sorted(names) == sorted(f"run-{n}" for n in range(1, 51))
    assert sorted(os.listdir(tmp_path)) == sorted(names)


@pytest.mark.parametrize("name", ["wide", "lr=3e-4", "größe_2", "a", "3", "run-7", "v1.2+b@x", "n" * 100])
def test_a_run_can_be_given_a_name(tmp_path: Path, name: str) -> None:
    assert create_run(tmp_path, name).path == tmp_path / name


WORDS = (".", "..", "latest", "Latest", "-x", ".hidden", "x.", "ends ", "a b", "a\n", "~", "a\0b")
PATHS = ("a/b", "a\\b", "/abs", "../up", "a:b", "a*")


@pytest.mark.parametrize("name", ["", *WORDS, *PATHS, "n" * 101])
def test_what_is_no_name_of_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        create_run(tmp_path / "runs", name)
    assert os.listdir(tmp_path) == []


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    create_run(tmp_path, "wide")
    with pytest.raises(RunError, match="wide exists already") as caught:
        create_run(tmp_path, "wide")
    assert "`exist_ok=True`" in (caught.value.hint or "") and "`resume=True`" in (caught.value.hint or "")
    assert caught.value.run == tmp_path / "wide"
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="file exists already"):
        create_run(tmp_path, "file", exist_ok=True)


def test_exist_ok_starts_over_and_leaves_foreign_files_alone(tmp_path: Path) -> None:
    run = finished_run(tmp_path, "wide")
    run.append_metrics(row(1))
    (run.eval_dir / "test.json").write_text("{}")
    (run.path / "notes.txt").write_text("mine")
    (run.eval_dir / "notes.txt").write_text("mine")
    again = create_run(tmp_path, "wide", exist_ok=True)
    assert again.missing() == ["config.yaml", "checkpoint"]
    assert again.read_metrics() == [] and again.status() == "running"
    assert (run.path / "notes.txt").exists()
    assert os.listdir(run.eval_dir) == ["notes.txt"]
    assert create_run(tmp_path, "fresh", exist_ok=True).status() == "running"


def test_exist_ok_does_not_touch_a_run_that_is_being_trained(tmp_path: Path) -> None:
    run = finished_run(tmp_path, "wide")
    with run.lock(), pytest.raises(RunError, match="is being trained"):
        create_run(tmp_path, "wide", exist_ok=True)
    assert run.missing() == []


def test_a_folder_that_cannot_be_created_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot create the folder"):
        create_run(tmp_path / "file")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="the disk is full"):
        create_run(tmp_path / "runs")


def test_a_disk_that_is_full_at_the_start_leaves_no_empty_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageError, match="the disk is full"):
        create_run(tmp_path)
    assert os.listdir(tmp_path) == []


# Finding


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder of runs: run-1, run-2, wide-a, wide-b, narrow (the newest), and things that are none."""
    runs_dir = tmp_path / "runs"
    for name in ("run-1", "run-2", "wide-a", "wide-b", "narrow"):
        finished_run(runs_dir, name)
    (runs_dir / "notes").mkdir()
    (runs_dir / ".hidden").mkdir()
    (runs_dir / "README.txt").touch()
    return runs_dir


@pytest.mark.parametrize(
    ("text", "name"),
    [("run-1", "run-1"), ("run-1/", "run-1"), ("n", "narrow"), ("wide-a", "wide-a"), ("latest", "narrow")],
)
def test_a_run_is_found_by_name_beginning_or_latest(runs: Path, text: str, name: str) -> None:
    assert find_run(text, runs).path == runs / name


def test_a_run_is_found_by_path(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_run(str(runs / "wide-a"), runs_dir="elsewhere").name == "wide-a"
    monkeypatch.chdir(runs)
    assert find_run("wide-a").name == "wide-a"
    assert find_run("./run-2").name == "run-2"
    monkeypatch.chdir(runs / "run-2")
    assert find_run(".").name == "run-2"
    assert find_run("../run-1").name == "run-1"


def test_a_whole_name_comes_before_a_beginning(runs: Path) -> None:
    finished_run(runs, "wide")
    assert find_run("wide", runs).name == "wide"


def test_a_beginning_of_several_names_lists_them(runs: Path) -> None:
    with pytest.raises(RunError, match=r"'wid' may be any of wide-a, wide-b$"):
        find_run("wid", runs)
    for number in range(20):
        finished_run(runs, f"w{number}")
    with pytest.raises(RunError, match=r"w12, .*, w19 and 14 older ones$"):
        find_run("w", runs)


def test_a_numbered_name_is_not_the_beginning_of_another(runs: Path) -> None:
    finished_run(runs, "run-30")
    with pytest.raises(RunError, match="there is no run 'run-3'"):
        find_run("run-3", runs)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("rnu-1", "did you mean 'run-1'?"),
        ("xyz", "known: run-1, run-2, wide-a, wide-b, narrow"),
        ("", "known"),
    ],
)
def test_a_run_that_does_not_exist_gets_a_hint(runs: Path, text: str, hint: str) -> None:
    with pytest.raises(RunError, match=f"there is no run '{text}'") as caught:
        find_run(text, runs)
    assert (caught.value.hint or "").startswith(hint)


def test_of_many_runs_the_hint_names_the_latest(runs: Path) -> None:
    for _ in range(10):
        create_run(runs)
    with pytest.raises(RunError) as caught:
        find_run("xyz", runs)
    assert caught.value.hint == "the latest are " + ", ".join(f"run-{n}" for n in range(5, 13))


@pytest.mark.parametrize("text", ["latest", "run-1", "x"])
def test_without_any_run_the_hint_is_to_train_one(tmp_path: Path, text: str) -> None:
    with pytest.raises(RunError, match="holds no runs yet") as caught:
        find_run(text, tmp_path / "runs")
    assert caught.value.hint == "train one: `train_run`"


def test_a_file_is_no_run(runs: Path) -> None:
    with pytest.raises(RunError, match="is a file; a run is a folder") as caught:
        find_run(str(runs / "run-1" / "checkpoints" / "best.npz"), runs)
    assert caught.value.hint == f"did you mean {runs / 'run-1'}?"
    with pytest.raises(RunError, match="is a file") as caught:
        find_run(str(runs / "README.txt"), runs)
    assert caught.value.hint is None


def test_a_folder_that_is_no_run_says_what_it_lacks(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"notes has no run\.json and no config\.yaml and no checkpoint"):
        find_run("notes", runs)
    run = create_run(runs, "young")
    run.config_path.write_text("seed: 1\n")
    with pytest.raises(RunError, match=r"young has no checkpoint$") as caught:
        find_run("young", runs)
    assert "status is running" in (caught.value.hint or "")
    assert find_run("young", runs, needs=["config.yaml"]) == run
    with pytest.raises(RunError, match="has no run"):
        find_run(str(tmp_path), runs)


def test_runs_are_listed_by_age_and_other_things_left_out(runs: Path) -> None:
    assert [run.name for run in list_runs(runs)] == ["run-1", "run-2", "wide-a", "wide-b", "narrow"]
    assert list_runs(runs / "none") == [] and list_runs(runs / "README.txt") == []


def test_runs_of_the_same_moment_or_of_none_are_listed_by_number(tmp_path: Path) -> None:
    for name in ("run-10", "run-9", "run-x", "10", "old"):
        create_run(tmp_path, name).write_info(created="2026-01-01T00:00:00+00:00")
    assert [run.name for run in list_runs(tmp_path)] == ["10", "old", "run-9", "run-10", "run-x"]
    (tmp_path / "old" / "run.json").write_text('{"created": "long ago"}')
    os.utime(tmp_path / "old", (0, 0))
    (tmp_path / "10" / "run.json").write_text("damaged")
    assert [run.name for run in list_runs(tmp_path)] == ["old", "run-9", "run-10", "run-x", "10"]


def test_the_latest_finished_run_is_done_and_has_a_checkpoint(tmp_path: Path) -> None:
    assert latest_finished(tmp_path) is None
    finished_run(tmp_path, "good")
    finished_run(tmp_path, "failed", "failed")
    finished_run(tmp_path, "empty").best_path.unlink()
    create_run(tmp_path, "new")
    found = latest_finished(tmp_path)
    assert found is not None and found.name == "good"


# run.json


def test_fields_are_merged_and_kept(tmp_path: Path) -> None:
    run = create_run(tmp_path)
    run.write_info(seed=np.int64(3), best={"accuracy": np.float64(0.5)}, path=tmp_path, word="ü")
    run.write_info(status="done", seed=4)
    info = json.loads(run.info_path.read_text(encoding="utf-8"))
    assert (info["name"], info["seed"], info["best"]) == ("run-1", 4, {"accuracy": 0.5})
    assert (info["path"], info["word"], info["status"]) == (str(tmp_path), "ü", "done")
    assert "process" not in info
    with pytest.raises(TypeError, match="not a JSON value"):
        run.write_info(what=object())
    assert run.read_info() == info


@pytest.mark.parametrize("text", ["", "{", "[1]", '"text"', "[" * 5000, "\udcff"])
def test_a_damaged_run_json_is_named(tmp_path: Path, text: str) -> None:
    run = create_run(tmp_path)
    run.info_path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(RunError, match=r"run\.json is damaged"):
        run.read_info()
    assert run.status() == "unknown"


@pytest.mark.parametrize("status", ["done", "failed", "interrupted"])
def test_the_status_is_what_was_written(tmp_path: Path, status: str) -> None:
    assert finished_run(tmp_path, status=status).status() == status


def test_a_status_that_does_not_exist_is_unknown(tmp_path: Path) -> None:
    assert finished_run(tmp_path, status="asleep").status() == "unknown"
    assert Run(tmp_path / "none").status() == "unknown"


@posix
def test_a_running_run_whose_process_was_killed_is_seen_as_interrupted(tmp_path: Path) -> None:
    code = (
        "import sys; from cnncli.runs import create_run; create_run(sys.argv[1]); print(1); sys.stdin.read()"
    )
    command = [sys.executable, "-uc", code, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=ENVIRONMENT, **pipes) as process:
        assert process.stdout is not None and process.stdout.readline() == b"1\n"
        run = find_run("run-1", tmp_path, needs=())
        assert run.status() == "running"
        process.kill()
        deadline = time.monotonic() + 20
        while sys.platform == "linux" and run.status() == "running" and time.monotonic() < deadline:
            time.sleep(0.01)  # dead, though its parent has not asked for it yet
        process.wait()
        assert run.status() == KILLED == "interrupted (killed)"


@linux
@pytest.mark.parametrize(
    ("change", "alive"),
    [
        ({}, True),
        ({"start": 1}, False),
        ({"boot": "another"}, False),
        ({"pid": 2**22 + 1}, False),
        ({"pid": 10**30}, True),
        ({"pid": 1}, False),
        ({"pid": -1}, True),
        ({"pid": "7"}, True),
        ({"host": "another", "pid": 2**22 + 1}, True),
    ],
)
def test_a_process_is_told_from_a_later_one_of_its_number(change: dict[str, Any], alive: bool) -> None:
    """What cannot be known counts as alive: another host, a process number that is none."""
    assert is_alive({**process_identity(), **change}) is alive


@linux
def test_the_start_of_a_process_is_read_whatever_its_name(tmp_path: Path) -> None:
    code = """
from pathlib import Path
from cnncli.runs.machine import process_identity
plain = process_identity()
Path("/proc/self/comm").write_text("a) R 1 (b")
print(process_identity() == plain and plain["start"] > 0)
"""
    assert run_code(code).stdout == "True\n"


# The lock


HOLD = """
import os, sys
from pathlib import Path
from cnncli.runs import Run
with Run(Path(sys.argv[1])).lock():
    if sys.argv[2] == "fork" and os.fork() == 0:
        print("worker", os.getpid(), flush=True)
        sys.stdin.read()
        os._exit(0)
    if sys.argv[2] == "alone":
        print("alone", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(run: Run, kind: str = "alone") -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A process that holds the lock of a run, and what it said."""
    command = [sys.executable, "-c", HOLD, str(run.path), kind]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=ENVIRONMENT, text=True, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout is not None
        yield process, process.stdout.readline().split()
        process.kill()


@posix
def test_a_run_is_trained_by_one_process_at_a_time(tmp_path: Path) -> None:
    run = create_run(tmp_path)
    with held(run) as (process, _):
        with pytest.raises(RunError, match=f"run-1 is being trained by process {process.pid}$"), run.lock():
            pytest.fail("the lock was given twice")
        process.kill()
        process.wait()
        with run.lock():
            pass


@posix
def test_a_worker_that_outlives_its_killed_parent_does_not_keep_the_lock(tmp_path: Path) -> None:
    run = create_run(tmp_path)
    with held(run, "fork") as (process, said):
        worker = int(said[1])
        process.kill()
        process.wait()
        os.kill(worker, 0)
        with run.lock():
            pass
        os.kill(worker, signal.SIGKILL)


UNWIND_IN_CHILD = """
import os, sys
from pathlib import Path
from cnncli.runs import Run
run = Run(Path(sys.argv[1]))
with run.lock():
    held = (run.path / ".lock").read_text()
    child = os.fork()
    if child == 0:
        other = open(run.path / "other", "w+")  # gets the number that the lock file had
        other.write("kept")
        other.flush()
    else:
        assert os.waitpid(child, 0)[1] == 0
        assert (run.path / ".lock").read_text() == held
        assert (run.path / "other").read_text() == "kept"
        print("parent held it to the end")
"""


@posix
def test_a_forked_child_that_leaves_the_block_touches_neither_the_lock_nor_another_file(
    tmp_path: Path,
) -> None:
    run = create_run(tmp_path)
    assert run_code(UNWIND_IN_CHILD, run.path).stdout == "parent held it to the end\n"


def test_the_lock_is_free_after_the_block_however_it_ends(tmp_path: Path) -> None:
    run = create_run(tmp_path)
    with pytest.raises(ValueError), run.lock():
        raise ValueError
    with run.lock(), pytest.raises(RunError, match=f"by process {os.getpid()}$"), run.lock():
        pass
    with run.lock():
        pass


def test_a_holder_on_another_host_is_named_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = create_run(tmp_path)
    with run.lock():
        monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
        here = json.loads((run.path / ".lock").read_text())["host"]
        with pytest.raises(RunError, match=f"by process {os.getpid()} on {here}$"), run.lock():
            pass
        (run.path / ".lock").write_text("what?")
        with pytest.raises(RunError, match=r"by another process$"), run.lock():
            pass


def test_taking_the_lock_removes_what_a_killed_writer_left(tmp_path: Path) -> None:
    run = create_run(tmp_path)
    strays = [run.path / ".run.json.1.0a1b2c3d.tmp", run.checkpoints / ".last.npz.1.0a1b2c3d.tmp"]
    for stray in strays:
        stray.touch()
    with run.lock():
        assert not any(stray.exists() for stray in strays)


# metrics.csv


def row(epoch: int, **changes: Any) -> dict[str, Any]:
    """A row of metrics.csv."""
    return {
        "epoch": epoch,
        "step": 430 * epoch,
        "time_s": 1.25 * epoch,
        "lr": 1e-3,
        "train_loss": 1 / 3,
        "train_accuracy": 0.9,
        "val_loss": np.float32(0.1),
        "val_accuracy": None,
        **changes,
    }


def test_metrics_have_one_header_and_one_row_an_epoch(tmp_path: Path) -> None:
    run = create_run(tmp_path)
    run.append_metrics(row(1))
    run.append_metrics({**row(2), "best": True})
    assert run.metrics_path.read_text().splitlines() == [
        "epoch,step,time_s,lr,train_loss,train_accuracy,val_loss,val_accuracy",
        "1,430,1.25,0.001,0.3333333333333333,0.9,0.10000000149011612,",
        "2,860,2.5,0.001,0.3333333333333333,0.9,0.10000000149011612,",
    ]


def test_metrics_are_read_as_they_were_written(tmp_path: Path) -> None:
    run = create_run(tmp_path)
    rows = [
        row(1, lr=1e-300, val_loss=np.inf),
        row(3, train_loss=np.pi, val_accuracy=1.0),
        row(4, val_loss=-np.inf),
    ]
    for given in rows:
        run.append_metrics(given)
    assert run.read_metrics() == rows
    run.rewrite_metrics(rows[1:])
    assert run.read_metrics() == rows[1:]
    run.append_metrics(row(5, train_loss=np.nan))
    assert np.isnan(run.read_metrics()[-1]["train_loss"])


@pytest.mark.parametrize("name", COLUMNS)
def test_a_row_has_every_column(tmp_path: Path, name: str) -> None:
    given = row(1)
    del given[name]
    with pytest.raises(KeyError):
        create_run(tmp_path).append_metrics(given)


def test_truncated_metrics_go_on_without_a_doubled_or_a_lost_row(tmp_path: Path) -> None:
    run = create_run(tmp_path)
    for epoch in (1, 2, 3):
        run.append_metrics(row(epoch))
    assert [left["epoch"] for left in run.truncate_metrics(after_epoch=2)] == [1, 2]
    run.append_metrics(row(3))
    assert [left["epoch"] for left in run.read_metrics()] == [1, 2, 3]
    assert run.truncate_metrics(after_epoch=0) == []
    run.append_metrics(row(1))
    assert len(run.read_metrics()) == 1


def test_a_row_cut_anywhere_is_left_out_and_written_over(tmp_path: Path) -> None:
    """kill -9 in the middle of a write leaves a beginning of header and row."""
    run = create_run(tmp_path)
    run.append_metrics(row(1))
    run.append_metrics(row(2))
    whole = run.metrics_path.read_bytes()
    ends = [index + 1 for index, byte in enumerate(whole) if byte == ord("\n")]
    for length in range(len(whole)):
        run.metrics_path.write_bytes(whole[:length])
        epochs = list(range(1, sum(end <= length for end in ends)))
        assert [left["epoch"] for left in run.read_metrics()] == epochs
        if length % 7 == 0:
            run.append_metrics(row(9))
            assert [left["epoch"] for left in run.read_metrics()] == [*epochs, 9]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epoch,loss\n", r"metrics\.csv:1: expected the header epoch,step"),
        ("{header}\n1,2,3\n", r"metrics\.csv:2: expected 8 numbers"),
        ("{header}\n1,2,3,4,5,6,7,8\n\n", r"metrics\.csv:3: expected 8 numbers"),
        ("{header}\n1,2,3,4,5,6,7,8\n1,2,3,4,5,6,7,8\n", r"metrics\.csv:3: epoch 1 follows epoch 1"),
        ("{header}\n1.5,2,3,4,5,6,7,8\n", "expected 8 numbers"),
        ("{header}\n1,2,,4,5,6,7,8\n", "expected 8 numbers"),
        ("{header}\n1,2,3,4,five,6,7,8\n", "expected 8 numbers"),
        ("{header}\n1,2,3,4,1_0,6,7,8\n", "expected 8 numbers"),
        ("{header}\n1,2,3,4,5,6,7,8,9\n", "expected 8 numbers"),
        ("{header}\n1,2,3,4,5,6,7,½\n", "expected 8 numbers"),
    ],
)
def test_metrics_that_are_none_name_the_line(tmp_path: Path, text: str, words: str) -> None:
    run = create_run(tmp_path)
    run.metrics_path.write_text(text.replace("{header}", ",".join(COLUMNS)), encoding="utf-8")
    with pytest.raises(RunError, match=words):
        run.read_metrics()


def test_metrics_saved_by_a_spreadsheet_are_read(tmp_path: Path) -> None:
    run = create_run(tmp_path)
    run.append_metrics(row(1))
    run.metrics_path.write_bytes(run.metrics_path.read_bytes().replace(b"\n", b"\r\n"))
    assert run.read_metrics() == [row(1)]


@pytest.mark.slow
@needs_mount
def test_a_full_disk_costs_no_row_and_no_field(tmp_path: Path) -> None:
    with small_disk(tmp_path, kilobytes=200):
        run = create_run(tmp_path)
        for epoch in range(1, 21):
            run.append_metrics(row(epoch))
        before = run.read_info()
        fill(tmp_path / "other", leave=0)
        with pytest.raises(StorageError, match=r"cannot write .*run\.json: the disk is full"):
            run.write_info(status="done")
        with pytest.raises(StorageError, match="the disk is full"):
            run.rewrite_metrics([row(1)])
        with pytest.raises(StorageError, match=r"cannot write .*metrics\.csv: the disk is full"):
            for epoch in range(21, 100):  # the last page of the file has room for a few
                run.append_metrics(row(epoch))
        with pytest.raises(StorageError, match="the disk is full"):
            create_run(tmp_path, "wide")
        assert run.read_info() == before
        epochs = [found["epoch"] for found in run.read_metrics()]
        assert epochs == list(range(1, epoch))
        assert sorted(os.listdir(tmp_path)) == ["other", "run-1"]
        (tmp_path / "other").unlink()
        run.append_metrics(row(epoch))
        run.write_info(status="done")
        assert run.status() == "done" and run.read_metrics()[-1] == row(epoch)


# The machine


def test_the_machine_and_what_it_ran_are_noted() -> None:
    facts = machine_facts()
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["numpy"] == np.__version__ and facts["cnncli"] == cnncli.__version__
    assert facts["command_line"] == sys.argv
    assert 1 <= facts["cpus_usable"] <= facts["cpu_count"]
    assert facts["blas"] != "unknown"
    json.dumps(facts)


def test_the_commit_is_that_of_the_folder_or_none(tmp_path: Path) -> None:
    assert git_commit(tmp_path / "missing") is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@example.org"]
    try:
        subprocess.run([*git, "init", "-q"], check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("git is not installed")
    assert git_commit(tmp_path) is None
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    assert git_commit(tmp_path) == head.strip() and len(head.strip()) == 40
