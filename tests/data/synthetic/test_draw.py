"""The built-in digits are repeatable, balanced, in the form of MNIST, and different from one another."""

import numpy as np
import pytest

from cnncli.data.synthetic.draw import draw_digits, make_synthetic
from cnncli.data.synthetic.strokes import STROKE_VARIANTS, StrokeVariant, control_points, spline


@pytest.fixture(scope="module")
def digits():
    return make_synthetic(600, 100, seed=3)


def test_sizes_types_and_classes_are_those_of_a_data_set(digits):
    assert digits.train.images.shape == (600, 28, 28)
    assert digits.test.images.shape == (100, 28, 28)
    assert digits.train.images.dtype == np.uint8
    assert digits.train.labels.dtype == np.int64
    assert digits.classes == tuple("0123456789")
    assert digits.input_shape == (1, 28, 28)


def test_every_digit_comes_equally_often_and_in_no_order(digits):
    labels = np.concatenate([digits.train.labels, digits.test.labels])
    assert np.bincount(labels).tolist() == [70] * 10
    assert (np.diff(digits.train.labels) != 1).any()
    assert len(np.unique(digits.test.labels)) == 10


def test_the_seed_decides_the_set():
    first, again, other = (make_synthetic(60, 20, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.train.images, again.train.images)
    np.testing.assert_array_equal(first.test.labels, again.test.labels)
    assert (first.train.images != other.train.images).any()


def test_no_digit_is_drawn_twice(digits):
    images = np.concatenate([digits.train.images, digits.test.images])
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)


def test_mean_and_deviation_are_those_of_the_training_pixels_and_near_those_of_mnist(digits):
    pixels = digits.train.images / 255
    assert digits.mean == pytest.approx(pixels.mean())
    assert digits.std == pytest.approx(pixels.std())
    assert digits.mean == pytest.approx(0.1307, abs=0.02)
    assert digits.std == pytest.approx(0.3081, abs=0.02)


def test_digits_are_20_pixels_long_with_the_centre_of_mass_in_the_middle(digits):
    for image in digits.train.images.astype(np.float64):
        rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
        extent = max(np.ptp(rows), np.ptp(columns)) + 1
        assert 18 <= extent <= 20
        centre = (
            np.array([image.sum(axis=1) @ np.arange(28), image.sum(axis=0) @ np.arange(28)]) / image.sum()
        )
        assert np.all((centre > 13.5) & (centre <= 14.5))


def test_strokes_are_bright_in_their_middle_and_the_corners_are_empty(digits):
    assert np.mean(digits.train.images.max(axis=(1, 2)) > 200) > 0.99
    assert not digits.train.images[:, :4, :4].any()


def test_the_nearest_mean_of_ten_reads_most_digits():
    digits = make_synthetic(train=4000, test=1000)
    train, test = digits.train.images.reshape(4000, -1) / 255, digits.test.images.reshape(1000, -1) / 255
    means = np.stack([train[digits.train.labels == digit].mean(axis=0) for digit in range(10)])
    nearest = ((test[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert np.mean(nearest == digits.test.labels) > 0.6


def test_labels_decide_which_digit_is_drawn():
    rng = np.random.default_rng(1)
    images = draw_digits(np.repeat([0, 1], 40), rng)
    middle = images[:, 10:18, 13:15].mean(axis=(1, 2))
    assert middle[:40].mean() < 40 < 120 < middle[40:].mean()  # a nought is hollow, a one is not
    assert draw_digits(np.array([], np.int64), rng).shape == (0, 28, 28)


def test_ten_digits_in_several_ways():
    assert sorted(STROKE_VARIANTS) == list(range(10))
    assert all(len(variants) >= 4 for variants in STROKE_VARIANTS.values())


def test_a_curve_goes_through_its_control_points():
    variant = StrokeVariant(1, "0 0, 30 10, 60 80!, 0 100; 5 5, 50 50")
    points = spline(variant, 60) @ control_points(variant)
    for point in control_points(variant):
        assert np.abs(points - point).sum(axis=1).min() < 1e-9


def test_a_curve_through_points_of_a_line_is_that_line():
    variant = StrokeVariant(1, "0 0, 10 20, 40 80, 50 100")
    x, y = (spline(variant, 50) @ control_points(variant)).T
    np.testing.assert_allclose(y, 2 * x, atol=1e-9)
    assert np.all(np.diff(x) > 0)


def test_a_corner_is_sharp_and_a_curve_is_not():
    def sharpest(strokes):
        variant = StrokeVariant(1, strokes)
        steps = np.diff(spline(variant, 200) @ control_points(variant), axis=0)
        angles = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
        return np.degrees(np.abs(np.diff(angles)).max())

    assert sharpest("0 0, 50 0!, 50 100") == pytest.approx(90, abs=1)
    assert sharpest("0 0, 50 0, 50 100") < 15
