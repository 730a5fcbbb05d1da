"""Run folders: each process gets one of its own, and a run knows what became of it."""

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

import numpy as np
import pytest

from cnncli.errors import RunError, StorageError, UsageError
from cnncli.runs import KILLED, Run, create_run, find_run
from tests.runs.sample import ENVIRONMENT, finished_run, row, run_code

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


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
