"""Chooses between two ways to read the same ink by how sure the network is: as one digit, or as two that touch.

The limits were measured with the bundled model and a network trained on MNIST alone; docs/pictures.md has the figures.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnncli.training.lines import DigitPrediction

if TYPE_CHECKING:
    from cnncli.pictures.alternatives import Alternative
    from cnncli.pictures.digits import Digit

CUT_APART = "digits that touch were cut apart; leave room between them"
"""The warning about digits that were cut from the same ink."""

_MORE = 3.0  # the logarithm by which one digit must be less sure than two: 20 times
_WHOLE = 0.5  # the same for parts that the width alone has cut, if the whole is surer
_SURER = 0.1  # by this probability two strokes must be surer together than each alone
_ONE = 0.6  # and have this probability at least
_OVERLAPPING = 0.95  # is enough for strokes that overlap like those of a 4
_ALL_SURER = 0.3  # by this probability all pieces of a picture must be surer as one digit
_LEAST = 1e-6

_SURELY = math.log(4)
"""For a network that has learned what is no digit: the logarithm by which the other reading must be surer. Such a
network is unsure of two digits in one image and of half a digit, so that a small difference says more."""


def choose_readings(
    digits: Sequence["Digit"],
    predictions: Sequence[DigitPrediction],
    alternatives: Sequence["Alternative[Digit]"],
    others: Sequence[Sequence[DigitPrediction]],
    *,
    knows_none: bool = False,
) -> tuple[list[DigitPrediction], bool]:
    """Return the predictions of a picture, and whether any is of a part of ink that was cut.

    Args:
        digits: of the picture.
        predictions: one for each digit.
        alternatives: other ways to read some of the digits.
        others: the predictions for the parts of each alternative.
        knows_none: whether the network has learned what is no digit.
    """
    gains = [
        _gain(digits, predictions, alternative, parts, knows_none)
        for alternative, parts in zip(alternatives, others, strict=True)
    ]
    replaced: dict[int, int] = {}  # the first digit of what an alternative replaces
    taken = set[int]()
    for number in sorted(range(len(gains)), key=lambda number: -gains[number]):
        span = range(alternatives[number].first, alternatives[number].first + alternatives[number].count)
        if gains[number] > 0 and taken.isdisjoint(span):
            replaced[span.start] = number
            taken.update(span)
    chosen: list[DigitPrediction] = []
    cut = False
    for number, prediction in enumerate(predictions):
        if number in replaced:
            chosen += others[replaced[number]]
            cut |= any(part.cut for part in alternatives[replaced[number]].parts)
        elif number not in taken:
            chosen.append(prediction)
            cut |= digits[number].cut
    return chosen, cut


def _gain(
    digits: Sequence["Digit"],
    predictions: Sequence[DigitPrediction],
    alternative: "Alternative[Digit]",
    parts: Sequence[DigitPrediction],
    knows_none: bool,
) -> float:
    """Return how much better an alternative is; it is taken if this is above 0."""
    span = slice(alternative.first, alternative.first + alternative.count)
    now = min(prediction.probability for prediction in predictions[span])
    then = min(part.probability for part in parts)
    surer = math.log(max(1 - now, _LEAST)) - math.log(max(1 - then, _LEAST))
    if knows_none and not digits[alternative.first].cut:
        return surer - _SURELY if then > _ONE else 0.0
    if len(parts) > alternative.count:
        return surer - _MORE
    if digits[alternative.first].cut:
        return surer - _WHOLE
    if alternative.count > 2:
        return then - now - _ALL_SURER
    if alternative.overlap and then > _OVERLAPPING:
        return max(surer, _SURER)
    return then - now - _SURER if then > _ONE else 0.0
