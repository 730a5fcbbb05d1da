"""Every augmentation keeps shape, type and range, repeats itself from its generator, and does as it says."""

import math

import numpy as np
import pytest

from cnncli.batches.augment import AUGMENTATIONS, make_augmentation, warp
from cnncli.errors import ModelError

CASES = {
    "shift": {"pixels": 3},
    "rotate": {"degrees": 15},
    "zoom": {"factor": 0.2},
    "shear": {"degrees": 12},
    "affine": {"degrees": 10, "zoom": 0.1, "shift": 2.5, "shear": 5},
    "elastic": {"alpha": 30, "sigma": 4},
    "thickness": {"pixels": 1.5},
    "erase": {"size": 7},
    "noise": {"std": 0.2},
    "flip": {"chance": 0.5},
    "brightness": {"factor": 0.4},
    "contrast": {"factor": 0.4},
}
ZERO = {
    "shift": {"pixels": 0},
    "rotate": {"degrees": 0},
    "zoom": {"factor": 0},
    "shear": {"degrees": 0},
    "affine": {"degrees": 0, "zoom": 0, "shift": 0, "shear": 0},
    "elastic": {"alpha": 0},
    "thickness": {"pixels": 0},
    "erase": {"size": 0},
    "noise": {"std": 0},
    "flip": {"chance": 0},
    "brightness": {"factor": 0},
    "contrast": {"factor": 0},
}


def test_every_augmentation_of_the_table_has_a_case():
    assert set(CASES) == set(ZERO) == set(AUGMENTATIONS)


def pictures(count=9, channels=1, height=28, width=28, dtype=np.float32):
    return np.random.default_rng(5).random((count, channels, height, width)).astype(dtype)


def apply(kind, options, images, seed=1):
    return make_augmentation([(kind, options)])(images, np.random.default_rng(seed))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(9, 1, 28, 28), (3, 3, 17, 24), (1, 2, 40, 31), (0, 1, 28, 28)])
@pytest.mark.parametrize("kind", CASES)
def test_shape_type_and_range_are_kept(kind, shape, dtype):
    images = np.random.default_rng(5).random(shape).astype(dtype)
    changed = apply(kind, CASES[kind], images)
    assert changed.shape == images.shape
    assert changed.dtype == images.dtype
    assert np.all((changed >= 0) & (changed <= 1))


@pytest.mark.parametrize("kind", CASES)
def test_white_images_do_not_become_brighter_than_white(kind):
    changed = apply(kind, CASES[kind], np.ones((40, 1, 28, 28), np.float32))
    assert changed.max() <= 1
    assert changed.min() >= 0


@pytest.mark.parametrize("kind", CASES)
def test_the_generator_decides_and_nothing_else(kind):
    images = pictures()
    before = images.copy()
    first = apply(kind, CASES[kind], images)
    np.testing.assert_array_equal(first, apply(kind, CASES[kind], images))
    assert (first != apply(kind, CASES[kind], images, seed=2)).any()
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("kind", CASES)
def test_each_image_of_a_batch_changes_in_its_own_way(kind):
    same = np.repeat(pictures(1), 6, axis=0)
    changed = apply(kind, CASES[kind], same)
    assert len(np.unique(changed.reshape(6, -1), axis=0)) > (1 if kind == "flip" else 3)


# noise is drawn for each channel; contrast and brightness change the values, and clip them
@pytest.mark.parametrize("kind", sorted({*CASES} - {"noise", "contrast", "brightness"}))
def test_all_channels_move_together(kind):
    grey = pictures(5)
    colour = apply(kind, CASES[kind], np.concatenate([grey, grey / 2], axis=1))
    np.testing.assert_allclose(colour[:, :1], apply(kind, CASES[kind], grey), atol=1e-6)
    np.testing.assert_allclose(colour[:, 1:], colour[:, :1] / 2, atol=1e-6)


@pytest.mark.parametrize("kind", ZERO)
def test_zero_strength_changes_nothing(kind):
    images = pictures(4, 2)
    np.testing.assert_array_equal(apply(kind, ZERO[kind], images), images)


class Extreme:
    """A generator whose every draw is the largest one."""

    def uniform(self, low, high, count):
        return np.full(count, float(high))

    def integers(self, low, high=None, size=None, endpoint=False):
        return np.full(size, high)


def apply_most(kind, options, images):
    return make_augmentation([(kind, options)])(images, Extreme())


def bilinear(image, row, column):
    """The oracle: one place of one image, by the definition."""
    value = 0.0
    for r in (math.floor(row), math.floor(row) + 1):
        for c in (math.floor(column), math.floor(column) + 1):
            if 0 <= r < image.shape[0] and 0 <= c < image.shape[1]:
                value += image[r, c] * (1 - abs(row - r)) * (1 - abs(column - c))
    return value


def move_by_definition(image, back):
    """The oracle: `back` takes (down, right) from the middle of the result to (down, right) in the image."""
    height, width = image.shape
    moved = np.zeros_like(image)
    for row in range(height):
        for column in range(width):
            down, right = back(row - (height - 1) / 2, column - (width - 1) / 2)
            moved[row, column] = bilinear(image, down + (height - 1) / 2, right + (width - 1) / 2)
    return moved


def test_flip_mirrors_left_and_right_for_its_share_of_the_images():
    images = pictures(400, 3, 5, 6)
    changed = apply("flip", {"chance": 0.25}, images)
    mirrored = (changed == images[..., ::-1]).all(axis=(1, 2, 3))
    assert (changed[~mirrored] == images[~mirrored]).all()
    assert 70 < mirrored.sum() < 130


def test_brightness_multiplies_and_contrast_stretches_about_the_mean():
    images = pictures(2, 3, 5, 6, np.float64) / 2
    np.testing.assert_allclose(apply_most("brightness", {"factor": 0.3}, images), 1.3 * images)
    mean = images.mean(axis=(1, 2, 3), keepdims=True)
    expected = (mean + 1.3 * (images - mean)).clip(0, 1)
    np.testing.assert_allclose(apply_most("contrast", {"factor": 0.3}, images), expected)
    bright = apply_most("brightness", {"factor": 1}, images + 0.5)
    assert (bright == 1).all()  # clipped


@pytest.mark.parametrize("degrees", [7, 33, 90, 180])
def test_rotation_is_counter_clockwise_by_the_angle(degrees):
    image = pictures(1, 1, 12, 15, np.float64)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    # counter-clockwise as seen, with rows growing downwards: undo by turning clockwise
    expected = move_by_definition(image[0, 0], lambda d, r: (cos * d + sin * r, -sin * d + cos * r))
    np.testing.assert_allclose(apply_most("rotate", {"degrees": degrees}, image)[0, 0], expected, atol=1e-9)


def test_a_quarter_turn_is_the_quarter_turn_of_numpy():
    image = pictures(1, 3, 9, 9, np.float64)
    turned = apply_most("rotate", {"degrees": 90}, image)
    np.testing.assert_allclose(turned, np.rot90(image, axes=(2, 3)), atol=1e-9)


def test_zoom_enlarges_about_the_middle():
    image = pictures(1, 1, 11, 14, np.float64)
    expected = move_by_definition(image[0, 0], lambda d, r: (d / 1.25, r / 1.25))
    np.testing.assert_allclose(apply_most("zoom", {"factor": 0.25}, image)[0, 0], expected, atol=1e-9)


def test_shear_slants_the_columns():
    image = pictures(1, 1, 11, 14, np.float64)
    slope = math.tan(math.radians(20))
    expected = move_by_definition(image[0, 0], lambda d, r: (d, r + slope * d))
    np.testing.assert_allclose(apply_most("shear", {"degrees": 20}, image)[0, 0], expected, atol=1e-9)


def test_shift_moves_whole_pixels_down_and_right_and_fills_with_background():
    image = pictures(1)
    moved = apply_most("shift", {"pixels": 2}, image)
    np.testing.assert_array_equal(moved[:, :, 2:, 2:], image[:, :, :-2, :-2])
    assert not moved[:, :, :2].any()
    assert not moved[:, :, :, :2].any()


def test_shift_reaches_every_whole_place_and_no_other():
    images = np.zeros((400, 1, 9, 9), np.float32)
    images[:, :, 4, 4] = 1
    moved = apply("shift", {"pixels": 1}, images)
    places = {tuple(np.argwhere(image[0] == 1)[0]) for image in moved}
    assert places == {(row, column) for row in (3, 4, 5) for column in (3, 4, 5)}


def test_affine_zooms_shears_rotates_and_shifts_in_this_order():
    image = pictures(1, 1, 12, 12, np.float64)
    options = {"degrees": 20, "zoom": 0.2, "shift": 1.5, "shear": 10}
    cos, sin = math.cos(math.radians(20)), math.sin(math.radians(20))
    slope = math.tan(math.radians(10))

    def back(down, right):
        down, right = down - 1.5, right - 1.5
        down, right = cos * down + sin * right, -sin * down + cos * right
        right += slope * down
        return down / 1.2, right / 1.2

    expected = move_by_definition(image[0, 0], back)
    np.testing.assert_allclose(apply_most("affine", options, image)[0, 0], expected, atol=1e-9)


def test_warp_interpolates_and_is_zero_outside():
    image = np.arange(12.0).reshape(1, 1, 3, 4)
    rows = np.array([[[0.0, 0.5, 2.0, -0.5, -9.0, 1e9]]])
    columns = np.array([[[0.0, 0.25, 3.5, 1.0, 1.0, 1.0]]])
    full = np.zeros((1, 3, 4))
    full[0, 0], full[0, 1, :2] = rows[0, 0, :4], rows[0, 0, 4:]
    across = np.zeros((1, 3, 4))
    across[0, 0], across[0, 1, :2] = columns[0, 0, :4], columns[0, 0, 4:]
    warped = warp(image, full, across)[0, 0]
    np.testing.assert_allclose(warped[0], [0, 0.5 * 4 + 0.25, 5.5, 0.5])
    np.testing.assert_allclose(warped[1, :2], 0)


def test_elastic_moves_neighbours_together():
    rows = np.broadcast_to(np.linspace(0, 1, 28, dtype=np.float32)[:, None], (28, 28))
    images = np.stack([rows, rows.T])[None].repeat(20, axis=0)
    moved = apply("elastic", {"alpha": 34, "sigma": 4}, images)
    displaced = (moved - images)[:, :, 8:-8, 8:-8] * 27  # a ramp shows the displacement in pixels
    assert 0.7 < displaced.std() < 2
    assert np.abs(np.diff(displaced, axis=-1)).max() < 1.2


def test_erase_blacks_out_one_square_and_touches_nothing_else():
    images = np.full((60, 1, 28, 28), 0.5, np.float32)
    full_squares = 0
    for image in apply("erase", {"size": 6}, images)[:, 0]:
        assert set(np.unique(image)) <= {0, 0.5}
        gone = np.argwhere(image == 0)
        (top, left), (bottom, right) = gone.min(axis=0), gone.max(axis=0) + 1
        assert len(gone) == (bottom - top) * (right - left)
        assert max(bottom - top, right - left) <= 6
        full_squares += len(gone) == 36
    assert full_squares > 20


def test_noise_has_the_standard_deviation_asked_for():
    grey = np.full((20, 1, 28, 28), 0.5, np.float32)
    assert apply("noise", {"std": 0.1}, grey).std() == pytest.approx(0.1, rel=0.03)


def test_a_chain_applies_its_steps_in_order():
    images = np.ones((30, 1, 28, 28), np.float32)
    noise_last = make_augmentation([("erase", {"size": 9}), ("noise", {"std": 0.3})])
    erase_last = make_augmentation([("noise", {"std": 0.3}), ("erase", {"size": 9})])
    black = [(f(images, np.random.default_rng(1)) == 0).mean() for f in (noise_last, erase_last)]
    assert black[1] > 1.2 * black[0]


def test_no_augmentation_is_none():
    assert make_augmentation([]) is None


@pytest.mark.parametrize("kind", CASES)
def test_left_out_options_have_defaults_that_do_something(kind):
    images = pictures()
    assert (apply(kind, {}, images) != images).any()


def test_an_underscore_means_the_first_option():
    images = pictures()
    short, long = apply("rotate", {"_": 30}, images), apply("rotate", {"degrees": 30}, images)
    np.testing.assert_array_equal(short, long)


@pytest.mark.parametrize(
    ("kind", "options", "message", "hint", "place"),
    [
        ("rotat", {}, "augmentation 2: unknown augmentation 'rotat'", "did you mean 'rotate'?", (1,)),
        ("affine", {"degree": 1}, "affine has no option 'degree'", "did you mean 'degrees'?", (1, "degree")),
        (
            "rotate",
            {"degrees": "many"},
            "expected a number from 0 to 180, found 'many'",
            None,
            (1, "degrees"),
        ),
        ("rotate", {"degrees": -1}, "expected a number from 0 to 180, found -1", None, (1, "degrees")),
        ("rotate", {"degrees": True}, "found True", None, (1, "degrees")),
        ("noise", {"std": float("nan")}, "found nan", None, (1, "std")),
        ("shift", {"pixels": 1.5}, "expected a whole number", None, (1, "pixels")),
        ("rotate", {"_": []}, r"degrees: expected a number .* found \[\]", None, (1, "degrees")),
        ("elastic", {"sigma": 0}, "sigma: expected a number from 0.1", None, (1, "sigma")),
    ],
)
def test_a_wrong_name_or_value_is_named_with_its_place(kind, options, message, hint, place):
    with pytest.raises(ModelError, match=message) as failure:
        make_augmentation([("noise", {}), (kind, options)])
    assert failure.value.hint == hint
    assert failure.value.key_path == place


def test_a_value_given_twice_is_refused():
    with pytest.raises(ModelError, match="the option 'degrees' is given twice"):
        make_augmentation([("rotate", {"_": 3, "degrees": 4})])


def test_a_stroke_becomes_thicker_or_thinner_by_its_number_of_pixels():
    images = np.zeros((200, 1, 20, 20), np.float32)
    images[:, :, :, 7:12] = 1
    changed = apply("thickness", {"pixels": 1.5}, images)
    widths = changed[:, 0, 10].sum(axis=1)
    drawn = np.random.default_rng(1).uniform(-1, 1, 200) * 1.5
    np.testing.assert_allclose(widths, 5 + 2 * drawn, atol=1e-4)
