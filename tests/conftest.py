"""Fixtures that any test may ask for."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

collect_ignore = ["faults"]  # a program of its own, without tests and examples


@pytest.fixture(autouse=True, scope="session")
def keep_no_parsed_data_sets() -> Iterator[None]:
    """Leave the cache of the user alone; the tests of the cache name a folder of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNNCLI_CACHE", "")
        yield


@pytest.fixture(autouse=True, scope="session")
def write_without_waiting_for_the_disk() -> Iterator[None]:
    """Skip `fsync` in this process: it matters when the power fails, and takes a quarter of the time of all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def keep_bytecode_for_child_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the compiled modules of child processes where the environment forbids it, in a folder of this session.

    Many tests start the program as a process. Each would compile the whole package again.
    """
    if not sys.dont_write_bytecode:
        yield
        return
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        # the workers share what they compile
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPYCACHEPREFIX", str(folder / "bytecode"))
        yield


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """The folder with the four published MNIST files, or a skip that says why."""
    named = os.environ.get("CNNCLI_TEST_MNIST")
    if not named:
        pytest.skip("CNNCLI_TEST_MNIST does not name a folder with the MNIST files")
    folder = Path(named)
    if not (folder / "train-images-idx3-ubyte.gz").is_file():
        pytest.skip(f"{folder} holds no train-images-idx3-ubyte.gz")
    return folder
