"""What a data set is: images and labels to train on, others to test on, and the names of the classes.

Axis letters: N images, H and W pixels, C colours.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cnncli.types import ByteArray, Shape

SYNTHETIC = "synthetic"
"""The name of the set that the program draws itself."""

FOLDER_PREFIX = "folder:"
"""In front of the path of a folder of pictures, where a set is named."""

MAX_CLASSES = 1000


@dataclass(frozen=True)
class Split:
    """Images and their classes.

    Args:
        images: uint8, (N, H, W), or (N, H, W, C) for colour; 0 is the background of a digit.
        labels: int64, (N,), from 0.
    """

    images: ByteArray
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """One set, ready for training.

    Args:
        name: as a config names it.
        train: what to learn from; a validation part is taken from it later.
        test: what nobody looks at before the end.
        classes: the name of each class, by label.
        mean: of the training pixels divided by 255.
        std: the same for the standard deviation.
    """

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]
    mean: float
    std: float

    @property
    def input_shape(self) -> Shape:
        """(C, H, W) of one image as a network sees it."""
        height, width, *colours = self.train.images.shape[1:]
        return (colours[0] if colours else 1, height, width)


def pixel_statistics(images: ByteArray) -> tuple[float, float]:
    """Return mean and standard deviation of all pixels / 255, from a histogram of the 256 values.

    Args:
        images: uint8 of any shape, not empty.
    """
    counts = np.zeros(256, dtype=np.int64)
    flat = images.reshape(-1)
    for start in range(0, flat.size, 1 << 20):  # in pieces: bincount makes an int64 copy of what it counts
        counts += np.bincount(flat[start : start + (1 << 20)], minlength=256)
    values = np.arange(256) / 255
    mean = float(counts @ values / flat.size)
    return mean, float(np.sqrt(counts @ (values - mean) ** 2 / flat.size))
