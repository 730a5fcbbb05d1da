"""A small checkpoint, and its bytes."""

from pathlib import Path

import numpy as np
import pytest

from cnncli.checkpoint import Checkpoint
from tests.checkpoint.mutations import saved_bytes, small_checkpoint


@pytest.fixture
def checkpoint() -> Checkpoint:
    return small_checkpoint(np.random.default_rng(0))


@pytest.fixture
def data(checkpoint: Checkpoint, tmp_path: Path) -> bytes:
    """The bytes of a small checkpoint."""
    content = saved_bytes(checkpoint, tmp_path)
    (tmp_path / "saved.npz").unlink()
    return content
