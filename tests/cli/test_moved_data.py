"""A run finds its data from any working folder, and is told when the data has moved."""

import json
import shutil
from pathlib import Path

import pytest

from .conftest import write_tiny_set

NAMES = ["tiny", "folder:tiny"]


@pytest.fixture(params=NAMES)
def project(request, place: Path, cnn) -> Path:
    """A working folder with a run of one epoch, whose data set has a relative path."""
    options = ["--set", f"data.dataset={request.param}", "--epochs", "1", "--name", "r", "--no-plots", "-q"]
    result = cnn("train", "-c", "tiny.yaml", *options)
    assert result.exit_code == 0, result.stderr
    return place


@pytest.fixture
def elsewhere(project: Path, tmp_path_factory, monkeypatch) -> Path:
    """Another working folder."""
    folder = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(folder)
    return folder


def test_a_run_records_where_its_data_is(project: Path) -> None:
    assert json.loads((project / "runs/r/run.json").read_text())["data_path"] == str(project / "tiny")


@pytest.mark.parametrize("source", ["runs/r", "runs/r/checkpoints/best.npz"])
@pytest.mark.parametrize("split", ["test", "val"])
def test_a_run_is_measured_from_elsewhere(project, elsewhere, cnn, source, split) -> None:
    result = cnn("eval", str(project / source), "--split", split, "--no-plots", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["count"] == 30


def test_another_set_of_that_name_here_is_not_taken_for_the_one_of_the_run(project, elsewhere, cnn) -> None:
    write_tiny_set(elsewhere / "tiny", train=90, test=12)
    result = cnn("eval", str(project / "runs/r"), "--no-plots", "--json")
    assert json.loads(result.stdout)["count"] == 30


def test_a_run_is_resumed_from_elsewhere(project, elsewhere, cnn) -> None:
    result = cnn("train", "--resume", str(project / "runs/r"), "--epochs", "2", "--no-plots", "-q")
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize(
    "option", [["--data-dir", "new/tiny"], ["--data-dir", "new"], ["--set", "data.dir=new"]]
)
def test_a_resume_and_an_evaluation_are_told_where_the_data_is_now(project, elsewhere, cnn, option) -> None:
    shutil.move(project / "tiny", elsewhere / "new/tiny")
    run = str(project / "runs/r")
    assert cnn("train", "--resume", run, "--epochs", "2", "--no-plots", "-q").exit_code != 0
    result = cnn("train", "--resume", run, "--epochs", "2", "--no-plots", "-q", *option)
    assert result.exit_code == 0, result.stderr
    recorded = json.loads((project / "runs/r/run.json").read_text())["data_path"]
    assert Path(recorded) == elsewhere / "new/tiny"
    assert cnn("eval", run, "--no-plots").exit_code == 0
    if option[0] == "--data-dir":
        assert cnn("eval", run, "--no-plots", *option).exit_code == 0


def test_data_of_other_content_at_the_new_place_is_refused(project, elsewhere, cnn) -> None:
    write_tiny_set(elsewhere / "new", train=90)
    result = cnn("train", "--resume", str(project / "runs/r"), "--epochs", "2", "--data-dir", "new", "-q")
    assert result.exit_code == 1 and "not those" in result.stderr


def test_a_project_that_moves_as_a_whole_keeps_working(
    project: Path, cnn, tmp_path_factory, monkeypatch
) -> None:
    moved = tmp_path_factory.mktemp("moved") / "project"
    monkeypatch.chdir(moved.parent)
    shutil.move(project, moved)
    monkeypatch.chdir(moved)
    assert cnn("eval", "r", "--no-plots").exit_code == 0
    assert cnn("train", "--resume", "r", "--epochs", "2", "--no-plots", "-q").exit_code == 0


def test_a_run_is_inspected_without_its_data(project, elsewhere, cnn) -> None:
    assert cnn("inspect", str(project / "runs/r")).exit_code == 0
    shutil.rmtree(project / "tiny")
    result = cnn("inspect", str(project / "runs/r"))
    assert result.exit_code == 0, result.stderr
    assert "linear1" in result.stdout and "epoch" in result.stdout
    assert "is not looked at" in result.stderr
