"""The types of a data set: a training split and a test split of images with labels, and the names of the classes.

Axis letters: N images, H and W pixels, C colors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Literal

import numpy as np
import numpy.typing as npt

from cnncli.errors import DataError, UsageError
from cnncli.mapped import blocks, take
from cnncli.types import ByteArray, IntArray, Shape

SplitName = Literal["train", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = ("train", "test")

SYNTHETIC = "synthetic"
"""The name of the set that the program draws itself."""

FOLDER_PREFIX = "folder:"
"""The name of a set of the user's own is this prefix and the path of its folder."""

MAX_CLASSES = 1000


@dataclass(frozen=True)
class Split:
    """Images and their labels.

    Args:
        images: uint8, (N, H, W), or (N, H, W, C) for color; the background of a digit is 0.
        labels: int64, (N,), from 0.
        files: the file that each image was read from, relative to the folder of the set; empty if each has none.
    """

    images: ByteArray
    labels: npt.NDArray[np.int64]
    files: tuple[str, ...] = ()

    def part(self, which: slice | IntArray) -> "Split":
        """Return some of the images: a slice of them as views, or those at some positions as copies."""
        files = self.files
        if files:
            files = files[which] if isinstance(which, slice) else tuple(files[index] for index in which)
        return Split(take(self.images, which), self.labels[which], files)

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.images.shape[1:]))
        return f"Split({len(self):,} images of {size}, {len(np.unique(self.labels))} classes)"


@dataclass(frozen=True)
class SetEntry:
    """One of several sets to train on: `mnist`, or `synthetic: {limit: 60000, share: 0.5}` in a config.

    Args:
        name: as for `load_dataset`.
        limit: use only this many of its training images, every class in proportion, and draw this many of "synthetic".
            None for all.
        share: the part of the images of an epoch that comes from this set; None for each of its images once an epoch.
    """

    name: str
    limit: int | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        if self.limit is not None and not (type(self.limit) is int and self.limit >= 1):
            raise UsageError(f"the limit of {self.name} is {self.limit!r}, expected a whole number from 1 up")
        if self.share is not None and not 0 < self.share <= 1:
            raise UsageError(
                f"the share of {self.name} is {self.share!r}, expected a number above 0 and at most 1"
            )


@dataclass(frozen=True)
class Member:
    """What a data set of several sets keeps of one of them.

    Args:
        name: as in the config.
        positions: its first training image in the whole set, and the one after its last.
        share: as in its entry.
        test: its own test images.
        test_drawn: as in `Dataset`.
        has_validation: whether it came with validation images, so that none are held out of its training images.
    """

    name: str
    positions: tuple[int, int]
    share: float | None
    test: Split
    test_drawn: bool
    has_validation: bool

    @property
    def slice(self) -> slice:
        """Its part of the training images."""
        return slice(*self.positions)


@dataclass(frozen=True)
class Dataset:
    """A data set in memory, ready for training.

    Args:
        name: the name that a config uses.
        train: the images to train on, from which the validation set is taken later; none if there are test images only.
        test: the images for the test after training.
        classes: the name of each class, by label.
        mean: the mean of the training pixels / 255.
        std: the standard deviation of the training pixels / 255.
        test_drawn: whether the test images were drawn from one folder with the training images, so that another
            picture in it changes both.
        validation: the validation set, if the set comes with one.
        notes: sentences on how the files were read; a likely mistake starts with "warning:".
        left_out: how many files or parts of files were not read, for each reason.
        members: the sets that it is made of, in the order of their training images; empty for one set.
    """

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]
    mean: float
    std: float
    test_drawn: bool = False
    validation: Split | None = None
    notes: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    members: tuple[Member, ...] = ()

    def __repr__(self) -> str:
        size = "x".join(map(str, self.train.images.shape[1:]))
        names = ", ".join(self.classes[:10]) + (", ..." if len(self.classes) > 10 else "")
        return (
            f"Dataset({self.name!r}: {len(self.train):,} training and {len(self.test):,} test images of {size}, "
            f"{len(self.classes)} classes: {names})"
        )

    @property
    def input_shape(self) -> Shape:
        """The shape (C, H, W) of one image as the input of a network."""
        height, width, *colours = self.train.images.shape[1:]
        return (colours[0] if colours else 1, height, width)

    @property
    def all_images(self) -> Split:
        """The training, validation and test images, in this order."""
        parts = [part for part in (self.train, self.validation, self.test) if part is not None and len(part)]
        return parts[0] if len(parts) == 1 else join_splits(parts)

    def with_classes(self, classes: Sequence[str]) -> "Dataset":
        """Return the set with the classes of a network, and each label changed to the class with the same name.

        If no name is the same, the labels stay: the classes may be `0` and `zero`.

        Args:
            classes: the names of all classes of the network, by label.

        Raises:
            DataError: the network does not know a class, or no name is the same and the numbers of classes differ.
        """
        names = tuple(classes)
        unknown = [name for name in self.classes if name not in names]
        if names == self.classes or (len(unknown) == len(self.classes) == len(names)):
            return self
        if unknown:
            listed = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
            raise DataError(
                f"{self.name} has the class{'es' if len(unknown) > 1 else ''} {listed}, "
                f"and the network knows {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}",
                "evaluate on a set with classes that it was trained on",
            )
        position = np.array([names.index(name) for name in self.classes], dtype=np.int64)

        def moved(split: Split) -> Split:
            return replace(split, labels=position[split.labels])

        return replace(
            self,
            train=moved(self.train),
            test=moved(self.test),
            validation=self.validation and moved(self.validation),
            classes=names,
            members=tuple(replace(member, test=moved(member.test)) for member in self.members),
        )


def join_splits(parts: Sequence[Split]) -> Split:
    """Return the images of several splits, one after the other."""
    named = all(part.files for part in parts)
    return Split(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
        tuple(chain.from_iterable(part.files for part in parts)) if named else (),
    )


def pixel_statistics(images: ByteArray) -> tuple[float, float]:
    """Return mean and standard deviation of all pixels / 255, computed from a histogram of the 256 values.

    Args:
        images: uint8 of any shape, not empty.
    """
    counts = np.zeros(256, dtype=np.int64)
    for block in blocks(images):
        flat = block.reshape(-1)
        for start in range(
            0, flat.size, 1 << 20
        ):  # in slices, because bincount makes an int64 copy of its input
            counts += np.bincount(flat[start : start + (1 << 20)], minlength=256)
    values = np.arange(256) / 255
    mean = float(counts @ values / images.size)
    return mean, float(np.sqrt(counts @ (values - mean) ** 2 / images.size))
