"""`cnn inspect CONFIG --plan` shows every layer once, with the kernel that runs it."""

import json
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def wide_terminal_in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # wide enough that no name is folded
    monkeypatch.setenv("COLUMNS", "140")


def test_the_plan_of_a_config_as_a_table_and_as_json(cnn):
    shown = cnn("inspect", "mnist.yaml", "--plan")
    assert shown.exit_code == 0, shown.stderr
    assert "WinogradConvPool" in shown.stdout
    lines = shown.stdout.splitlines()
    assert lines[0].split() == ["micro-", "forward", "backward"]
    assert lines[1].split() == "layers kernel batch ms share ms share what it does".split()
    assert "matmul" not in shown.stdout
    steps = json.loads(cnn("inspect", "mnist.yaml", "--plan", "--json").stdout)["steps"]
    assert steps[0]["kernel"] == "FirstConvPool"
    assert steps[0]["layers"] == "conv1 relu1 maxpool1"
    assert steps[0]["micro_batch"] == 8
    assert steps[0]["forward_ms"] > 0
    assert "forward_calls" not in steps[0]


def test_the_recorded_calls_of_a_config_as_text_and_as_json(cnn):
    shown = cnn("inspect", "mnist.yaml", "--plan", "--calls")
    assert shown.exit_code == 0, shown.stderr
    # the example of docs/engine.md: 1,568 windows of 16 pixels; sixteen products in eight calls of two
    assert "matmul (1, 1568, 16) @ (4, 1, 16, 32) -> (4, 1, 1568, 32)" in shown.stdout
    assert shown.stdout.count("matmul (2, 1, 392, 32) @ (2, 1, 32, 64) -> (2, 1, 392, 64)") == 8
    found = json.loads(cnn("inspect", "mnist.yaml", "--plan", "--calls", "--json").stdout)
    flatten = next(step for step in found["steps"] if step["kernel"] == "FlattenKernel")
    assert flatten["forward_calls"] == flatten["backward_calls"] == ["copy (8, 64, 7, 7) -> (8, 64, 7, 7)"]


def test_calls_without_a_plan_is_a_usage_error(cnn):
    done = cnn("inspect", "mnist.yaml", "--calls")
    assert done.exit_code == 2
    assert "cnn inspect mnist.yaml --plan --calls" in done.stderr


@pytest.mark.parametrize(("target", "words"), [("mnist", "is a dataset"), ("plain.yaml", "plain layers")])
def test_what_has_no_plan_is_a_usage_error(target: str, words: str, tmp_path: Path, cnn):
    (tmp_path / "plain.yaml").write_text("model: [flatten, linear: 10]\nengine: {kind: plain}\n")
    done = cnn("inspect", target, "--plan")
    assert done.exit_code == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
