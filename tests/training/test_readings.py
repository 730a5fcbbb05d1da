"""Of two readings of the same ink the one is taken of which the network is clearly surer."""

import numpy as np
import pytest

from cnncli.pictures.alternatives import Alternative
from cnncli.pictures.digits import Digit
from cnncli.training.lines import DigitPrediction
from cnncli.training.readings import choose_readings

PIXELS = np.zeros((28, 28), np.uint8)


def read(now, then, *, cut=False, overlap=False, knows_none=False):
    """Return the labels chosen and whether one was cut, from label and probability of each digit in both readings."""

    def predictions(entries):
        return [DigitPrediction(label, p, (0, 0, 9, 9), ((label, p),), PIXELS) for label, p in entries]

    digits = [Digit(PIXELS, (0, 0, 9, 9), cut=cut) for _ in now]
    parts = tuple(Digit(PIXELS, (0, 0, 9, 9), cut=len(then) > len(now)) for _ in then)
    other = Alternative(0, len(now), parts, overlap)
    chosen, was_cut = choose_readings(
        digits, predictions(now), [other], [predictions(then)], knows_none=knows_none
    )
    return "".join(digit.label for digit in chosen), was_cut


@pytest.mark.parametrize(
    ("now", "then", "label", "cut"),
    [
        ([("8", 0.6)], [("1", 0.999), ("7", 0.999)], "17", True),
        ([("8", 0.99)], [("1", 0.999), ("7", 0.999)], "8", False),  # not 20 times surer
        ([("8", 0.6)], [("1", 0.999), ("7", 0.7)], "8", False),  # the least sure part counts
        ([("1", 0.6), ("1", 1.0)], [("4", 0.99)], "4", False),
        ([("1", 0.95), ("1", 1.0)], [("4", 0.99)], "11", False),
        ([("1", 0.3), ("1", 0.3)], [("4", 0.5)], "11", False),
    ],
)
def test_the_surer_reading_is_taken(now, then, label, cut):
    assert read(now, then) == (label, cut)


@pytest.mark.parametrize(
    ("now", "then", "label"),
    [
        ([("2", 0.93), ("1", 0.9996)], [("4", 0.9999)], "4"),
        ([("2", 0.99), ("1", 0.99)], [("4", 0.9901)], "21"),  # not 4 times surer
        ([("2", 0.1), ("1", 0.1)], [("4", 0.5)], "21"),  # not sure at all
        ([("8", 0.9)], [("1", 0.98), ("7", 0.98)], "17"),
        ([("8", 0.99)], [("1", 0.98), ("7", 0.98)], "8"),
    ],
)
def test_a_network_that_knows_what_is_no_digit_needs_a_smaller_difference(now, then, label):
    assert read(now, then, knows_none=True)[0] == label


def test_strokes_that_overlap_as_those_of_a_4_are_one_digit():
    ones = [("1", 1.0), ("1", 1.0)]
    assert read(ones, [("4", 0.97)], overlap=True) == ("4", False)
    assert read(ones, [("4", 0.9)], overlap=True) == ("11", False)
    assert read(ones, [("4", 0.97)]) == ("11", False)


def test_what_the_width_alone_has_cut_is_whole_if_that_is_surer():
    assert read([("2", 0.9), ("1", 0.9)], [("2", 0.99)], cut=True) == ("2", False)
    assert read([("2", 0.99), ("1", 0.99)], [("2", 0.99)], cut=True) == ("21", True)


def test_of_overlapping_alternatives_the_best_one_is_taken():
    digits = [Digit(PIXELS, (0, 0, 9, 9))] * 3
    predictions = [DigitPrediction(label, 0.3, (0, 0, 9, 9), ((label, 0.3),), PIXELS) for label in "123"]
    parts = [
        [DigitPrediction(label, p, (0, 0, 9, 9), ((label, p),), PIXELS)]
        for label, p in (("8", 0.8), ("9", 0.95))
    ]
    others = [Alternative(0, 2, (digits[0],)), Alternative(1, 2, (digits[0],))]
    chosen, _ = choose_readings(digits, predictions, others, parts)
    assert [digit.label for digit in chosen] == ["1", "9"]
