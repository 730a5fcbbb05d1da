"""The text of a picture: where its gaps are, and what is doubtful in it."""

from dataclasses import replace

import numpy as np
import pytest

from cnncli.training.lines import (
    DigitPrediction,
    cells_of,
    doubts_about,
    flag_all_or_some,
    leave_out_at_edge,
    lines_of,
    spaced_text_of,
    text_of,
)


def digit(label: str, left: int, width: int = 50, *, line: int = 0, p: float = 1.0) -> DigitPrediction:
    box = (left, 100 * line, left + width, 100 * line + 90)
    return DigitPrediction(label, p, box, ((label, p), ("?", 1 - p)), np.zeros((28, 28), np.uint8), line)


def at(labels: str, *lefts: int, **options: int) -> list[DigitPrediction]:
    return [digit(label, left, **options) for label, left in zip(labels, lefts, strict=True)]


@pytest.mark.parametrize(
    ("digits", "text"),
    [
        (at("3142", 0, 60, 120, 180), "3142"),
        (at("3142", 0, 60, 180, 240), "31 42"),
        (at("3142", 0, 200, 400, 600), "3142"),  # as far apart as each other: no groups
        (at("31", 0, 300), "31"),  # one gap, and no usual one to compare with
        (at("314", 0, 60, 250), "31 4"),
        (at("1234", 0, 130, 190, 320), "1 23 4"),
        (at("7", 0), "7"),
        ([*at("31", 0, 60), *at("4215", 0, 60, 180, 240, line=1)], "31\n42 15"),
        (
            [digit("8", 0), digit("1", 75, 8), digit("1", 135, 8), digit("8", 170)],
            "8118",
        ),  # a narrow 1 has room on both sides
    ],
)
def test_a_gap_that_is_larger_than_usual_is_a_space(digits: list[DigitPrediction], text: str) -> None:
    assert spaced_text_of(digits) == text
    assert text_of(digits) == text.replace(" ", "")
    assert [len(line) for line in lines_of(digits)] == [
        len(line.replace(" ", "")) for line in text.split("\n")
    ]


def test_long_labels_are_separated_anyway() -> None:
    digits = [digit("Bag", 0), digit("Coat", 60)]
    assert text_of(digits) == spaced_text_of(digits) == "Bag Coat"


def test_no_more_than_five_doubts_are_listed_the_least_sure_ones() -> None:
    digits = [digit(str(n), 60 * n, p=0.3 + 0.05 * n) for n in range(8)]
    (said,) = doubts_about(digits, whole=False)
    assert said == (
        "unsure of 8 of the 8: no. 1: 0 30 %, ? 70 %; no. 2: 1 35 %, ? 65 %; no. 3: 2 40 %, ? 60 %; "
        "no. 4: 3 45 %, ? 55 %; no. 5: 4 50 %, ? 50 %; ..."
    )


def test_a_wide_box_among_others_may_hold_two_digits() -> None:
    digits = [digit("3", 0), digit("8", 60, 100), digit("2", 170)]
    assert list(doubts_about(digits, whole=False)) == ["no. 2 may be two digits that touch"]
    assert list(doubts_about(digits, whole=True)) == []
    assert list(doubts_about([digit("0", 0, 100)], whole=False)) == []
    assert list(doubts_about([digit("0", 0, 120)], whole=False)) == ["this may be two digits that touch"]


def flagged(digits: list[DigitPrediction], *numbers: int) -> list[DigitPrediction]:
    return [replace(each, unknown=number in numbers) for number, each in enumerate(digits, start=1)]


def test_what_is_unknown_is_a_question_mark_in_every_text() -> None:
    digits = flagged(at("3142", 0, 60, 180, 240), 2, 3)
    assert (text_of(digits), spaced_text_of(digits)) == ("3??2", "3? ?2")
    assert spaced_text_of(flagged(at("7", 0), 1)) == "?"
    assert cells_of([replace(digits[1], row=1, column=2)], (1, 2)) == [["", "?"]]


@pytest.mark.parametrize(
    ("count", "unknown", "marked"),
    [(1, 1, 1), (2, 1, 1), (3, 1, 1), (3, 2, 3), (5, 2, 2), (5, 3, 5), (10, 9, 10)],
)
def test_a_picture_of_mostly_unknown_pieces_is_unknown_as_a_whole(
    count: int, unknown: int, marked: int
) -> None:
    digits = flagged(at("1" * count, *range(0, 60 * count, 60)), *range(1, unknown + 1))
    assert sum(each.unknown for each in flag_all_or_some(digits)) == marked


@pytest.mark.parametrize(("known", "unknown"), [(3, [False]), (2, [False]), (1, [True]), (0, [True])])
def test_a_doubtful_digit_is_known_if_its_neighbors_are(known: int, unknown: list[bool]) -> None:
    digits = at("1" * (known + 1), *range(0, 60 * (known + 1), 60))
    digits[-1] = replace(digits[-1], unknown=True, doubtful=True)
    assert [each.unknown for each in flag_all_or_some(digits)][-1:] == unknown
    strange = [*digits[:-1], replace(digits[-1], doubtful=False)]
    assert flag_all_or_some(strange)[-1].unknown


def test_unknown_pieces_have_one_warning_and_no_other() -> None:
    one = flagged([digit("3", 0, 200, p=0.2)], 1)
    assert list(doubts_about(one, whole=False)) == ["this is like none of the classes"]
    two = flagged([*at("31", 0, 60), digit("4", 200, p=0.3)], 3)
    assert list(doubts_about(two, whole=False)) == ["1 of the 3 is like none of the classes: no. 3"]


def test_what_is_unknown_at_the_edge_is_left_out_beside_something_known() -> None:
    size = (400, 200)
    at_edge, inside, known = digit("1", 2), digit("2", 100), replace(digit("3", 200), box=(200, 50, 250, 140))
    unknown = [replace(each, unknown=True) for each in (at_edge, replace(inside, box=(100, 50, 150, 140)))]
    assert leave_out_at_edge([*unknown, known], size) == ([unknown[1], known], 1)
    assert leave_out_at_edge(unknown, size) == (unknown, 0)
    assert leave_out_at_edge([at_edge, known], size) == ([at_edge, known], 0)
    for box in ((396, 50, 400, 60), (200, 197, 220, 199), (100, 0, 150, 90)):
        assert leave_out_at_edge([replace(unknown[1], box=box), known], size)[1] == 1
