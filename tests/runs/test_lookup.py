"""A run is found by its name, the beginning of it, its path, or as the latest."""

import os
from pathlib import Path

import pytest

from cnncli.errors import RunError
from cnncli.runs import create_run, find_run, latest_run, list_runs
from tests.runs.sample import finished_run


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


def test_a_run_has_its_config_from_the_start(tmp_path: Path) -> None:
    run = create_run(tmp_path, config="seed: 3\n")
    assert run.missing() == ["checkpoint"]
    assert run.config_path.read_text() == "seed: 3\n"
    assert find_run("latest", tmp_path, needs=["config.yaml"]) == run


def test_latest_is_the_latest_finished_run_and_else_the_latest_with_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no runs yet"):
        find_run("latest", tmp_path)
    create_run(tmp_path, "begun")
    assert find_run("latest", tmp_path, needs=[]).name == "begun"
    finished_run(tmp_path, "failed", "failed")
    finished_run(tmp_path, "stopped", "interrupted")
    create_run(tmp_path, "new")
    assert find_run("latest", tmp_path).name == "stopped"
    finished_run(tmp_path, "good")
    finished_run(tmp_path, "again", "interrupted")
    assert find_run("latest", tmp_path).name == "good"


def test_a_resume_of_the_latest_takes_one_that_stopped_before_its_end(tmp_path: Path) -> None:
    finished_run(tmp_path, "good")
    assert find_run("latest", tmp_path, to_resume=True).name == "good"  # with more epochs it goes on
    finished_run(tmp_path, "stopped", "interrupted")
    finished_run(tmp_path, "better")
    create_run(tmp_path, "running")
    assert find_run("latest", tmp_path, needs=[], to_resume=True).name == "stopped"


def test_the_latest_finished_run_is_done_and_has_a_checkpoint(tmp_path: Path) -> None:
    assert latest_run(tmp_path) is None
    finished_run(tmp_path, "good")
    finished_run(tmp_path, "failed", "failed")
    finished_run(tmp_path, "empty").best_path.unlink()
    create_run(tmp_path, "new")
    found = latest_run(tmp_path)
    assert found is not None and found.name == "good"
