"""docs/draw_sample.py draws the sample picture of the README, as far as JPEG keeps it."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

DOCS = Path(__file__).parents[1] / "docs"


def load_script() -> Any:
    spec = importlib.util.spec_from_file_location("draw_sample", DOCS / "draw_sample.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_the_sample_picture_is_the_one_that_the_script_draws() -> None:
    script = load_script()
    drawn = np.asarray(script.draw(), dtype=np.int64)
    with Image.open(DOCS / "digits.jpg") as file:
        kept = np.asarray(file, dtype=np.int64)
    assert kept.shape == drawn.shape
    # another JPEG library rounds otherwise; ink and paper are 150 apart
    different = np.abs(kept - drawn)
    assert different.mean() < 4
    assert (different > 40).mean() < 0.001
    ink = drawn.sum(axis=2) < 400
    assert 0.02 < ink.mean() < 0.2
    assert (kept.sum(axis=2)[ink] < 520).all()
