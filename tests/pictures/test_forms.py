"""A table of ruled cells is read cell by cell; squared paper and a box round one digit are no tables."""

import numpy as np
import pytest

from cnncli.pictures.digits import NothingToRead, find_digits
from tests.pictures.pages import lines_of_digits, table, write


def cells_of(found):
    return sorted((digit.line, digit.column) for digit in found.digits)


@pytest.mark.parametrize("angle", [0, 3, -5])
def test_each_digit_is_in_its_cell_and_empty_cells_have_none(angle):
    filled = np.random.default_rng(1).random((9, 7)) < 0.6
    found = find_digits(table(9, 7, filled=filled).picture(angle))
    assert found.table == (9, 7)
    assert cells_of(found) == list(zip(*np.nonzero(filled), strict=True))
    assert [(digit.line, digit.column) for digit in found.digits] == cells_of(found)
    assert found.warnings == ()


@pytest.mark.parametrize("rows, columns", [(1, 2), (1, 8), (8, 1), (2, 2), (20, 12)])
def test_tables_of_all_sizes(rows, columns):
    found = find_digits(table(rows, columns).picture())
    assert found.table == (rows, columns)
    assert cells_of(found) == [(row, column) for row in range(rows) for column in range(columns)]


def test_faint_pencil_counts_beside_black_rules():
    found = find_digits(table(6, 6, strength=0.3).picture())
    assert found.table == (6, 6) and len(found.digits) == 36
    dark = find_digits(table(6, 6).picture())
    for faint, clear in zip(found.digits, dark.digits, strict=True):
        assert np.abs(np.array(faint.box) - clear.box).max() <= 3


def test_a_digit_that_crosses_a_rule_belongs_to_one_cell_and_stays_whole():
    sheet = table(4, 4, filled=np.zeros((4, 4), bool))
    places = [
        (row, 110 + 100 * row, 105 + 90 * row + 26) for row in range(4)
    ]  # into the cell below by a third
    # with this seed no stroke of a digit runs along the rule, where nobody could tell them apart
    digits = write(places, 70, sheet.ink.shape, seed=1)
    np.maximum(sheet.ink, digits.ink, out=sheet.ink)
    found = find_digits(sheet.picture())
    assert found.table == (4, 4)
    assert cells_of(found) == [(n, n) for n in range(4)]
    for digit, box in zip(found.digits, digits.boxes, strict=True):
        assert np.abs(np.array(digit.box) - box).max() <= 5


def test_a_rule_does_not_count_as_ink():
    filled = np.zeros((5, 5), bool)
    filled[2, 3] = True
    sheet = table(5, 5, filled=filled)
    (digit,) = find_digits(sheet.picture()).digits
    assert (digit.line, digit.column) == (2, 3)
    assert np.abs(np.array(digit.box) - sheet.boxes[0]).max() <= 3
    with pytest.raises(NothingToRead, match="all 25 cells of the table are empty"):
        find_digits(table(5, 5, filled=np.zeros((5, 5), bool)).picture())


def test_writing_outside_of_a_table_is_said():
    sheet = table(4, 5)
    heading = write([(0, 300, 30)], 40, sheet.ink.shape)
    np.maximum(sheet.ink, heading.ink, out=sheet.ink)
    found = find_digits(sheet.picture())
    assert found.table == (4, 5) and len(found.digits) == 20
    assert found.warnings == ("there is writing outside of the table, which is not read",)


def test_squared_paper_is_no_table():
    sheet = lines_of_digits(9, 3, 60, seed=1)
    height, width = sheet.ink.shape
    sheet.rule(range(10, height, 40), range(25, width, 40), thickness=2)
    assert find_digits(sheet.picture()).table is None
    one = write([(0, 150, 150)], 60, (300, 300))
    one.rule(range(33, 300, 90), range(33, 300, 90), thickness=2)
    assert find_digits(one.picture()).table is None
