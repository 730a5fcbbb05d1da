"""Chooses the axis of an accuracy: linear, or a log scale of the error where only the last few percent matter."""

from typing import NamedTuple

import numpy as np

from cnncli.types import FloatArray

_ERROR_SCALE_FROM = 90.0
"""The axis has a log scale of the error where the best accuracy reaches this, in percent."""

_ROUND = (0, 50, 80, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 100)
_FINE = (
    *(0, 20, 40, 50, 60, 70, 80, 85, 90, 93, 95, 97, 98, 98.5, 99),
    *(99.3, 99.5, 99.7, 99.8, 99.9, 99.95, 100),
)


class AccuracyAxis(NamedTuple):
    """The range of an axis in percent.

    Attributes:
        bottom, top: its ends.
        ticks: where it has labels; None to choose them evenly.
        of_error: whether heights are those of `to_error_scale`.
    """

    bottom: float
    top: float
    ticks: tuple[float, ...] | None
    of_error: bool


def accuracy_axis(values: FloatArray) -> AccuracyAxis:
    """Return the axis for accuracies in percent: a log scale of the error for good ones, else a linear one.

    On the log scale of the error the distance from 99.0 to 99.5 % is the same as from 98 to 99 %, because both halve
    the number of mistakes.

    Args:
        values: all that is drawn, finite, in percent.

    Example:
        >>> accuracy_axis(np.array([20.0, 60.0])).of_error, accuracy_axis(np.array([95.0, 99.0])).ticks
        (False, (95, 97, 98, 98.5, 99))
    """
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 100.0)
    if high < _ERROR_SCALE_FROM:
        room = max(0.08 * (high - low), 2.0)
        return AccuracyAxis(max(low - room, 0.0), min(high + room, 100.0), None, of_error=False)
    bottom, top = to_error_scale(np.array([low, high])).tolist()
    # At least a halving and a doubling of the error around the values.
    room = max(0.06 * (top - bottom), np.log(2) - 0.5 * (top - bottom))
    bottom, top = from_error_scale(np.array([bottom - room, top + room])).clip(0, 100).tolist()
    ticks = tuple(tick for tick in _ROUND if bottom <= tick <= top)
    if len(ticks) < 4:
        ticks = tuple(tick for tick in _FINE if bottom <= tick <= top)
    if len(ticks) < 2:  # near 100 %
        ticks = (99, 99.5, 99.8, 99.9, 100)
        bottom = 99.0
    return AccuracyAxis(bottom, top, ticks, of_error=True)


def to_error_scale(percent: FloatArray) -> FloatArray:
    """Return the heights of accuracies on the log scale of the error."""
    height: FloatArray = -np.log(np.maximum(100.02 - percent, 0.02))  # 0.02 keeps 100 % at a finite height
    return height


def from_error_scale(height: FloatArray) -> FloatArray:
    """Return the accuracies, in percent, at some heights."""
    percent: FloatArray = 100.02 - np.exp(-height)
    return percent
