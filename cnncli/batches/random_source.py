"""Random numbers per image that do not depend on which worker prepares the image.

Each worker of a training run prepares a part of every batch. The augmentation of an image must be the same for any
number of workers. So each worker draws the numbers for the complete batch and keeps those of its part.
"""

from collections.abc import Sequence
from typing import Any, Protocol, SupportsIndex

import numpy as np
import numpy.typing as npt


class RandomSource(Protocol):
    """The source of random numbers for augmentations: a NumPy generator or a RandomSlice of one.

    Every size is the number of images, or a shape whose first axis is the number of images.
    """

    def uniform(self, low: float, high: float, size: Any) -> npt.NDArray[Any]:
        """Draw from the uniform distribution between two limits."""

    def normal(self, loc: float, scale: float, size: Any) -> npt.NDArray[Any]:
        """Draw from a normal distribution."""

    def integers(
        self, low: int, high: int | None = None, size: Any = None, *, endpoint: bool = False
    ) -> npt.NDArray[Any]:
        """Draw integers below a limit or between two limits."""

    def random(self, size: Any, dtype: Any = np.float64) -> npt.NDArray[Any]:
        """Draw from the uniform distribution between 0 and 1."""

    def standard_normal(self, size: Any, dtype: Any = np.float64) -> npt.NDArray[Any]:
        """Draw from the normal distribution with mean 0 and standard deviation 1."""

    def beta(self, a: float, b: float, size: Any) -> npt.NDArray[Any]:
        """Draw from a beta distribution, which lies between 0 and 1."""


class RandomSlice:
    """The random numbers that a generator draws for a part of a batch.

    Args:
        rng: the generator of the batch.
        count: the number of images in the batch.
        part: the images of the part, a slice without a step.

    Example:
        >>> complete = np.random.default_rng(1).uniform(-1, 1, 5)
        >>> part = RandomSlice(np.random.default_rng(1), 5, slice(2, 4)).uniform(-1, 1, 2)
        >>> bool((part == complete[2:4]).all())
        True
    """

    def __init__(self, rng: np.random.Generator, count: int, part: slice) -> None:
        self._rng, self._count, self._part = rng, count, part

    def uniform(self, low: float, high: float, size: Any) -> npt.NDArray[Any]:
        """Draw from the uniform distribution between two limits."""
        return self._rng.uniform(low, high, self._batch_shape(size))[self._part]

    def normal(self, loc: float, scale: float, size: Any) -> npt.NDArray[Any]:
        """Draw from a normal distribution."""
        return self._rng.normal(loc, scale, self._batch_shape(size))[self._part]

    def integers(
        self, low: int, high: int | None = None, size: Any = None, *, endpoint: bool = False
    ) -> npt.NDArray[Any]:
        """Draw integers below a limit or between two limits."""
        return self._rng.integers(low, high, self._batch_shape(size), endpoint=endpoint)[self._part]

    def random(self, size: Any, dtype: Any = np.float64) -> npt.NDArray[Any]:
        """Draw from the uniform distribution between 0 and 1."""
        return self._rng.random(self._batch_shape(size), dtype)[self._part]

    def standard_normal(self, size: Any, dtype: Any = np.float64) -> npt.NDArray[Any]:
        """Draw from the normal distribution with mean 0 and standard deviation 1."""
        return self._rng.standard_normal(self._batch_shape(size), dtype)[self._part]

    def beta(self, a: float, b: float, size: Any) -> npt.NDArray[Any]:
        """Draw from a beta distribution, which lies between 0 and 1."""
        return self._rng.beta(a, b, self._batch_shape(size))[self._part]

    def _batch_shape(self, size: SupportsIndex | Sequence[int]) -> tuple[int, ...]:
        """Return the shape for the complete batch."""
        rest = () if isinstance(size, SupportsIndex) else tuple(size)[1:]
        return (self._count, *rest)
