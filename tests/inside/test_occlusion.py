"""The occlusion map is what is left when each window is hidden by hand."""

import numpy as np
import pytest

from cnncli.inside import occlusion, occlusion_map
from cnncli.nn import Network
from cnncli.nn.layers import Flatten, Linear
from tests.inside.networks import SPECS, images_of, network_of


@pytest.mark.parametrize("name", SPECS)
def test_a_pixel_has_the_mean_fall_of_the_windows_that_hide_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(occlusion, "images_at_once", lambda network: 7)
    network = network_of(name)
    (x,) = images_of(network, 1)
    _, H, W = x.shape
    found = occlusion_map(network, x, 0.5, 1, window=(4, 3), stride=(2, 3))
    logit = network.forward(x[np.newaxis])[0, 1]
    assert found.logit == pytest.approx(logit)
    falls: dict[tuple[int, int], list[float]] = {(r, c): [] for r in range(H) for c in range(W)}
    for top in range(-2, H, 2):
        for left in range(0, W, 3):
            hidden = x.copy()
            cells = [
                (r, c)
                for r in range(top, top + 4)
                for c in range(left, left + 3)
                if 0 <= r < H and 0 <= c < W
            ]
            for r, c in cells:
                hidden[:, r, c] = 0.5
            fall = logit - network.forward(hidden[np.newaxis])[0, 1]
            for cell in cells:
                falls[cell].append(fall)
    expected = np.array([np.mean(falls[r, c]) for r in range(H) for c in range(W)]).reshape(H, W)
    assert np.abs(found.drops - expected).max() < 1e-9


def test_the_window_grows_with_the_image_and_every_pixel_is_hidden() -> None:
    for side, window, stride in ((1, 1, 1), (2, 1, 1), (8, 2, 1), (28, 6, 2), (224, 45, 15)):
        network = Network([Flatten(), Linear(side * side, 2)], (1, side, side), np.float32)
        network.layers[1].weight = np.zeros((2, side * side))
        found = occlusion_map(network, np.ones((1, side, side)), 0.0)
        assert (found.window, found.stride) == ((window, window), (stride, stride))
        assert found.drops.shape == (side, side) and np.isfinite(found.drops).all()


def test_what_speaks_against_the_class_is_negative() -> None:
    network = Network([Flatten(), Linear(4, 2)], (1, 2, 2))
    network.layers[1].weight = [[1, 0, 0, -5], [0, 0, 0, 0]]
    found = occlusion_map(network, np.ones((1, 2, 2)), 0.0, 0)
    assert found.drops.tolist() == [[1, 0], [0, -5]]
    assert occlusion_map(network, np.ones((1, 2, 2)), 0.0).label == 1
