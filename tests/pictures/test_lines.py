"""Lines of digits lose no ink: full lines, ruled and squared paper, underlines, rotated pages."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cnncli.pictures.digits import find_digits
from cnncli.pictures.rows import find_rows
from tests.pictures.pages import lines_of_digits, lost_ink, write


def check(sheet, found, digits_off=0.02):
    """Check that each line is found, with about as many digits as it has, and that no ink is lost."""
    count = len(sheet.boxes)
    assert lost_ink(sheet, found.digits) < 0.01
    assert abs(len(found.digits) - count) <= digits_off * count
    assert [digit.line for digit in found.digits] == sorted(digit.line for digit in found.digits)
    assert found.digits[-1].line == sheet.lines[-1]
    assert found.table is None


def similarity(one, other):
    """Return the cosine of the angle between two images: 1 if they are equal, 0 if they have no ink in common."""
    a, b = one.ravel() / 255.0, other.ravel() / 255.0
    return a @ b / np.sqrt((a @ a) * (b @ b))


@pytest.mark.parametrize("size", [16, 28, 60])
@pytest.mark.parametrize("count, lines", [(1, 1), (2, 1), (19, 1), (40, 1), (16, 3), (1, 12)])
def test_a_full_line_of_digits_is_no_rule(count, lines, size):
    sheet = lines_of_digits(count, lines, size, seed=count)
    check(sheet, find_digits(sheet.picture()))


def test_a_page_of_many_digits():
    sheet = lines_of_digits(40, 15, 24)
    check(sheet, find_digits(sheet.picture()))


@pytest.mark.parametrize("angle", [0, -4])
@pytest.mark.parametrize("paper", ["lined", "underlined", "squared"])
@pytest.mark.parametrize("count, lines", [(1, 1), (12, 3)])
def test_rules_are_removed_and_the_digits_stay(count, lines, paper, angle):
    size = 60
    sheet = lines_of_digits(count, lines, size, seed=3)
    height, width = sheet.ink.shape
    if paper == "lined":
        sheet.rule(range(round(0.8 * size), height, round(1.6 * size)), thickness=2, darkness=0.6)
    elif paper == "underlined":
        for line in range(lines):
            row = round((1.2 + line) * 1.6 * size + 0.58 * size)
            sheet.rule([row], thickness=5, box=(size // 2, 0, width - size // 2, height))
    else:
        sheet.rule(range(20, height, 45), range(13, width, 45), thickness=2, darkness=0.45)
    plain = [
        digit.pixels for digit in find_digits(lines_of_digits(count, lines, size, seed=3).picture()).digits
    ]
    found = find_digits(sheet.picture(angle))
    if not angle:
        check(sheet, found)
    assert len(found.digits) == len(plain)
    assert found.digits[-1].line == lines - 1
    # each digit looks as it does on plain paper
    alike = [similarity(digit.pixels, pixels) for digit, pixels in zip(found.digits, plain, strict=True)]
    assert np.median(alike) > (0.9 if not angle else 0.8)
    assert min(alike) > (0.65 if not angle else 0.45)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("below", [[0.62], [0.62, 0.85]])
def test_an_underline_as_long_as_the_digits_above_it_is_removed(count, below):
    size = 90
    sheet = lines_of_digits(count, 1, size, seed=5)
    left, right = int(sheet.boxes[0, 0]), int(sheet.boxes[-1, 2])
    for part in below:
        row = round(1.2 * 1.6 * size + part * size)
        sheet.rule([row], thickness=7, box=(left + 3, 0, right + 2, sheet.ink.shape[0]))
    check(sheet, find_digits(sheet.picture()))


def test_the_margin_line_of_a_rotated_sheet_is_removed():
    size = 50
    sheet = lines_of_digits(6, 4, size, seed=4)
    height = len(sheet.ink)
    sheet.rule(range(round(0.8 * size), height, round(1.6 * size)), thickness=2, darkness=0.7)
    # the scan is larger than the rotated sheet
    sheet.rule(columns=[30], thickness=2, darkness=0.7, box=(0, 20, 40, height - 15))
    found = find_digits(sheet.picture(2))
    assert [sum(digit.line == line for digit in found.digits) for line in range(4)] == [6] * 4


def test_a_tall_1_beside_other_digits_is_no_rule():
    picture = Image.new("L", (200, 120), 255)
    pen = ImageDraw.Draw(picture)
    pen.line((30, 4, 30, 116), fill=0, width=6)  # longer than the others and nearly from border to border
    pen.ellipse((60, 20, 110, 100), outline=0, width=6)
    pen.line((150, 10, 150, 112), fill=0, width=6)
    assert len(find_digits(picture).digits) == 3


@pytest.mark.parametrize("shape", ["box", "circle"])
def test_a_box_or_circle_round_a_digit_is_removed(shape):
    sheet = write([(0, 130, 130)], 90, (260, 260), seed=5)
    picture = sheet.picture()
    pen = ImageDraw.Draw(picture)
    left, top, right, bottom = sheet.boxes[0].tolist()
    frame = (left - 40, top - 40, right + 40, bottom + 40)
    (pen.rectangle if shape == "box" else pen.ellipse)(frame, outline=30, width=3)
    (digit,) = find_digits(picture).digits
    assert np.abs(np.array(digit.box) - sheet.boxes[0]).max() <= 2


def test_a_box_that_a_digit_touches_is_removed():
    sheet = write([(0, 130, 130)], 90, (260, 260), seed=5)
    picture = sheet.picture()
    left, top, right, bottom = sheet.boxes[0].tolist()
    ImageDraw.Draw(picture).rectangle((left - 40, top - 40, right + 40, bottom - 3), outline=30, width=3)
    (digit,) = find_digits(picture).digits
    assert np.abs(np.array(digit.box) - sheet.boxes[0]).max() <= 5


@pytest.mark.parametrize("angle", [-5, -2.5, 0, 2.5, 5])
def test_rows_are_found_on_a_rotated_page(angle):
    x, y = np.meshgrid(np.arange(12) * 60.0, np.arange(7) * 75.0)
    turn = np.deg2rad(angle)
    rng = np.random.default_rng(0)
    center_x = x * np.cos(turn) + y * np.sin(turn)
    center_y = y * np.cos(turn) - x * np.sin(turn) + rng.uniform(-6, 6, x.shape)
    boxes = (
        np.stack([center_x - 15, center_y - 25, center_x + 15, center_y + 25], axis=-1).round().astype(int)
    )
    expected = np.repeat(np.arange(7), 12)
    order = rng.permutation(84)
    assert find_rows(boxes.reshape(-1, 4)[order]).tolist() == expected[order].tolist()


def test_two_digits_one_above_the_other_are_two_rows():
    assert find_rows(np.array([[200, 60, 230, 100], [0, 0, 30, 40]])).tolist() == [1, 0]
    assert find_rows(np.zeros((0, 4), int)).tolist() == []
