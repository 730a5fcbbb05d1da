"""Fixtures that any test may ask for."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

collect_ignore = ["faults"]  # a program of its own, without tests and examples


@pytest.fixture(autouse=True, scope="session")
def write_without_waiting_for_the_disk() -> Iterator[None]:
    """Skip `fsync` in this process: it matters when the power fails, and takes a quarter of the time of all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
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
