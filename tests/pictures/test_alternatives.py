"""Ink that may be one digit or two is offered in both ways, and strokes of one digit are joined."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cnncli.pictures.alternatives import join
from cnncli.pictures.digits import find_digits
from cnncli.pictures.segment import Segment, cut_at


def draw(*strokes, size=(300, 200), width=9):
    picture = Image.new("L", size, 255)
    pen = ImageDraw.Draw(picture)
    for stroke in strokes:
        pen.line(stroke, fill=0, width=width)
    return picture


def boxes(digits):
    return [digit.box for digit in digits]


def test_an_open_4_in_two_strokes_may_be_one_digit():
    found = find_digits(draw([(100, 40), (70, 100), (118, 100)], [(128, 60), (128, 160)]))
    assert len(found.digits) == 2
    (other,) = found.alternatives
    assert (other.first, other.count, len(other.parts)) == (0, 2, 1)
    left, top, right, bottom = other.parts[0].box
    assert (left, right) == (found.digits[0].box[0], found.digits[1].box[2])
    assert (top, bottom) == (
        min(box[1] for box in boxes(found.digits)),
        max(box[3] for box in boxes(found.digits)),
    )


def test_digits_with_room_between_them_are_not_joined():
    assert find_digits(draw([(60, 40), (60, 160)], [(130, 40), (130, 160)])).alternatives == ()


def test_wide_ink_may_be_two_digits():
    seven = [(60, 50), (130, 50), (90, 140)]
    found = find_digits(draw(seven, [(x + 68, y) for x, y in seven], [(250, 50), (250, 140)]))
    assert len(found.digits) == 2
    assert all((other.first, other.count, len(other.parts)) == (0, 1, 2) for other in found.alternatives)
    assert found.alternatives
    whole = found.digits[0].box
    for other in found.alternatives:
        one, two = boxes(other.parts)
        assert one[0] == whole[0] and two[2] == whole[2] and abs(one[2] - two[0]) <= 1
        assert all(part.cut for part in other.parts)


@pytest.mark.parametrize("gap", [0, 6, 12])
def test_the_bar_of_a_5_belongs_to_it(gap):
    picture = draw(
        [(80 + gap, 40), (130 + gap, 40)],
        [(75, 46), (72, 90), (110, 95), (120, 130), (75, 150)],
        [(220, 40), (220, 150)],
    )
    found = find_digits(picture)
    assert len(found.digits) == 2
    assert found.digits[0].box[1] <= 38 and found.digits[0].box[2] >= 128 + gap


def test_a_fragment_between_two_digits_joins_one_of_them():
    picture = draw(
        [(60, 40), (60, 150)],
        [(76, 90), (104, 90)],
        [(120, 40), (120, 150)],
        [(200, 40), (200, 150)],
        width=12,
    )
    assert len(find_digits(picture).digits) == 3


def test_parts_of_a_cut_are_the_whole_again():
    mask = np.random.default_rng(0).random((20, 30)) < 0.4
    mask[0, 0] = mask[-1, -1] = True
    parts = cut_at(Segment(mask, (5, 7, 35, 27)), [11, 19])
    assert len(parts) == 3
    whole = join(parts)
    assert whole.box == (5, 7, 35, 27)
    np.testing.assert_array_equal(whole.mask, mask)
