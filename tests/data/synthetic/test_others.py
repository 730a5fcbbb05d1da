"""What is drawn as no digit has the form of a digit of MNIST and is of many kinds."""

import numpy as np
import pytest

from cnncli.data.synthetic import others
from cnncli.data.synthetic.others import draw_others
from cnncli.data.synthetic.signs import SIGNS
from cnncli.data.synthetic.strokes import StrokeVariant, spline
from cnncli.pictures.place import center_by_mass


def test_equal_seeds_draw_equal_images() -> None:
    first, again, other = (draw_others(40, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == (40, 28, 28) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert (first != other).any(axis=(1, 2)).all()


@pytest.mark.parametrize("kind", [kind for kind, _ in others._KINDS], ids=lambda kind: kind.__name__)
def test_every_kind_has_ink_in_the_form_of_mnist(kind) -> None:
    for seed in range(20):
        images = kind(3, np.random.default_rng(seed))
        assert images.shape == (3, 28, 28)
        assert (images.max(axis=(1, 2)) > 100).all()
        np.testing.assert_array_equal(center_by_mass(images), images)


def test_the_shares_are_one_in_sum() -> None:
    assert sum(share for _, share in others._KINDS) == pytest.approx(1)


def test_every_sign_can_be_drawn() -> None:
    assert len(set(SIGNS)) == len(SIGNS)
    for strokes in SIGNS:
        assert np.isfinite(spline(StrokeVariant(1, strokes), 50)).all()


def test_any_number_can_be_drawn() -> None:
    assert [len(draw_others(count, np.random.default_rng(0))) for count in (0, 1, 9)] == [0, 1, 9]
