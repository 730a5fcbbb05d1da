"""Makes several views of each image, so that a network can answer all of them together (test-time augmentation).

Axis letters: N images, C channels, H W image.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy.typing as npt

from cnncli.batches.augment import make_augmentation
from cnncli.batches.batches import to_input
from cnncli.errors import UsageError
from cnncli.randomness import stream
from cnncli.types import ByteArray, FloatArray, MeanStd

DESTRUCTIVE = frozenset({"erase", "noise"})
"""Augmentations that hide a part of an image: they help in training, and a view that they made says less."""

USUAL = (("affine", {"degrees": 5, "zoom": 0.05, "shift": 1}),)
"""The augmentations of a network that was trained without any."""

MOST = 1000


class Views:
    """Views of images: each image itself, and copies that are changed as in training.

    Args:
        count: the number of views of an image, from 1.
        augment: the augmentations of the training, as pairs (name, options).

    Raises:
        UsageError: the number is not from 1 to 1,000.

    Example:
        >>> import numpy as np
        >>> images = np.zeros((5, 28, 28), np.uint8)
        >>> [x.shape for x in Views(3, [("rotate", {"degrees": 10})]).of(images, 0, None, np.float32)]
        [(5, 1, 28, 28), (5, 1, 28, 28), (5, 1, 28, 28)]
    """

    def __init__(self, count: int, augment: Iterable[tuple[str, Any]] = ()) -> None:
        if not 1 <= count <= MOST:
            raise UsageError(f"expected from 1 to {MOST:,} views of an image, found {count}")
        self.count = count
        gentle = [(name, options) for name, options in augment if name not in DESTRUCTIVE]
        self._augment = make_augmentation(gentle or USUAL)

    def of(
        self, images: ByteArray, start: int, normalize: MeanStd | None, dtype: npt.DTypeLike
    ) -> Iterator[FloatArray]:
        """Yield the views of a part of a set as inputs of a network, (N, C, H, W) each; the images themselves first.

        The changes depend on `start` and the number of the view alone, so that all networks see the same ones.

        Args:
            images: (N, H, W) or (N, H, W, C), uint8.
            start: the position of the first one in the set.
            normalize: mean and standard deviation, or None.
            dtype: float32 or float64.
        """
        yield to_input(images, normalize, dtype)
        if self.count == 1:
            return
        assert self._augment is not None
        plain = to_input(images, None, dtype)
        for number in range(1, self.count):
            x = self._augment(plain, stream(0, "views", number, start))
            if normalize is not None:
                mean, std = normalize
                x = (x - x.dtype.type(mean)) * x.dtype.type(1 / std)
            yield x
