"""Random numbers for the images of a batch, or for some of them, that are the same either way.

The workers of a training each prepare a part of every batch. What happens to an image may not depend on who
prepares it, so the numbers are drawn for the whole batch by everyone, and each keeps those of its part.
"""

from collections.abc import Sequence
from typing import Any, Protocol, SupportsIndex

import numpy as np
import numpy.typing as npt


class Draws(Protocol):
    """What augmentations draw from: a generator, or the part of one that belongs to some images.

    A size is the number of images, or begins with it.
    """

    def uniform(self, low: float, high: float, size: Any) -> npt.NDArray[Any]:
        """Draw evenly between two limits."""

    def normal(self, loc: float, scale: float, size: Any) -> npt.NDArray[Any]:
        """Draw from a normal distribution."""

    def integers(
        self, low: int, high: int | None = None, size: Any = None, *, endpoint: bool = False
    ) -> npt.NDArray[Any]:
        """Draw whole numbers below a limit, or between two."""

    def random(self, size: Any, dtype: Any = np.float64) -> npt.NDArray[Any]:
        """Draw evenly between 0 and 1."""

    def standard_normal(self, size: Any, dtype: Any = np.float64) -> npt.NDArray[Any]:
        """Draw from the normal distribution of mean 0 and standard deviation 1."""


class PartOfDraws:
    """The draws that belong to a part of a batch.

    Args:
        rng: the batch's generator.
        count: images of the batch.
        part: which of them are asked for, without a step.

    Example:
        >>> whole = np.random.default_rng(1).uniform(-1, 1, 5)
        >>> part = PartOfDraws(np.random.default_rng(1), 5, slice(2, 4)).uniform(-1, 1, 2)
        >>> bool((part == whole[2:4]).all())
        True
    """

    def __init__(self, rng: np.random.Generator, count: int, part: slice) -> None:
        self._rng, self._count, self._part = rng, count, part

    def uniform(self, low: float, high: float, size: Any) -> npt.NDArray[Any]:
        """Draw evenly between two limits."""
        return self._rng.uniform(low, high, self._whole(size))[self._part]

    def normal(self, loc: float, scale: float, size: Any) -> npt.NDArray[Any]:
        """Draw from a normal distribution."""
        return self._rng.normal(loc, scale, self._whole(size))[self._part]

    def integers(
        self, low: int, high: int | None = None, size: Any = None, *, endpoint: bool = False
    ) -> npt.NDArray[Any]:
        """Draw whole numbers below a limit, or between two."""
        return self._rng.integers(low, high, self._whole(size), endpoint=endpoint)[self._part]

    def random(self, size: Any, dtype: Any = np.float64) -> npt.NDArray[Any]:
        """Draw evenly between 0 and 1."""
        return self._rng.random(self._whole(size), dtype)[self._part]

    def standard_normal(self, size: Any, dtype: Any = np.float64) -> npt.NDArray[Any]:
        """Draw from the normal distribution of mean 0 and standard deviation 1."""
        return self._rng.standard_normal(self._whole(size), dtype)[self._part]

    def _whole(self, size: SupportsIndex | Sequence[int]) -> tuple[int, ...]:
        rest = () if isinstance(size, SupportsIndex) else tuple(size)[1:]
        return (self._count, *rest)
