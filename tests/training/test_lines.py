"""The text of a picture: where its gaps are, and what is doubtful in it."""

import numpy as np
import pytest

from cnncli.training.lines import DigitPrediction, doubts_about, lines_of, spaced_text_of, text_of


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
