"""The loss and its gradient with respect to the logits.

Derivation: docs/backward-passes.md#softmax-and-cross-entropy.

N batch, K classes.
"""

import numpy as np

from cnncli.errors import ModelError
from cnncli.types import OF_NO_CLASS, FloatArray, IntArray


def log_softmax(logits: FloatArray) -> FloatArray:
    """Return log(softmax(logits)) without computing the logarithm of a probability that was rounded to zero.

        log_softmax(z)ₖ = z'ₖ − log(sum over j of exp(z'ⱼ)),  with z' = z − max(z)

    Args:
        logits: (N, K).

    Returns:
        (N, K), finite for finite logits of any size.
    """
    with np.errstate(invalid="ignore"):  # a logit that is not finite gives NaN, which the caller reports
        shifted: FloatArray = logits - logits.max(axis=1, keepdims=True)
        shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


def softmax(logits: FloatArray) -> FloatArray:
    """Return the probabilities (N, K) of logits (N, K): exp(zₖ) / sum over j of exp(zⱼ)."""
    with np.errstate(invalid="ignore"):
        exponentials: FloatArray = np.exp(logits - logits.max(axis=1, keepdims=True))
        exponentials /= exponentials.sum(axis=1, keepdims=True)
    return exponentials


def cross_entropy(
    logits: FloatArray,
    labels: IntArray,
    label_smoothing: float = 0.0,
    targets: FloatArray | None = None,
) -> tuple[float, FloatArray]:
    """Return the mean cross-entropy between the labels or targets and softmax(logits), and its gradient.

        loss = −1/N · sum over n, k of target[n, k] · log_softmax(logits)[n, k]
        dlogits = (softmax(logits) − target) / N
        target = (1 − s) · onehot(labels) + s / K

    Args:
        logits: (N, K).
        labels: (N,), integers from 0 to K − 1, or OF_NO_CLASS: the target of such a sample is 1 / K for each class.
        label_smoothing: s, from 0 to 1.
        targets: (N, K), which replace onehot(labels). A row sums to the weight of its sample, so that
            dlogits = (weight · softmax(logits) − target) / N.

    Returns:
        The loss, and dlogits (N, K) in the dtype of the logits.

    Raises:
        ModelError: a label is outside 0 to K − 1.

    Sources: label smoothing: Szegedy et al., Rethinking the Inception Architecture (2015), section 7. Samples of no
    class: Hendrycks et al., Deep Anomaly Detection with Outlier Exposure (2019), section 3.
    """
    N, K = logits.shape
    if labels.min() < OF_NO_CLASS or labels.max() >= K:
        raise ModelError(
            f"the network has {K} outputs, but a label is "
            f"{labels.min() if labels.min() < OF_NO_CLASS else labels.max()}",
            "the last layer must have as many units as the data set has classes",
        )
    log_probabilities = log_softmax(logits)
    if targets is not None:
        return _with_targets(log_probabilities, targets, label_smoothing)
    if labels.min() == OF_NO_CLASS:
        return _with_outliers(log_probabilities, labels, label_smoothing)
    each = np.arange(N)
    loss = -(1 - label_smoothing) * log_probabilities[each, labels].mean(dtype=np.float64)
    if label_smoothing:
        loss -= label_smoothing * log_probabilities.mean(dtype=np.float64)
    dlogits = np.exp(log_probabilities, out=log_probabilities)
    dlogits -= label_smoothing / K
    dlogits[each, labels] -= 1 - label_smoothing
    dlogits /= N
    return float(loss), dlogits


def _with_outliers(
    log_probabilities: FloatArray, labels: IntArray, label_smoothing: float
) -> tuple[float, FloatArray]:
    """Return the loss and its gradient for samples of which some are of no class; overwrites `log_probabilities`."""
    N, K = log_probabilities.shape
    target = np.full((N, K), label_smoothing / K, log_probabilities.dtype)
    known = np.flatnonzero(labels != OF_NO_CLASS)
    target[known, labels[known]] += 1 - label_smoothing
    target[labels == OF_NO_CLASS] = 1 / K
    loss = -float((target * log_probabilities).sum(dtype=np.float64)) / N
    dlogits = np.exp(log_probabilities, out=log_probabilities)
    dlogits -= target
    dlogits /= N
    return loss, dlogits


def _with_targets(
    log_probabilities: FloatArray, targets: FloatArray, label_smoothing: float
) -> tuple[float, FloatArray]:
    """Return the loss and its gradient for targets (N, K) of any weight; overwrites `log_probabilities`."""
    N, K = log_probabilities.shape
    weights = targets.sum(axis=1, keepdims=True)
    smooth = (
        targets if not label_smoothing else (1 - label_smoothing) * targets + label_smoothing / K * weights
    )
    loss = -float((smooth * log_probabilities).sum(dtype=np.float64)) / N
    dlogits = np.exp(log_probabilities, out=log_probabilities)
    dlogits *= weights
    dlogits -= smooth
    dlogits /= N
    return loss, dlogits


def accuracy(logits: FloatArray, labels: IntArray) -> float:
    """Return the share, from 0 to 1, of samples whose largest logit is that of their label.

    Args:
        logits: (N, K).
        labels: (N,).
    """
    return float((logits.argmax(axis=1) == labels).mean())
