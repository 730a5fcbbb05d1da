"""Makes the targets of a batch where they are more than its labels: shares of classes, with weights.

Axis letters: N images of the set, B images of a part of a batch, K classes.
"""

from dataclasses import dataclass

import numpy as np

from cnncli.batches.mixing import Mixing
from cnncli.types import OF_NO_CLASS, FloatArray, IntArray


@dataclass(frozen=True)
class TargetRule:
    """What the targets of a training run are made of.

    Args:
        classes: K.
        mixing: mixes pairs of images and their targets; None for no mixing.
        weights: of each class in the loss, (K,); None for 1 each.
        teacher: the probabilities that a teacher gives each image, (N, K), float32; None for no teacher.
        teacher_share: the share of a target that is the teacher's; the rest is that of the label.
    """

    classes: int
    mixing: Mixing | None = None
    weights: FloatArray | None = None
    teacher: FloatArray | None = None
    teacher_share: float = 0.0

    def of_images(self, chosen: IntArray, labels: IntArray) -> FloatArray:
        """Return the targets of images before they are mixed, (B, K), float32.

        Args:
            chosen: (B,), their positions in the set.
            labels: (B,), from 0, or `OF_NO_CLASS`: such an image has 1 / K of each class.

        Example:
            >>> rule = TargetRule(2, teacher=np.array([[0.75, 0.25]], np.float32), teacher_share=0.5)
            >>> rule.of_images(np.array([0]), np.array([1])).tolist()
            [[0.375, 0.625]]
        """
        targets = np.zeros((len(labels), self.classes), np.float32)
        known = np.flatnonzero(labels != OF_NO_CLASS)
        targets[known, labels[known]] = 1
        if self.teacher is not None:
            targets *= np.float32(1 - self.teacher_share)
            # an image of no class is none of the set's, so the teacher has not seen it
            targets[known] += np.float32(self.teacher_share) * self.teacher[chosen[known]]
        targets[labels == OF_NO_CLASS] = 1 / self.classes
        return targets

    def mixed(self, own: FloatArray, others: FloatArray, shares: FloatArray) -> FloatArray:
        """Return the targets of mixed images, (B, K), in place of `own`.

        Args:
            own, others: (B, K), the targets of both images of each pair.
            shares: (B,), of the own image.
        """
        kept = shares.astype(np.float32)[:, None]
        own *= kept
        own += (1 - kept) * others
        return own


def balanced_weights(labels: IntArray, classes: int) -> FloatArray:
    """Return weights (K,) with which all classes have the same part in the loss: N / (K · images of the class).

    A class without an image has 1.

    Example:
        >>> balanced_weights(np.array([0, 0, 0, 1]), 2).round(3).tolist()
        [0.667, 2.0]
    """
    counts = np.bincount(labels[labels != OF_NO_CLASS], minlength=classes)
    present = np.count_nonzero(counts)
    weights: FloatArray = np.ones(classes)
    np.divide(counts.sum(), present * counts, out=weights, where=counts > 0)
    return weights
