"""Views of an image: the first is the image itself, and all networks see the same ones."""

import numpy as np
import pytest

from cnncli.batches.batches import to_input
from cnncli.batches.views import DESTRUCTIVE, Views
from cnncli.errors import UsageError

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 12, 10), dtype=np.uint8)
NORMALIZE = (0.2, 0.4)


def test_the_first_view_is_the_image_and_the_others_are_changed() -> None:
    first, *others = Views(4, [("rotate", {"degrees": 10})]).of(IMAGES, 0, NORMALIZE, np.float32)
    np.testing.assert_array_equal(first, to_input(IMAGES, NORMALIZE))
    assert len(others) == 3
    for one, other in zip(others, [first, *others], strict=False):
        assert one.shape == first.shape and np.abs(one - other).max() > 0.1


def test_the_place_in_the_set_decides_and_nothing_else() -> None:
    views = Views(3, [("shift", {"pixels": 2})])
    once, again, elsewhere = (list(views.of(IMAGES, start, None, np.float32)) for start in (5, 5, 6))
    np.testing.assert_array_equal(once, again)
    assert (once[1] != elsewhere[1]).any()


@pytest.mark.parametrize("kind", sorted(DESTRUCTIVE))
def test_nothing_is_hidden_in_a_view(kind: str) -> None:
    with_it = list(Views(3, [(kind, {}), ("shift", {"pixels": 1})]).of(IMAGES, 0, NORMALIZE, np.float64))
    without = list(Views(3, [("shift", {"pixels": 1})]).of(IMAGES, 0, NORMALIZE, np.float64))
    np.testing.assert_array_equal(with_it, without)


def test_a_network_trained_without_augmentation_has_views_too() -> None:
    first, second = Views(2).of(IMAGES, 0, None, np.float32)
    assert 0 < np.abs(first - second).mean() < 0.3


@pytest.mark.parametrize("count", [0, -1, 1001])
def test_a_wrong_number_is_refused(count: int) -> None:
    with pytest.raises(UsageError, match="views"):
        Views(count)
