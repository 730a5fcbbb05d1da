"""Keeps one wild batch from throwing the weights away: the gradient is shortened, its direction kept."""

import math

import numpy as np

from cnncli.types import FloatArray

_CHUNK = 32_768


def clip_gradients(grads: FloatArray, max_norm: float) -> float:
    """Scale the flat gradient in place so that its L2 norm is at most `max_norm`; return the norm it had.

    grads *= min(1, max_norm / (norm + 1e-6))

    Args:
        grads: (P,), all gradients in one vector.
        max_norm: the longest allowed gradient, greater than 0.

    Example:
        >>> grads = np.array([3.0, 4.0])
        >>> clip_gradients(grads, 1.0)
        5.0
        >>> bool(np.allclose(grads, [0.6, 0.8]))
        True

    Source: Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks", 2013.
    """
    norm = gradient_norm(grads)
    if norm > max_norm:
        grads *= max_norm / (norm + 1e-6)
    return norm


def gradient_norm(grads: FloatArray) -> float:
    """Return the L2 norm of a flat vector, summed in float64, so that it cannot overflow."""
    total = 0.0
    for start in range(0, grads.size, _CHUNK):
        chunk = grads[start : start + _CHUNK].astype(np.float64)
        total += float(np.dot(chunk, chunk))
    return math.sqrt(total)
