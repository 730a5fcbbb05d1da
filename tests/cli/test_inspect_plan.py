"""`cnn inspect CONFIG --plan` shows every layer once, with the kernel that runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def cnn(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cnncli", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
        env={**os.environ, "COLUMNS": "140"},  # wide enough that no name is folded
    )


def test_the_plan_of_a_config_as_a_table_and_as_json(tmp_path: Path):
    shown = cnn("inspect", "mnist.yaml", "--plan", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "WinogradConvPool" in shown.stdout
    lines = shown.stdout.splitlines()
    assert lines[0].split() == ["micro-", "forward", "backward"]
    assert lines[1].split() == "layers kernel batch ms share ms share what it does".split()
    assert "matmul" not in shown.stdout
    steps = json.loads(cnn("inspect", "mnist.yaml", "--plan", "--json", cwd=tmp_path).stdout)["steps"]
    assert steps[0]["kernel"] == "FirstConvPool"
    assert steps[0]["layers"] == "conv1 relu1 maxpool1"
    assert steps[0]["micro_batch"] == 8
    assert steps[0]["forward_ms"] > 0
    assert "forward_calls" not in steps[0]


def test_the_recorded_calls_of_a_config_as_text_and_as_json(tmp_path: Path):
    shown = cnn("inspect", "mnist.yaml", "--plan", "--calls", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    # the example of docs/engine.md: 1,568 windows of 16 pixels; sixteen products in eight calls of two
    assert "matmul (1, 1568, 16) @ (4, 1, 16, 32) -> (4, 1, 1568, 32)" in shown.stdout
    assert shown.stdout.count("matmul (2, 1, 392, 32) @ (2, 1, 32, 64) -> (2, 1, 392, 64)") == 8
    found = json.loads(cnn("inspect", "mnist.yaml", "--plan", "--calls", "--json", cwd=tmp_path).stdout)
    flatten = next(step for step in found["steps"] if step["kernel"] == "FlattenKernel")
    assert flatten["forward_calls"] == flatten["backward_calls"] == ["copy (8, 64, 7, 7) -> (8, 64, 7, 7)"]


def test_calls_without_a_plan_is_a_usage_error(tmp_path: Path):
    done = cnn("inspect", "mnist.yaml", "--calls", cwd=tmp_path)
    assert done.returncode == 2
    assert "cnn inspect mnist.yaml --plan --calls" in done.stderr


@pytest.mark.parametrize(("target", "words"), [("mnist", "is a dataset"), ("plain.yaml", "plain layers")])
def test_what_has_no_plan_is_a_usage_error(target: str, words: str, tmp_path: Path):
    (tmp_path / "plain.yaml").write_text("model: [flatten, linear: 10]\nengine: {kind: plain}\n")
    done = cnn("inspect", target, "--plan", cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
