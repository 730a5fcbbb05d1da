"""Turns byte images into float batches one at a time, so that memory never holds a float copy of a set.

What travels from the training loop to a worker is a key (seed, epoch, step), never an image. Each worker has the byte
images of the set, and prepares the images of its own part of the batch with `Batches.write`.

Axis letters: N images of a set, B images of a batch, C channels, H W image.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cnncli.batches.random_source import RandomSlice, RandomSource
from cnncli.batches.targets import TargetRule
from cnncli.errors import DataError
from cnncli.mapped import take
from cnncli.randomness import stream
from cnncli.types import OF_NO_CLASS, ByteArray, FloatArray, IntArray, Shape

Augmentation = Callable[[FloatArray, RandomSource], FloatArray]
"""From float images (B, C, H, W) in 0..1 and a random source to images of the same shape and dtype."""


def to_input(
    images: ByteArray,
    normalize: tuple[float, float] | None = None,
    dtype: npt.DTypeLike = np.float32,
    out: FloatArray | None = None,
) -> FloatArray:
    """Convert byte images to network input: (pixel / 255 − mean) / std.

    Args:
        images: (B, H, W) gray or (B, H, W, C), uint8.
        normalize: mean and standard deviation of the set in units of 0..1, or None for pixel / 255 alone.
        dtype: float32 or float64.
        out: the array to write to, (B, C, H, W), whose dtype replaces `dtype`; None for a new array.

    Returns:
        `out` or the new array, (B, C, H, W).

    Example:
        >>> to_input(np.full((1, 28, 28), 255, np.uint8)).shape
        (1, 1, 28, 28)
    """
    if images.ndim not in (3, 4) or images.dtype != np.uint8:
        raise ValueError(f"images must be uint8 (N, H, W) or (N, H, W, C), not {images.dtype} {images.shape}")
    # (B, H, W[, C]) -> (B, C, H, W), a view of the bytes
    channels_first = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
    x: FloatArray = np.empty(channels_first.shape, dtype) if out is None else out
    scale = x.dtype.type
    if normalize is None:
        np.multiply(channels_first, scale(1 / 255), out=x)
        return x
    mean, std = normalize
    np.multiply(channels_first, scale(1 / (255 * std)), out=x)
    x -= scale(mean / std)
    return x


Batch = tuple[FloatArray, npt.NDArray[np.int64]]
"""Images (B, C, H, W) and labels (B,)."""


class Portion(NamedTuple):
    """A part of a set, and how many images of each epoch come from it.

    Attributes:
        indices: (n,), its images.
        wanted: images of an epoch. Each image is in it wanted // n times, and a random part of them once more.
    """

    indices: IntArray
    wanted: int


class Batches:
    """The batches of a set, each of which is a pure function of (seed, epoch, step).

    The order of epoch e is drawn from the random stream (seed, "shuffle", e), and the augmentation of its step s from
    (seed, "augment", e, s). So a run that was interrupted before step s continues with `epoch(e, start_step=s)` and
    gets the same batches. The attributes must not change after the first use, because workers have copies of them.

    Args:
        images: (N, H, W) or (N, H, W, C), uint8; not copied.
        labels: (N,), integers from 0, or -1 for an image of no class.
        batch_size: the number of images per batch; the last batch of an epoch may be smaller.
        seed: the seed of the run.
        normalize: mean and standard deviation of the set, applied after the augmentation, or None.
        augment: the augmentation, or None.
        shuffle: draw a new order in every epoch, or keep the order of the set.
        drop_last: omit the last batch of an epoch if it is not full.
        dtype: float32 or float64.
        indices: use only these images of the set, without copying them; None for all images. Portions instead of
            indices make an epoch of a given number of images of each.
        targets: how targets differ from labels, and how images are mixed; None for labels alone.

    Raises:
        DataError: an epoch has no batch.

    Example:
        >>> batches = Batches(np.zeros((10, 28, 28), np.uint8), np.zeros(10, np.int64), batch_size=4, seed=1)
        >>> [len(y) for x, y in batches.epoch(1)]
        [4, 4, 2]
    """

    def __init__(
        self,
        images: ByteArray,
        labels: IntArray,
        *,
        batch_size: int,
        seed: int = 0,
        normalize: tuple[float, float] | None = None,
        augment: Augmentation | None = None,
        shuffle: bool = True,
        drop_last: bool = False,
        dtype: npt.DTypeLike = np.float32,
        indices: IntArray | list[Portion] | None = None,
        targets: TargetRule | None = None,
    ) -> None:
        if len(images) != len(labels):
            raise ValueError(f"{len(images)} images, but {len(labels)} labels")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        self.images = images
        self.labels = labels
        self.portions: tuple[Portion, ...] = ()
        self.indices: IntArray | None = None
        self.count = len(images)
        if isinstance(indices, list) and indices and isinstance(indices[0], Portion):
            self.portions = tuple(indices)
            self.count = sum(portion.wanted for portion in self.portions)
        elif indices is not None:
            self.indices = np.asarray(indices, np.int64)
            self.count = len(self.indices)
        self.batch_size = batch_size
        self.seed = seed
        self.normalize = normalize
        self.augment = augment
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.dtype = np.dtype(dtype)
        self.targets = targets
        self._has_outliers = len(labels) > 0 and int(labels.min()) == OF_NO_CLASS
        self._order: tuple[int, IntArray] = 0, np.empty(0, np.int64)
        if len(self) == 0:
            raise DataError(
                f"{self.count} images do not make one batch of {batch_size}",
                "use a smaller batch size, or turn drop_last off"
                if self.count
                else "use a set that is not empty",
            )

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        full, rest = divmod(self.count, self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    @property
    def input_shape(self) -> Shape:
        """The shape (C, H, W) of one image as the input of a network."""
        height, width, *channels = self.images.shape[1:]
        return (channels[0] if channels else 1, height, width)

    def size(self, step: int) -> int:
        """Return the number of images in a step of an epoch, counted from 0; 0 if there is no such step."""
        return min(self.batch_size, self.count - step * self.batch_size) if 0 <= step < len(self) else 0

    def count_outliers(self, epoch: int, step: int) -> int:
        """Return how many images of a step belong to no class."""
        if not self._has_outliers:
            return 0
        first = step * self.batch_size
        labels = self.labels[self._kept_order(epoch)[first : first + self.size(step)]]
        return int(np.count_nonzero(labels == OF_NO_CLASS))

    def order(self, epoch: int) -> IntArray:
        """Return the indices of the images in the order of an epoch, (count,)."""
        if self.portions:
            return self._mixed_order(epoch)
        if not self.shuffle:
            return np.arange(self.count) if self.indices is None else self.indices
        shuffled = stream(self.seed, "shuffle", epoch).permutation(self.count)
        return shuffled if self.indices is None else self.indices[shuffled]

    def _mixed_order(self, epoch: int) -> IntArray:
        """Return the indices of an epoch of portions: what is drawn of each, (count,), shuffled together."""
        rng = stream(self.seed, "portions", epoch)
        drawn = []
        for indices, wanted in self.portions:
            times, rest = divmod(wanted, len(indices))
            drawn += [np.tile(indices, times), indices[rng.permutation(len(indices))[:rest]]]
        order: IntArray = np.concatenate(drawn)
        return order[stream(self.seed, "shuffle", epoch).permutation(self.count)] if self.shuffle else order

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, starting at a step.

        Args:
            epoch: counted from 1.
            start_step: the number of batches to skip.

        Yields:
            New arrays, which the caller may change: x (B, C, H, W), floats, and y (B,), int64.
        """
        if start_step < 0:
            raise ValueError(f"start_step must not be negative, got {start_step}")
        for step in range(start_step, len(self)):
            count = self.size(step)
            x, y = np.empty((count, *self.input_shape), self.dtype), np.empty(count, np.int64)
            targets = None if self.targets is None else np.empty((count, self.targets.classes), np.float32)
            self.write(epoch, step, slice(0, count), x, y, targets)
            yield x, y

    @property
    def has_targets(self) -> bool:
        """Whether the targets of a batch are more than its labels."""
        return self.targets is not None

    def write(
        self,
        epoch: int,
        step: int,
        part: slice,
        x: FloatArray,
        y: npt.NDArray[np.int64],
        targets: FloatArray | None = None,
    ) -> None:
        """Prepare a part of a batch; this is what each worker calls.

        Together, the parts equal the batch, except for rounding.

        Args:
            epoch: counted from 1.
            step: the step of the epoch, counted from 0.
            part: the images of the batch to prepare, a slice with start and stop.
            x: the array to write the images to, (part, C, H, W), float32 or float64.
            y: the array to write the labels to, (part,); of a mixed image, that of its larger share.
            targets: the array to write the targets to, (part, K), float32, if `has_targets`.
        """
        first = step * self.batch_size
        order = self._kept_order(epoch)[first : first + self.size(step)]
        chosen = order[part]
        y[...] = self.labels[chosen]
        images = take(self.images, chosen)
        rule = self.targets
        if rule is not None:
            assert targets is not None
            targets[...] = rule.of_images(chosen, y)
        mixing = None if rule is None else rule.mixing
        if self.augment is None and mixing is None:
            to_input(images, self.normalize, out=x)
            self._weigh(targets)
            return
        changed = to_input(images, None, self.dtype)
        if rule is not None and mixing is not None:
            rng = stream(self.seed, "mix", epoch, step)
            partners = order[rng.permutation(len(order))][part]
            others = to_input(take(self.images, partners), None, self.dtype)
            shares = mixing.mix(changed, others, self._source(rng, len(order), part))
            assert targets is not None
            rule.mixed(targets, rule.of_images(partners, self.labels[partners]), shares)
            y[...] = np.where(shares >= 0.5, y, self.labels[partners])
        self._weigh(targets)
        if self.augment is not None:
            rng = stream(self.seed, "augment", epoch, step)
            changed = self.augment(changed, self._source(rng, len(order), part))
        if self.normalize is None:
            x[...] = changed
            return
        mean, std = self.normalize
        np.subtract(changed, x.dtype.type(mean), out=x)
        x *= x.dtype.type(1 / std)

    def _weigh(self, targets: FloatArray | None) -> None:
        if targets is not None and self.targets is not None and self.targets.weights is not None:
            targets *= self.targets.weights.astype(np.float32)

    @staticmethod
    def _source(rng: np.random.Generator, count: int, part: slice) -> RandomSource:
        """Return the random numbers of a part of a batch of `count` images."""
        return rng if part.stop - part.start == count else RandomSlice(rng, count, part)

    def _kept_order(self, epoch: int) -> IntArray:
        """Return the order of an epoch, drawn only once as long as the epoch does not change."""
        kept, order = self._order
        if kept != epoch:
            order = self.order(epoch)
            self._order = epoch, order
        return order
