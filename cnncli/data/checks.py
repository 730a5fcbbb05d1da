"""Says what is unusual about the values of a data set of the user's own; such a set is read as it is, never corrected.

Axis letters: N images, H and W pixels.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from cnncli.data.dataset import Dataset
from cnncli.mapped import blocks, take
from cnncli.pictures.whole import clear_background
from cnncli.types import ByteArray, MeanStd

USUAL = "MNIST's are bright on dark, mean 0.13"

_SAMPLE = 2000  # images whose border is looked at


def describe_values(dataset: Dataset, *, of_pictures: bool = False) -> list[str]:
    """Return one sentence for each unusual property of the labels and pixels; a likely mistake starts with "warning:".

    Args:
        dataset: read from files of the user's own.
        of_pictures: whether they are pictures, which are often dark on bright.
    """
    images = (dataset.train if len(dataset.train) else dataset.test).images
    return [
        *_describe_labels(dataset),
        *_describe_range(images),
        *_describe_polarity(images, dataset.mean, of_pictures),
    ]


def describe_normalize(normalize: MeanStd | None, dataset: Dataset) -> list[str]:
    """Return a warning if a config normalizes the pixels to values far from a mean of 0 and a deviation of 1.

    Args:
        normalize: mean and standard deviation, as in the config.
        dataset: the set that is normalized.
    """
    if normalize is None:
        return []
    mean, std = normalize
    if 0.1 <= dataset.std / std <= 10 and abs(dataset.mean - mean) <= 5 * std:
        return []
    scale = ", which looks like pixels in 0..255" if mean > 1 else ""
    return [
        f"warning: data.normalize has mean {mean:g} and std {std:g}{scale}; "
        f"pixels are in 0..1, and this set has mean {dataset.mean:.4f} and std {dataset.std:.4f}"
    ]


def _describe_labels(dataset: Dataset) -> Iterator[str]:
    labels = dataset.train.labels
    if len(labels) == 0:
        return
    counts = np.bincount(labels, minlength=len(dataset.classes))
    first = int(labels.min())
    if first > 0:
        below = "class 0" if first == 1 else f"class 0 to {first - 1}"
        yield (
            f"the labels go from {first} to {labels.max()}: there is no {below}, "
            f"and the network needs {len(dataset.classes)} outputs"
        )
    missing = [dataset.classes[label] for label in np.flatnonzero(counts[first:] == 0) + first]
    if missing:
        more = ", ..." if len(missing) > 5 else ""
        yield f"no training image is of class {', '.join(missing[:5])}{more}"


def _describe_range(images: ByteArray) -> Iterator[str]:
    low, high = 255, 0
    for block in blocks(images):
        low, high = min(low, int(block.min(initial=255))), max(high, int(block.max(initial=0)))
    if low == high:
        yield f"warning: all pixels are {low}, usually they go from 0 to 255"
    elif high == 1:
        yield "warning: the pixels are 0 and 1, usually they go from 0 to 255: the images are nearly black"
    elif high < 128 or low > 63:
        yield f"warning: the pixels go from {low} to {high}, usually from 0 to 255"


def _describe_polarity(images: ByteArray, mean: float, of_pictures: bool) -> Iterator[str]:
    if images.ndim != 3 or len(images) == 0:
        return
    sample = take(images, slice(None, None, -(-len(images) // _SAMPLE)))
    backgrounds = Counter(map(clear_background, sample))
    bright, dark = backgrounds["bright"] / len(sample), backgrounds["dark"] / len(sample)
    if bright >= 0.8:
        likely = "" if of_pictures else "warning: "
        yield f"{likely}the images are dark on bright, mean {mean:.2f}; {USUAL}"
    elif bright + dark >= 0.9 and min(bright, dark) >= 0.1:
        yield f"warning: {100 * bright:.0f} % of the images are dark on bright and the others bright on dark; {USUAL}"
