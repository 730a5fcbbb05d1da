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
    steps = json.loads(cnn("inspect", "mnist.yaml", "--plan", "--json", cwd=tmp_path).stdout)["steps"]
    assert steps[0]["kernel"] == "FirstConvPool"
    assert steps[0]["layers"] == "conv1 relu1 maxpool1"


@pytest.mark.parametrize(("target", "words"), [("mnist", "is a dataset"), ("plain.yaml", "plain layers")])
def test_what_has_no_plan_is_a_usage_error(target: str, words: str, tmp_path: Path):
    (tmp_path / "plain.yaml").write_text("model: [flatten, linear: 10]\nengine: {kind: plain}\n")
    done = cnn("inspect", target, "--plan", cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
