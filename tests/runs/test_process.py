"""A process is recognized later, also when its number belongs to another one by then."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cnncli.runs import process
from cnncli.runs.process import is_alive, process_identity
from tests.runs.sample import run_code

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


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


@pytest.fixture
def without_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A system whose /proc is this empty folder."""
    monkeypatch.setattr(process, "_PROC", tmp_path)
    process._boot_id.cache_clear()
    yield tmp_path
    process._boot_id.cache_clear()


def test_without_proc_a_process_is_known_by_its_number_alone(without_proc: Path) -> None:
    identity = process_identity()
    assert (identity["start"], identity["boot"]) == (None, None)
    assert is_alive(identity)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert not is_alive({**identity, "pid": ended.pid})


@linux
def test_what_was_not_recorded_or_cannot_be_read_now_tells_nothing(without_proc: Path) -> None:
    recorded = {**process_identity(), "start": 12345, "boot": "a"}
    assert is_alive(recorded)  # /proc is hidden now
    (without_proc / str(recorded["pid"])).mkdir()
    (without_proc / str(recorded["pid"]) / "stat").write_text("1 (x) S cut short")
    assert is_alive(recorded)
    process._PROC = Path("/proc")
    process._boot_id.cache_clear()
    assert is_alive({**recorded, "start": None, "boot": None})  # it was hidden then
    assert not is_alive({**recorded, "start": 1, "boot": None})


@linux
def test_the_start_of_a_process_is_read_whatever_its_name(tmp_path: Path) -> None:
    code = """
from pathlib import Path
from cnncli.runs.process import process_identity
plain = process_identity()
Path("/proc/self/comm").write_text("a) R 1 (b")
print(process_identity() == plain and plain["start"] > 0)
"""
    assert run_code(code).stdout == "True\n"
