"""An unfinished file has one owner at a time, outlives it, and never spoils somebody's finished file."""

import os
import threading

import pytest

from cnncli.data.download.part_file import claimed_part

fcntl = pytest.importorskip("fcntl")


def test_what_is_left_in_the_file_is_there_for_the_next(tmp_path):
    target = tmp_path / "a.gz"
    with claimed_part(target) as part:
        part.append(b"one ")
    with claimed_part(target) as part:
        assert part.size == 4
        part.append(b"two")
        part.move_to(target)
    assert [path.name for path in tmp_path.iterdir()] == ["a.gz"]
    assert target.read_bytes() == b"one two"


def test_an_empty_file_is_not_left_behind(tmp_path):
    with claimed_part(tmp_path / "a.gz") as part:
        part.append(b"x")
        part.restart()
    assert list(tmp_path.iterdir()) == []


def test_what_was_fetched_survives_an_error(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with claimed_part(tmp_path / "a.gz") as part:
            part.append(b"x")
            raise KeyboardInterrupt
    assert (tmp_path / "a.gz.part").read_bytes() == b"x"


def test_the_second_waits_until_the_first_has_finished(tmp_path):
    target = tmp_path / "a.gz"
    waiting = threading.Event()
    seen = []

    def second():
        with claimed_part(target, on_wait=waiting.set) as part:
            seen.append((target.read_bytes(), part.size))

    thread = threading.Thread(target=second)
    with claimed_part(target) as part:
        thread.start()
        assert waiting.wait(30)
        part.append(b"whole")
        part.move_to(target)
    thread.join()
    assert seen == [(b"whole", 0)]
    assert [path.name for path in tmp_path.iterdir()] == ["a.gz"]


def test_a_file_finished_between_opening_and_locking_is_not_touched(tmp_path, monkeypatch):
    target = tmp_path / "a.gz"
    (tmp_path / "a.gz.part").write_bytes(b"whole")
    real = fcntl.flock
    moves = [lambda: os.replace(tmp_path / "a.gz.part", target)]

    def another_process_is_faster(file, operation):
        if moves:
            moves.pop()()
        real(file, operation)

    monkeypatch.setattr(fcntl, "flock", another_process_is_faster)
    with claimed_part(target) as part:
        assert part.size == 0
        part.append(b"other")
    assert target.read_bytes() == b"whole"


def test_without_locks_every_process_has_a_file_of_its_own(tmp_path, monkeypatch):
    def no_locks(file, operation):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    target = tmp_path / "a.gz"
    with claimed_part(target) as first, claimed_part(target) as second:
        assert first.path != second.path
        first.append(b"one")
        second.append(b"two")
        second.move_to(target)
    assert target.read_bytes() == b"two"
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []
