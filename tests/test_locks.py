"""A lock has one holder at a time, names it, and waits only where it is asked to."""

import os
import threading
from pathlib import Path

import pytest

from cnncli import locks


def test_a_lock_is_given_to_one_open_file_at_a_time(tmp_path: Path) -> None:
    with open(tmp_path / "f", "wb") as first, open(tmp_path / "f", "wb") as second:
        assert locks.lock(first)
        assert not locks.lock(second)
        first.close()
        assert locks.lock(second)


def test_a_waiting_lock_gets_the_file_when_its_holder_closes_it(tmp_path: Path) -> None:
    with open(tmp_path / "f", "wb") as first, open(tmp_path / "f", "wb") as second:
        assert locks.lock(first)
        threading.Timer(0.2, first.close).start()
        assert locks.lock(second, wait=True)
        assert first.closed


def test_a_lock_file_names_its_holder_until_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    held = locks.hold(path)
    with pytest.raises(locks.HeldError, match=f"^process {os.getpid()}$"):
        locks.hold(path)
    locks.release(held)
    assert path.read_bytes() == b""
    locks.release(locks.hold(path))


def test_a_file_system_without_locks_keeps_nobody_from_working(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> bool:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(locks, "lock", refuse)
    first, second = locks.hold(tmp_path / "lock"), locks.hold(tmp_path / "lock")
    locks.release(first)
    locks.release(second)
