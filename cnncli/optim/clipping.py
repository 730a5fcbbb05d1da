"""Gradient clipping: limits the length of the gradient and keeps its direction, so that no step is too large."""

import math

import numpy as np

from cnncli.optim.optimizers import CHUNK
from cnncli.types import FloatArray


def clip_gradients(grads: FloatArray, max_norm: float) -> float:
    """Scale the flat gradient in place so that its L2 norm is at most `max_norm`; return the norm before.

    grads *= min(1, max_norm / (norm + 1e-6))

    Args:
        grads: (P,), all gradients in one vector.
        max_norm: the largest norm allowed, above 0.

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
    """Return the L2 norm of a flat vector, summed in float64 so that it does not overflow."""
    total = 0.0
    for start in range(0, grads.size, CHUNK):
        chunk = grads[start : start + CHUNK].astype(np.float64)
        total += float(np.dot(chunk, chunk))
    return math.sqrt(total)
