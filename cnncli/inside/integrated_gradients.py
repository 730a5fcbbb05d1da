"""Divides the change of a logit among the pixels, so that the shares add up to the change.

Source: Sundararajan et al., Axiomatic Attribution for Deep Networks (2017), section 3 and proposition 1 (completeness).

C channels, H W image.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cnncli.nn.network import Network
from cnncli.types import FloatArray, IntArray

from .activations import as_batch, images_at_once
from .attribution import input_gradient

PARTS = 16
"""The equal parts of the way from the baseline to the image."""


@dataclass(frozen=True)
class Integrated:
    """How much each pixel has changed a logit.

    Attributes:
        values: (C, H, W), float64, in units of the logit; positive where a pixel speaks for the class.
        label: the class.
        logit: of the image.
        baseline_logit: of the baseline.
        steps: the number of gradients that were computed.
    """

    values: npt.NDArray[np.float64]
    label: int
    logit: float
    baseline_logit: float
    steps: int

    @property
    def change(self) -> float:
        """The change of the logit from the baseline to the image, which the values should add up to."""
        return self.logit - self.baseline_logit

    @property
    def total(self) -> float:
        """The sum of the values."""
        return float(self.values.sum())

    @property
    def gap(self) -> float:
        """How far the sum is from the change, as a share of the change; infinite if only the change is 0."""
        missing = abs(self.total - self.change)
        return missing / abs(self.change) if self.change else (np.inf if missing else 0.0)


def integrated_gradients(
    network: Network,
    x: FloatArray,
    baseline: float | FloatArray,
    label: int | None = None,
    *,
    tolerance: float = 0.01,
    most: int = 2000,
) -> Integrated:
    """Return the integrated gradients of one image.

        values = (x − baseline) · integral over a from 0 to 1 of d logit / d x at baseline + a · (x − baseline)

    The gradient of a network with ReLU jumps along the way, so no fixed number of steps is enough. The way has 16
    parts. Each part has a change of the logit of its own, which is known. Where the gradients of a part miss it, their
    number is tripled: the old points stay points of the finer rule. This goes on until the sum is within the tolerance
    of the change, and not by chance: what the parts miss, without regard to signs, is then also within the tolerance
    of what they change.

    Args:
        network: any. The gradients of its parameters are overwritten.
        x: (C, H, W), normalized; one sample of whatever shape the network takes.
        baseline: what stands for "nothing there", normalized: one number, or an array of the shape of x.
        label: the class; None for the most probable one.
        tolerance: how much of the change may be missed.
        most: the largest number of gradients; then `gap` may be above the tolerance. It happens where the logit rises
            and falls again along the way, so that hardly any change is left.

    Returns:
        The shares, with the change and how well they add up to it.

    Example:
        >>> from cnncli.nn.layers import Flatten, Linear
        >>> network = Network([Flatten(), Linear(2, 2)], (1, 1, 2))
        >>> network.layers[1].weight = [[3, -1], [0, 0]]
        >>> found = integrated_gradients(network, np.array([[[1.0, 2.0]]]), 0.0, 0)
        >>> found.values.round(4).tolist(), round(found.change, 4)
        ([[[3.0, -2.0]]], 1.0)
    """
    x = as_batch(network, x[np.newaxis])[0]
    start = np.broadcast_to(np.asarray(baseline, network.dtype), x.shape)
    way = x - start

    def points(shares: npt.NDArray[np.float64]) -> FloatArray:
        """Return the samples at these shares of the way, (n, C, H, W)."""
        wide = shares.astype(network.dtype).reshape(-1, *[1] * x.ndim)
        samples: FloatArray = start + wide * way
        return samples

    edges = points(np.arange(PARTS + 1) / PARTS)
    at_once = images_at_once(network)
    logits = np.concatenate(
        [network.forward(edges[first : first + at_once]) for first in range(0, PARTS + 1, at_once)]
    ).astype(np.float64)
    logits[-1] = network.forward(x[np.newaxis])[0]  # start + 1 · way may differ from x in the last bit
    if label is None:
        label = int(logits[-1].argmax())
    changes = np.diff(logits[:, label])  # (PARTS,)
    allowed, allowed_in_parts = (
        tolerance * abs(float(changes.sum())),
        tolerance * float(np.abs(changes).sum()),
    )

    sums = np.zeros((PARTS, *x.shape))  # of the gradients in each part
    counts = np.zeros(PARTS, int)
    at_once = images_at_once(network, keep=True)
    coarse: IntArray = np.arange(PARTS)  # the parts that need more points
    while len(coarse):
        places, owners = [], []
        for part in coarse:
            finer = 3 * counts[part] if counts[part] else 1
            middles = (np.arange(finer) + 0.5) / finer
            # every third point, from the second on, is there already
            new = np.delete(middles, np.s_[1::3]) if counts[part] else middles
            places.append((part + new) / PARTS)
            owners.append(np.full(len(new), part))
        shares, owner = np.concatenate(places), np.concatenate(owners)
        for first in range(0, len(shares), at_once):
            several = slice(first, first + at_once)
            samples = points(shares[several])
            gradients = input_gradient(network, samples, np.full(len(samples), label))
            np.add.at(sums, owner[several], gradients)
        counts[coarse] = np.maximum(3 * counts[coarse], 1)
        means = sums / (PARTS * counts.reshape(-1, *[1] * x.ndim))
        missed = (means * way).reshape(PARTS, -1).sum(axis=1) - changes
        if not np.isfinite(missed).all():
            break
        enough = abs(missed.sum()) <= allowed
        if enough and np.abs(missed).sum() <= allowed_in_parts:
            break
        coarse = np.flatnonzero(np.abs(missed) > (allowed_in_parts if enough else allowed) / PARTS)
        if int(counts.sum() + 2 * counts[coarse].sum()) > most:
            break
    return Integrated(
        (means * way).sum(axis=0),
        label,
        float(logits[-1, label]),
        float(logits[0, label]),
        int(counts.sum()),
    )
