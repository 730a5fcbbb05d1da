"""Puts the features of many images on a plane: principal components, computed by NumPy.

Source: Pearson, On Lines and Planes of Closest Fit to Systems of Points in Space (1901).

N images, D features.
"""

from dataclasses import dataclass

import numpy as np

from cnncli.types import FloatArray, IntArray

_FITTED_ON = 1500
"""The most images, or features, of which the directions are computed: the cost grows with the cube."""


@dataclass(frozen=True)
class Projection:
    """Points on a plane.

    Attributes:
        points: (N, 2), along the first and the second principal component.
        shares: the parts of the variance of the features that the two axes show, from 0 to 1.
    """

    points: FloatArray
    shares: tuple[float, float]


def project(features: FloatArray) -> Projection:
    """Return the directions of features on their first two principal components.

    Each row is first scaled to length 1. How long a row is says how sure the network is, not of which class; without
    this, the classes with the longest rows would fill the plane and push the others together.

    The sign of a component is free; here its largest coefficient is positive, so that the same features give the same
    picture. Of more than 1,500 images with more than 1,500 features, the directions are those of the first 1,500.

    Args:
        features: (N, D). What is not finite counts as 0.

    Example:
        >>> project(np.array([[0.0, 5.0], [0.0, 2.0], [3.0, 0.0], [1.0, 0.0]])).points.round(3)[:, 0].tolist()
        [-0.707, -0.707, 0.707, 0.707]
    """
    x = np.nan_to_num(features.astype(np.float64), posinf=0.0, neginf=0.0)
    n, d = x.shape
    if n == 0 or d == 0:
        return Projection(np.zeros((n, 2)), (0.0, 0.0))
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), np.finfo(float).tiny)
    x -= x.mean(axis=0)
    if d <= _FITTED_ON:
        values, vectors = np.linalg.eigh(x.T @ x)  # ascending
        directions = vectors[:, ::-1][:, :2].T  # (2, D), or (1, 1)
    else:
        fitted = x[:_FITTED_ON]
        values, vectors = np.linalg.eigh(fitted @ fitted.T)
        # the right singular vectors from the left ones: V = Xᵀ U / s
        scale = np.sqrt(np.maximum(values[::-1][:2], np.finfo(float).tiny))
        directions = (fitted.T @ vectors[:, ::-1][:, :2] / scale).T
    if len(directions) < 2:
        directions = np.concatenate([directions, np.zeros((2 - len(directions), d))])
    largest = np.abs(directions).argmax(axis=1)
    directions *= np.where(directions[np.arange(2), largest] < 0, -1, 1)[:, None]
    total = max(float(np.maximum(values, 0).sum()), np.finfo(float).tiny)
    first, second = [*(float(max(each, 0)) / total for each in values[::-1][:2]), 0.0][:2]
    return Projection(x @ directions.T, (first, second))


def middles(points: FloatArray, labels: IntArray, classes: int) -> FloatArray:
    """Return where the name of each class stands: the median of its points, (K, 2); NaN without any."""
    found = np.full((classes, 2), np.nan)
    for label in range(classes):
        if (labels == label).any():
            found[label] = np.median(points[labels == label], axis=0)
    return found
