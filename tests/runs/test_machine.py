"""A run records where it was trained."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cnncli
from cnncli.runs import machine_facts
from cnncli.runs.machine import git_commit


def test_the_machine_and_what_it_ran_are_noted() -> None:
    facts = machine_facts()
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["numpy"] == np.__version__ and facts["cnncli"] == cnncli.__version__
    assert facts["command_line"] == sys.argv
    assert 1 <= facts["cpus_usable"] <= facts["cpu_count"]
    assert facts["blas"] != "unknown"
    json.dumps(facts)


def test_the_commit_is_that_of_the_folder_or_none(tmp_path: Path) -> None:
    assert git_commit(tmp_path / "missing") is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@example.org"]
    try:
        subprocess.run([*git, "init", "-q"], check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("git is not installed")
    assert git_commit(tmp_path) is None
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    assert git_commit(tmp_path) == head.strip() and len(head.strip()) == 40
