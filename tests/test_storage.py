"""Writes happen whole or not at all, and disk errors are said in plain words."""

import errno
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cnncli import storage
from cnncli.errors import StorageError
from cnncli.storage import (
    append_durably,
    atomic_file,
    make_folder,
    remove_abandoned,
    take_folder,
    write_bytes_atomic,
    write_text_atomic,
)

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")

HOLD_A_TEMPORARY = """
import sys
from cnncli.storage import atomic_file
with atomic_file(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    sys.stdin.read()
"""


@contextmanager
def writer_at_work(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has opened `path` for an atomic write, and waits in the middle of it."""
    command = [sys.executable, "-c", HOLD_A_TEMPORARY, str(path)]
    root = str(Path(storage.__file__).parents[1])
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    with process:
        assert process.stdout is not None and process.stdout.readline() == "writing\n"
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file of this process may grow beyond `size` bytes (Python ignores the signal that would end it)."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """File permissions count, also when the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_write_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("a long old text")
    write_bytes_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize("refusals", [3, 10**9])
def test_a_file_that_a_reader_holds_for_a_moment_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusals: int
) -> None:
    """Windows refuses to replace a file that another process has open."""
    tried, replace = [], os.replace

    def refuse(source: Path, target: Path) -> None:
        tried.append(source)
        if len(tried) <= refusals:
            raise PermissionError(errno.EACCES, "Access is denied")
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(storage, "_REPLACE_SECONDS", 0.2)
    path = tmp_path / "last.npz"
    path.write_bytes(b"old")
    if refusals == 3:
        write_bytes_atomic(path, b"new")
    else:
        with pytest.raises(StorageError, match="permission denied"):
            write_bytes_atomic(path, b"new")
    assert path.read_bytes() == (b"new" if refusals == 3 else b"old")
    assert os.listdir(tmp_path) == ["last.npz"]


def test_text_is_utf8_and_line_ends_stay_as_they_are(tmp_path: Path) -> None:
    write_text_atomic(tmp_path / "t", "größe\r\n½\n")
    assert (tmp_path / "t").read_bytes() == "größe\r\n½\n".encode()


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_block_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")
    with pytest.raises(failure), atomic_file(path) as file:
        file.write(b"new" * 100_000)
        raise failure
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


@posix
def test_the_file_is_flushed_before_it_gets_its_name_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def watch_fsync(descriptor: int) -> None:
        steps.append("folder" if os.path.isdir(f"/dev/fd/{descriptor}") else "file")
        fsync(descriptor)

    def watch_replace(source: Path, target: Path) -> None:
        assert Path(source).read_bytes() == b"abc"
        steps.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watch_fsync)
    monkeypatch.setattr(os, "replace", watch_replace)
    write_bytes_atomic(tmp_path / "f", b"abc")
    assert steps == ["file", "rename", "folder"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EPERM, "does not allow"),
        (errno.EIO, "input/output error"),
        (errno.EFBIG, "larger than files may be"),
        (errno.ENAMETOOLONG, "name is too long"),
        (errno.ENXIO, os.strerror(errno.ENXIO)),
    ],
)
@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_each_error_of_the_system_has_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str, moment: str
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, moment, fail)
    with pytest.raises(StorageError) as caught:
        write_bytes_atomic(path, b"new")
    assert caught.value.message.startswith(f"cannot write {path}: ")
    assert words in caught.value.message
    assert caught.value.hint or number == errno.ENXIO
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


def test_a_full_disk_is_told_with_what_is_free(tmp_path: Path) -> None:
    error = storage.storage_error(OSError(errno.ENOSPC, "full"), tmp_path / "not" / "there" / "f")
    assert re.search(r"\([0-9,]+\.[0-9] MB are free there\)", error.hint or "")


@posix
def test_a_limit_on_file_sizes_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")
    with file_size_limit(4096), pytest.raises(StorageError, match="larger than files may be"):
        write_bytes_atomic(path, bytes(100_000))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


@posix
def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    request.getfixturevalue("unprivileged")
    with pytest.raises(StorageError, match=r"locked/f: permission denied"):
        write_bytes_atomic(folder / "f", b"x")


@posix
def test_a_write_protected_file_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keep"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(StorageError, match="permission denied"):
        write_bytes_atomic(path, b"new")
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("folder", "it is a folder"),
        ("file/x", "not a folder"),
        ("none/x", "no such"),
        ("n" * 300, "too long"),
    ],
)
def test_places_that_cannot_be_written_are_named(tmp_path: Path, place: str, words: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=words):
        write_bytes_atomic(tmp_path / place, b"x")


def test_the_longest_possible_name_can_be_written(tmp_path: Path) -> None:
    write_bytes_atomic(tmp_path / ("ü" * 127), b"x")
    assert os.listdir(tmp_path) == ["ü" * 127]


@posix
def test_a_symbolic_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "far" / "real")
    write_bytes_atomic(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "far" / "real").read_bytes() == b"new"


@posix
def test_a_pipe_is_written_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    write_bytes_atomic(pipe, b"through")
    reader.join()
    assert received == [b"through"]
    assert pipe.is_fifo()


@posix
def test_a_living_writer_keeps_its_temporary_file_and_a_killed_one_loses_it(tmp_path: Path) -> None:
    with writer_at_work(tmp_path / "a") as process:
        temporary = [name for name in os.listdir(tmp_path) if name.startswith(f".a.{process.pid}.")]
        assert len(temporary) == 1
        write_bytes_atomic(tmp_path / "b", b"other")
        assert sorted(os.listdir(tmp_path)) == sorted([*temporary, "b"])
        process.kill()
        process.wait()
        assert sorted(os.listdir(tmp_path)) == sorted([*temporary, "b"])
    write_bytes_atomic(tmp_path / "b", b"again")
    assert os.listdir(tmp_path) == ["b"]


@posix
def test_a_writer_whose_file_was_taken_for_abandoned_starts_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between creating the file and locking it, another process may find it unlocked, and remove it."""
    import fcntl

    flock, removed = fcntl.flock, []

    def remove_first(file: object, operation: int) -> None:
        if not removed:
            removed.extend(tmp_path.iterdir())
            removed[0].unlink()
        flock(file, operation)  # type: ignore[arg-type]

    monkeypatch.setattr(fcntl, "flock", remove_first)
    write_bytes_atomic(tmp_path / "f", b"content")
    assert removed and (tmp_path / "f").read_bytes() == b"content"


def test_only_files_of_our_own_naming_are_removed(tmp_path: Path) -> None:
    ours = [".last.npz.123.0a1b2c3d.tmp", ".a b.1.00000000.tmp"]
    others = ["x.tmp", ".x.tmp", "last.npz.123.0a1b2c3d.tmp", ".last.npz.123.0A1B2C3D.tmp", ".last.npz.1.tmp"]
    for name in ours + others:
        (tmp_path / name).touch()
    (tmp_path / ".folder.1.00000000.tmp").mkdir()
    assert sorted(path.name for path in remove_abandoned(tmp_path)) == sorted(ours)
    assert sorted(os.listdir(tmp_path)) == sorted([*others, ".folder.1.00000000.tmp"])
    assert remove_abandoned(tmp_path / "missing") == []


def test_appending_adds_to_the_end(tmp_path: Path) -> None:
    append_durably(tmp_path / "f", b"one\n")
    append_durably(tmp_path / "f", b"two\n")
    assert (tmp_path / "f").read_bytes() == b"one\ntwo\n"


@posix
def test_an_append_that_does_not_fit_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 4000)
    with file_size_limit(4096), pytest.raises(StorageError, match="larger than files may be"):
        append_durably(path, b"y" * 200)
    assert path.read_bytes() == b"x" * 4000


def test_of_many_that_take_a_folder_one_gets_it(tmp_path: Path) -> None:
    taken: list[bool] = []
    threads = [
        threading.Thread(target=lambda: taken.append(take_folder(tmp_path / "run-1"))) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [False] * 19 + [True]


@pytest.mark.parametrize("create", [make_folder, take_folder])
def test_a_folder_below_a_file_cannot_be_created(tmp_path: Path, create: Callable[[Path], object]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot create the folder"):
        create(tmp_path / "file" / "below")


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="in the way"):
        make_folder(tmp_path / "file")
