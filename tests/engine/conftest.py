"""Makes the oracle importable from every test of this folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import pytest

from cnncli.engine.workers import can_fork


@pytest.fixture
def forks() -> None:
    """Skip where workers cannot be forked processes."""
    if not can_fork():
        pytest.skip("processes as workers need Linux and a Python with its global lock")
