"""Only whole runs are removed or renamed, nothing else is touched, and a kill in the middle loses nothing."""

import os
import shutil
from pathlib import Path

import pytest

from cnncli.errors import RunBusyError, RunError, UsageError
from cnncli.runs import Group, list_runs
from cnncli.runs.change import find_target, remove_runs, rename_run
from cnncli.runs.listing import list_folder
from tests.runs.sample import finished_run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder of runs: a, b, and the group g of two."""
    runs_dir = tmp_path / "runs"
    for name in ("a", "b"):
        finished_run(runs_dir, name)
    for name in ("seed-1", "seed-2"):
        finished_run(runs_dir / "g", name)
    Group(runs_dir / "g").write_info(kind="seeds", status="done", members=2)
    return runs_dir


def names(runs_dir: Path) -> set[str]:
    return set(os.listdir(runs_dir))


def remove(runs_dir: Path, *texts: str) -> list[str]:
    return [each.name for each in remove_runs([find_target(text, runs_dir) for text in texts])]


def test_runs_and_groups_are_removed(runs: Path) -> None:
    assert remove(runs, "a", "g/") == ["a", "g"]
    assert names(runs) == {"b"}


def test_a_run_is_removed_by_its_path_too(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs.parent)
    assert remove(Path("runs"), "runs/a", str(runs / "b")) == ["a", "b"]


def test_a_broken_or_half_made_run_is_removed(runs: Path) -> None:
    (runs / "a/run.json").write_text("{")
    (runs / "empty").mkdir()
    (runs / "begun/checkpoints").mkdir(parents=True)
    remove(runs, "a", "empty", "begun")
    assert names(runs) == {"b", "g"}


@pytest.mark.parametrize(
    "text", ["", ".", "..", "/", "../runs", "../runs/..", "~", "no-such", "latest", "g/..", ".x"]
)
def test_what_is_no_name_of_a_run_removes_nothing(runs: Path, text: str) -> None:
    (runs / ".x").mkdir()
    with pytest.raises(RunError):
        find_target(text, runs)


def test_what_is_no_run_is_refused(runs: Path, tmp_path: Path) -> None:
    (runs / "photos").mkdir()
    (runs / "photos/a.jpg").touch()
    elsewhere = finished_run(tmp_path / "others", "x")
    for text, why in (
        ("photos", "is no run"),
        (str(elsewhere.path), "is not in"),
        ("../others/x", "is not in"),
        ("g/seed-1", "part of g"),
    ):
        with pytest.raises(RunError, match=why):
            find_target(text, runs)


def test_links_are_not_followed(runs: Path, tmp_path: Path) -> None:
    kept = finished_run(tmp_path / "others", "x")
    (runs / "link").symlink_to(kept.path)
    with pytest.raises(RunError, match="symbolic link"):
        find_target("link", runs)
    shutil.rmtree(runs / "a/checkpoints")
    (runs / "a/checkpoints").symlink_to(kept.checkpoints)
    remove(runs, "a")
    assert kept.best_path.exists() and "a" not in names(runs)


def test_files_of_the_user_are_kept(runs: Path) -> None:
    for folder in (runs / "a", runs / "g", runs / "g/seed-1"):
        (folder / "notes.txt").touch()
    for text, where in (
        ("a", "runs/a also"),
        ("g", r"(g|seed-1) also has files that are not of cnn: notes.txt"),
    ):
        with pytest.raises(RunError, match=where):
            remove(runs, text)
    assert names(runs) == {"a", "b", "g"}


@pytest.mark.parametrize("inside", ["", "seed-1"])
def test_a_run_in_training_is_kept(runs: Path, inside: str) -> None:
    name = "g" if inside else "a"
    target = find_target(name, runs)
    with Group(runs / name / inside).lock():
        with pytest.raises(RunBusyError, match="is being trained"):
            list(remove_runs([target]))
        with pytest.raises(RunBusyError):
            rename_run(target, "new")
    assert {"a", "g"} <= names(runs) and "new" not in names(runs)


def test_a_run_that_just_starts_is_kept(runs: Path) -> None:
    finished_run(runs, "c", status="running")
    with pytest.raises(RunBusyError):
        find_target("c", runs)


class Killed(BaseException):
    """Takes the place of a kill: nothing that comes after it is done."""


def test_a_removal_that_is_killed_leaves_no_half_run(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(path: Path) -> None:
        (Path(path) / "run.json").unlink()
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", die)
        with pytest.raises(Killed):
            remove(runs, "a")
    assert {each.name for each in list_folder(runs)} == {"b", "g"}
    assert len(names(runs)) == 3  # a hidden folder is left
    remove(runs, "b")
    assert names(runs) == {"g"}


def test_a_rename_that_is_killed_keeps_the_run(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*paths: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", die)
        with pytest.raises(Killed):
            rename_run(find_target("a", runs), "new")
    assert [run.name for run in list_runs(runs)] == ["a", "b"]


def test_a_renamed_run_is_the_same_run(runs: Path) -> None:
    new = rename_run(find_target("a", runs), "wide")
    assert new == runs / "wide" and names(runs) == {"wide", "b", "g"}
    (run,) = (run for run in list_runs(runs) if run.name == "wide")
    assert run.read_info()["name"] == "wide" and run.best_path.read_bytes() == b"weights"
    rename_run(find_target("g", runs), "five")
    assert Group(runs / "five").read_info()["name"] == "five"


@pytest.mark.parametrize("name", ["b", "g", "photos", "file"])
def test_a_name_that_is_taken_stays_as_it_is(runs: Path, name: str) -> None:
    (runs / "photos").mkdir()
    (runs / "file").write_text("kept")
    with pytest.raises(RunError, match="exists already"):
        rename_run(find_target("a", runs), name)
    assert (runs / "a/run.json").exists() and (runs / "file").read_text() == "kept"


@pytest.mark.parametrize("name", ["", "latest", "../out", "x/y", ".hidden", "a b", "bundled", "x" * 101])
def test_a_name_that_cannot_be_one_is_refused(runs: Path, name: str) -> None:
    with pytest.raises(UsageError):
        rename_run(find_target("a", runs), name)
    assert "a" in names(runs)
