"""What is only a picture or a log never fails a command whose result is there."""

import json
import os
from pathlib import Path

import pytest

import cnncli.training.results as results
from cnncli.errors import StorageError
from cnncli.training.step_profile import StepProfile


def broken(*args: object, **options: object) -> None:
    raise RuntimeError("no font")


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("draw_curves", "draw_confusion", "draw_mistakes"):
        monkeypatch.setattr(results, name, broken)


def test_a_training_run_is_done_without_its_pictures(place: Path, cnn, without_pictures) -> None:
    result = cnn("train", "-c", "tiny.yaml", "--name", "r")
    assert result.exit_code == 0, result.stderr
    for name in ("curves.png", "eval/test-confusion.png", "eval/test-mistakes.png"):
        assert f"warning: runs/r/{name} is not drawn: no font" in result.stderr
        assert not Path("runs/r", name).exists()
    info = json.loads(Path("runs/r/run.json").read_text())
    assert info["status"] == "done" and info["test_accuracy"] is not None
    assert json.loads(Path("runs/r/eval/test.json").read_text())["accuracy"] == info["test_accuracy"]
    assert "test " in result.stdout


def test_an_evaluation_keeps_its_figures_without_its_pictures(place: Path, cnn, without_pictures) -> None:
    assert cnn("train", "-c", "tiny.yaml", "--name", "r", "--no-plots").exit_code == 0
    result = cnn("eval", "r", "--split", "val")
    assert result.exit_code == 0
    assert "warning: runs/r/eval/val-confusion.png is not drawn" in result.stderr
    assert "wrote runs/r/eval/val.json" in result.stderr


def test_the_results_are_written_before_the_first_picture(place: Path, cnn, monkeypatch) -> None:
    seen = []

    def look(*args: object, **options: object) -> None:
        info = json.loads(Path("runs/r/run.json").read_text())
        seen.append((info["status"], Path("runs/r/eval/test.json").exists()))
        raise KeyboardInterrupt

    monkeypatch.setattr(results, "draw_curves", look)
    assert cnn("train", "-c", "tiny.yaml", "--name", "r").exit_code == 130
    assert seen == [("done", True)]
    assert json.loads(Path("runs/r/run.json").read_text())["status"] == "done"


@pytest.mark.parametrize("error", [RuntimeError("no clock"), StorageError("the disk is full")])
def test_a_profile_that_cannot_be_written_is_a_warning(place: Path, cnn, monkeypatch, error) -> None:
    def fail(self: StepProfile, run: object) -> None:
        raise error

    monkeypatch.setattr(StepProfile, "write", fail)
    result = cnn("train", "-c", "tiny.yaml", "--name", "r", "--no-plots", "--profile")
    assert result.exit_code == 0, result.stderr
    assert f"warning: the profile is not written: {error}" in result.stderr
    assert "wrote runs/r/profile.txt" not in result.stderr


def test_a_notebook_backend_does_not_fail_a_training_run(place: Path, start) -> None:
    backend = "module://matplotlib_inline.backend_inline"
    process = start("train", "-c", "tiny.yaml", "--name", "r", MPLBACKEND=backend)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 0 and b"warning" not in told
    assert os.path.getsize("runs/r/curves.png") > 1000
