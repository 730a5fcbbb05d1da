"""Splits values into two classes."""

import numpy as np

from cnncli.types import FloatArray


def otsu(plane: FloatArray) -> float:
    """Return the threshold that splits values in 0..1 into the two classes with the largest between-class variance.

    Source: Otsu: A threshold selection method from gray-level histograms (1979).
    """
    counts = np.bincount((plane.ravel() * 255 + 0.5).astype(np.uint8), minlength=256).astype(np.float64)
    below = np.cumsum(counts)
    moment = np.cumsum(counts * np.arange(256))
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (moment / below - (moment[-1] - moment) / above) ** 2
    between[~np.isfinite(between)] = 0
    # if there is a gap between the classes, all thresholds in it are equally good: take the middle
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return (float(best.mean()) + 0.5) / 255
