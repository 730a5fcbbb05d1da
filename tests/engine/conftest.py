"""Fixtures for the tests of the engine."""

import pytest

from cnncli.engine.parallel.cores import can_fork


@pytest.fixture
def forks() -> None:
    """Skip where workers cannot be forked processes."""
    if not can_fork():
        pytest.skip("processes as workers need Linux and a Python with its global lock")
