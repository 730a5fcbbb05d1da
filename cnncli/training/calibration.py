"""Turns the outputs of a network into honest probabilities, and tells inputs that belong to no class.

Two numbers are fitted on the validation images. A temperature divides the logits, so that of all predictions with a
probability of 90 % about 90 % are right. A threshold on the largest logit separates what resembles the training images
from what does not.

Sources: temperature: Guo et al., On Calibration of Modern Neural Networks (2017), section 4.2. Largest logit: Hendrycks
et al., Scaling Out-of-Distribution Detection for Real-World Settings (2022), section 4.

Axis letters: N images, K classes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from cnncli.errors import CheckpointError
from cnncli.nn.losses import softmax
from cnncli.types import FloatArray, IntArray

FLAGGED = 0.015
"""The share of the validation images that the threshold takes for no class."""

LEAST_IMAGES = 200
"""Fewer validation images say too little about probabilities."""

BINS = 15
"""The number of bins of the expected calibration error."""

_HOTTEST = 10.0  # the temperature stays within 1 / _HOTTEST and _HOTTEST


@dataclass(frozen=True)
class Calibration:
    """How the outputs of a network are turned into probabilities: `calibration` in a checkpoint.

    Attributes:
        temperature: divides the logits before the softmax; None if it was not fitted, which is 1.
        unknown_threshold: an input whose evidence is below it belongs to no class; None if it was not chosen.
    """

    temperature: float | None = None
    unknown_threshold: float | None = None


NOT_CALIBRATED = Calibration()


def evidence_of(logits: FloatArray) -> FloatArray:
    """Return how far the largest logit of each row is above the mean of the row: 0 if all classes are as probable.

    Without the mean, a number added to all logits would change the result, but not the probabilities.

    Args:
        logits: (N, K), of the network or as logarithms of its probabilities.

    Returns:
        (N,).

    Example:
        >>> evidence_of(np.array([[9.0, 0.0, 0.0]]))
        array([6.])
    """
    evidence: FloatArray = logits.max(axis=1) - logits.mean(axis=1)
    return evidence


def with_temperature(logits: FloatArray, calibration: Calibration) -> FloatArray:
    """Return the probabilities (N, K) of logits (N, K) divided by the temperature of a calibration."""
    t = calibration.temperature
    return softmax(logits if t is None else logits / logits.dtype.type(t))


def fit_calibration(probabilities: FloatArray, evidence: FloatArray, labels: IntArray) -> Calibration:
    """Fit both numbers on validation images.

    Args:
        probabilities: (N, K), of the network without a temperature.
        evidence: (N,), from `evidence_of`.
        labels: (N,), the true classes.

    Returns:
        An empty calibration if there are fewer than LEAST_IMAGES images, or if an output is not finite.
    """
    if len(labels) < LEAST_IMAGES or not np.isfinite(evidence).all():
        return NOT_CALIBRATED
    log_probabilities = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    return Calibration(
        round(fit_temperature(log_probabilities, labels), 4),
        round(float(np.quantile(evidence, FLAGGED)), 4),
    )


def fit_temperature(log_probabilities: FloatArray, labels: IntArray) -> float:
    """Return the temperature with the lowest cross-entropy, found with Newton's method.

    The cross-entropy is convex in b = 1 / temperature. Its derivatives are the mean of E[z] − z(label) and of Var[z],
    with the expectations under softmax(b·z).

    Args:
        log_probabilities: (N, K); the same as logits, because a softmax does not change when a number is added to all.
        labels: (N,).

    Example:
        >>> round(fit_temperature(np.log([[0.9, 0.1]] * 4), np.array([0, 0, 0, 1])), 2)
        2.0
    """
    z = log_probabilities.astype(np.float64)
    of_label = z[np.arange(len(z)), labels]
    b = 1.0
    for _ in range(50):
        p = np.exp(b * z - (b * z).max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        mean = (p * z).sum(axis=1)
        slope = float((mean - of_label).mean())
        curvature = float(((p * z * z).sum(axis=1) - mean**2).mean())
        step = slope / max(curvature, 1e-12)
        # a step that more than doubles or halves b would leave the place where the quadratic model is good
        now = float(np.clip(b - step, max(b / 2, 1 / _HOTTEST), min(2 * b, _HOTTEST)))
        if abs(now - b) < 1e-6:
            break
        b = now
    return 1 / b


def calibration_error(probabilities: FloatArray, labels: IntArray) -> float:
    """Return the expected calibration error: how far the probability of a prediction is from the share that is right.

    The predictions are sorted into 15 bins of equal width by their probability. The error is the mean over the bins of
    |accuracy − mean probability|, each weighted with its predictions.

    Args:
        probabilities: (N, K).
        labels: (N,).

    Example:
        >>> round(calibration_error(np.array([[0.9, 0.1]] * 4), np.array([0, 0, 0, 1])), 2)
        0.15
    """
    count, right, confidence = _binned(probabilities, labels)
    return float(np.abs(right - confidence).sum() / count.sum())


class ReliabilityBin(NamedTuple):
    """The predictions whose probability is in one of 15 bins.

    Attributes:
        low: the lower end of the bin.
        confidence: their mean probability.
        accuracy: the share of them that is right.
        size: how many they are.
    """

    low: float
    confidence: float
    accuracy: float
    size: int


def reliability(probabilities: FloatArray, labels: IntArray) -> list[ReliabilityBin]:
    """Return the bins of a reliability diagram, as `calibration_error` sorts the predictions into them.

    Source: Guo et al., section 2.

    Args:
        probabilities: (N, K).
        labels: (N,).

    Example:
        >>> reliability(np.array([[0.9, 0.1]] * 4), np.array([0, 0, 0, 1]))[13]
        ReliabilityBin(low=0.8666666666666667, confidence=0.9, accuracy=0.75, size=4)
    """
    count, right, confidence = (each.tolist() for each in _binned(probabilities, labels))
    return [
        ReliabilityBin(number / BINS, c / n if n else 0.0, r / n if n else 0.0, int(n))
        for number, (n, r, c) in enumerate(zip(count, right, confidence, strict=True))
    ]


def _binned(probabilities: FloatArray, labels: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return for each bin the number of predictions, of those that are right, and the sum of their probabilities."""
    # a network that has diverged is sure of nothing
    confidence = np.nan_to_num(probabilities.max(axis=1).astype(np.float64))
    right = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    ones = np.ones_like(confidence)
    count, hits, sums = (np.bincount(bins, each, BINS).astype(float) for each in (ones, right, confidence))
    return count, hits, sums


def read_calibration(meta: Mapping[str, Any]) -> Calibration:
    """Return the calibration that a checkpoint records; one without any if it has no such entry.

    Raises:
        CheckpointError: the entry is of another form.
    """
    recorded = meta.get("calibration")
    if recorded is None:
        return NOT_CALIBRATED
    fields = recorded if isinstance(recorded, dict) else {"": recorded}
    numbers = [value for value in fields.values() if value is not None]
    finite = all(type(value) in (int, float) and math.isfinite(value) for value in numbers)
    known = set(fields) <= {"temperature", "unknown_threshold"}
    temperature = fields.get("temperature")
    if not known or not finite or (temperature is not None and temperature <= 0):
        raise CheckpointError(f"its calibration is not one that this version knows: {recorded!r:.200}")
    return Calibration(**fields)
