"""The campaign of faults runs, each kind a few times; the whole of it is `python -m tests.faults`."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.training_runs import watched

ROOT = Path(__file__).parents[1]


def campaign(scale: float, *kinds: str) -> str:
    command = [sys.executable, "-m", "tests.faults", "--scale", str(scale), "--only", *kinds]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


def test_training_runs_that_are_killed_and_stopped() -> None:
    told = campaign(0.01, "kill_points", "signals", "second_signals", "many_starts", "evaluations_meanwhile")
    assert told.count("| nothing |") == 5


@pytest.mark.slow
def test_training_runs_that_are_killed_often_and_started_at_once() -> None:
    """The test above runs most of these kinds, a fifth as often."""
    told = campaign(0.05, "kill_points", "killed_processes", "signals", "many_starts")
    assert told.count("| nothing |") == 4


def test_damaged_inputs() -> None:
    told = campaign(0.002, "configs", "checkpoints", "idx_files", "pictures")
    assert told.count("| nothing |") == 4


def test_bombs_are_refused() -> None:
    assert "each refused with a message" in campaign(0.3, "bombs")


def test_the_table_of_the_docs_is_that_of_the_campaign() -> None:
    page = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and line.endswith(" nothing |")]
    assert len(rows) == 15


def test_only_shared_memory_of_the_own_processes_is_called_left_behind(tmp_path: Path) -> None:
    hold = (
        "import mmap, sys, time; file = open(sys.argv[1], 'w+b'); file.truncate(9);"
        "held = mmap.mmap(file.fileno(), 9); print(flush=True); time.sleep(60)"
    )
    names = [f"/dev/shm/cnn-test-{os.getpid()}-{whose}" for whose in ("own", "foreign")]
    held = [
        subprocess.Popen([sys.executable, "-c", hold, name], stdout=subprocess.PIPE, start_new_session=True)
        for name in names
    ]
    lost: list[str] = []
    try:
        with watched(lost) as send:
            for process in held:
                process.stdout.read(1)  # it has the memory now
            send(held[0], signal.SIGKILL)
            held[0].wait()
    finally:
        for process, name in zip(held, names, strict=True):
            process.kill()
            process.communicate()
            Path(name).unlink(missing_ok=True)
    assert lost == [f"shared memory is left behind: ['{names[0]}']"]
