"""Which start methods the tests of the engine can use here, and a fixture."""

import os

import pytest

from cnncli.engine.parallel.cores import can_fork

SKIPS = {
    "fork": pytest.mark.skipif(not can_fork(), reason="a fork is safe on Linux only"),
    "spawn": (),
    "forkserver": pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
}


def start_methods(*names):
    """Return some of the ways in which a worker can come to be a process, or all, for `parametrize`."""
    return [pytest.param(name, marks=SKIPS[name]) for name in names or SKIPS]


@pytest.fixture
def forks() -> None:
    """Skip where workers cannot be forked processes."""
    if not can_fork():
        pytest.skip("processes as workers need Linux and a Python with its global lock")
