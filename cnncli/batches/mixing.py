"""Mixes pairs of training images, so that a target is a share of one class and a share of another.

An image is mixed with another one of its batch before the augmentation, which then changes both alike and is applied
once. As in augmentations, every random number belongs to an image, not to the worker that prepares it.

Axis letters: B images of a part of a batch, C channels, H W image.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cnncli.batches.random_source import RandomSource
from cnncli.options import build_entry, real
from cnncli.types import BoolArray, FloatArray, IntArray


class Mixing(ABC):
    """A way to mix two images.

    Args:
        alpha: the share of an image is drawn from Beta(alpha, alpha): near 0 or 1 for a small alpha, uniform for 1.
        chance: the probability that an image is mixed at all.
    """

    def __init__(self, *, alpha: float, chance: float) -> None:
        self.alpha = real("alpha", alpha, above=0, at_most=1000)
        self.chance = real("chance", chance, at_least=0, at_most=1)

    @abstractmethod
    def mix(self, images: FloatArray, others: FloatArray, rng: RandomSource) -> FloatArray:
        """Mix each image with another one, in place.

        Args:
            images: (B, C, H, W), which are overwritten.
            others: (B, C, H, W), which stay as they are.
            rng: of this batch.

        Returns:
            The share of its own that each image has kept, (B,), from 0 to 1.
        """

    def draw_shares(self, count: int, rng: RandomSource) -> FloatArray:
        """Draw the share that each of `count` images keeps, (B,): 1 for those that are not mixed."""
        shares = rng.beta(self.alpha, self.alpha, count)
        unmixed = rng.random(count) >= self.chance
        drawn: FloatArray = np.where(unmixed, 1.0, shares)
        return drawn


class Mixup(Mixing):
    """The weighted mean of two images.

    Source: Zhang, Cissé, Dauphin, Lopez-Paz: mixup: Beyond empirical risk minimization (2018).
    """

    def __init__(self, *, alpha: float = 0.2, chance: float = 1.0) -> None:
        super().__init__(alpha=alpha, chance=chance)

    def mix(self, images: FloatArray, others: FloatArray, rng: RandomSource) -> FloatArray:
        """Mix each image with another one, in place; see `Mixing.mix`."""
        shares = self.draw_shares(len(images), rng)
        weights = shares.astype(images.dtype)[:, None, None, None]
        images *= weights
        images += (1 - weights) * others
        return shares


class CutMix(Mixing):
    """A rectangle of one image in another one, at a random place.

    The rectangle has the proportions of the image. What of it is outside of the image is cut off, and the share is that
    of the pixels that were kept.

    Source: Yun et al.: CutMix: Regularization strategy to train strong classifiers with localizable features (2019).
    """

    def __init__(self, *, alpha: float = 1.0, chance: float = 0.5) -> None:
        super().__init__(alpha=alpha, chance=chance)

    def mix(self, images: FloatArray, others: FloatArray, rng: RandomSource) -> FloatArray:
        """Mix each image with another one, in place; see `Mixing.mix`."""
        count, _, height, width = images.shape
        side = np.sqrt(1 - self.draw_shares(count, rng))
        inside = [
            self._inside(size, np.rint(size * side), rng.integers(size, size=count))
            for size in (height, width)
        ]
        pasted = inside[0][:, :, None] & inside[1][:, None, :]  # (B, H, W)
        np.copyto(images, others, where=pasted[:, None])
        shares: FloatArray = 1 - pasted.mean(axis=(1, 2))
        return shares

    @staticmethod
    def _inside(size: int, length: FloatArray, middle: IntArray) -> BoolArray:
        """Return which places along one axis are in the rectangle, (B, size)."""
        start = (middle - length // 2)[:, None]
        places = np.arange(size)
        chosen: BoolArray = (places >= start) & (places < start + length[:, None])
        return chosen


MIXINGS: dict[str, Callable[..., Mixing]] = {"mixup": Mixup, "cutmix": CutMix}


def make_mixing(name: str, options: Mapping[str, Any]) -> Mixing:
    """Build a way to mix images by its name in a config.

    Raises:
        ModelError: the name, an option or a value is not valid. The key path is (option,).

    Example:
        >>> make_mixing("mixup", {"alpha": 0.4}).alpha
        0.4
    """
    return build_entry(MIXINGS, "mixing", name, options)
