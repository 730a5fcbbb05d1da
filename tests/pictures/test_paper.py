"""The fast ways to estimate the paper give what the plain ones give."""

import numpy as np
import pytest

from cnncli.pictures import paper
from cnncli.pictures.paper import _paper_of_border, _sliding, _sliding_extreme


@pytest.mark.parametrize("shape", [(7, 40), (40, 7), (33, 33), (5, 5)])
@pytest.mark.parametrize("window", [3, 5, 13, 31, 33])
def test_extremes_by_doubled_windows_are_those_of_all_pixels(shape: tuple[int, int], window: int) -> None:
    plane = np.random.default_rng(window).normal(size=shape).astype(np.float32)
    np.testing.assert_array_equal(
        _sliding_extreme(plane, window, np.maximum), _sliding(plane, window, np.max)
    )
    np.testing.assert_array_equal(
        _sliding_extreme(plane, window, np.minimum), _sliding(plane, window, np.min)
    )


@pytest.mark.parametrize("level", [0, 37, 255])
def test_the_paper_of_a_flat_border_is_that_of_a_fit(level: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plane = np.random.default_rng(level).integers(0, 256, (60, 50)).astype(np.float32)
    ring = np.ones(plane.shape, bool)
    ring[2:-2, 2:-2] = False
    plane[ring] = level
    fast = _paper_of_border(plane, ring)
    monkeypatch.setattr(paper.np, "ptp", lambda values: 1)
    np.testing.assert_allclose(fast, _paper_of_border(plane, ring), atol=1e-4)
    assert (fast == level).all()
