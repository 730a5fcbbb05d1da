"""Turns arrays of any usual form into images of bytes and labels from 0, and says in words what was understood.

Axis letters: N images, H and W pixels, C colors, F values of a flat image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isqrt

import numpy as np

from cnncli.data.dataset import MAX_CLASSES, Split
from cnncli.data.readers.arrays import Array, NamedArray
from cnncli.errors import DataError
from cnncli.types import ByteArray, IntArray

_SAMPLE = 200
_CHUNK = 1000  # images converted at once


@dataclass
class Part:
    """The arrays of one part of a set.

    Args:
        images: not loaded yet.
        labels: not loaded yet.
    """

    images: NamedArray
    labels: NamedArray


@dataclass
class Understanding:
    """What was understood of the arrays of a set; `notes` says it in sentences."""

    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Add a sentence unless it is there already."""
        if text not in self.notes:
            self.notes.append(text)


# --- images ---


def to_images(
    array: Array,
    name: str,
    count: int | None,
    *,
    size: tuple[int, int] | None,
    transpose: bool,
    scale: "Scale",
    seen: Understanding,
) -> ByteArray:
    """Return images in the form (N, H, W), or (N, H, W, 3) for color, as bytes.

    Args:
        array: of any usual form: flat rows, with the colors first or last, with the images on the last axis.
        name: what errors call it.
        count: the number of labels, which tells the axis of the images; None if it is unknown.
        size: height and width of flat images; None if they are square.
        transpose: exchange rows and columns of each image.
        scale: how the values become bytes.
        seen: collects what was understood.

    Raises:
        DataError: the array is no images.
    """
    if count is not None and array.ndim >= 2 and array.shape[0] != count and array.shape[-1] == count:
        array = np.moveaxis(array, -1, 0)
        seen.note(f"{name}: the images are on the last axis")
    if array.ndim == 2:
        array = _unflatten(array, name, size, seen)
    array = _colours_last(array, name, seen)
    images = scale.to_bytes(array)
    if transpose:
        images = np.ascontiguousarray(images.swapaxes(1, 2))
        seen.note(f"{name}: rows and columns are exchanged (data.transpose)")
    return images


def _unflatten(array: Array, name: str, size: tuple[int, int] | None, seen: Understanding) -> Array:
    """Give flat images their height and width, and their colors if there are three times as many values."""
    values = array.shape[1]
    if size is not None and values in (size[0] * size[1], 3 * size[0] * size[1]):
        height, width = size
    else:
        side = isqrt(values)
        if side * side != values:
            side = isqrt(values // 3)
            if 3 * side * side != values:
                raise DataError(
                    f"{name} has {values:,} values for each image, which is no square",
                    "give their height and width: `data.size=[28, 20]`",
                )
        height = width = side
    if values == height * width:
        return array.reshape(len(array), height, width)
    planes = array.reshape(len(array), 3, height, width)
    mixed = array.reshape(len(array), height, width, 3)
    # neighbors in a picture are alike: the right reading is the smoother one
    if _roughness(planes[:_SAMPLE].transpose(0, 2, 3, 1)) < _roughness(mixed[:_SAMPLE]):
        seen.note(f"{name}: the three colors of an image follow each other as planes")
        return planes
    return mixed


def _roughness(sample: Array) -> float:
    values = sample.astype(np.float64)
    return float(np.abs(np.diff(values, axis=1)).mean() + np.abs(np.diff(values, axis=2)).mean())


def _colours_last(array: Array, name: str, seen: Understanding) -> Array:
    """Return images as (N, H, W) or (N, H, W, 3)."""
    if array.ndim == 3:
        return array
    if array.ndim != 4:
        raise DataError(f"{name} has the shape {'x'.join(map(str, array.shape))}, which are no images")
    if array.shape[3] == 1:
        return array[..., 0]
    if array.shape[1] == 1:
        return array[:, 0]
    if array.shape[3] == 3:
        return array
    if array.shape[3] == 4:
        seen.note(f"{name}: the fourth channel (transparency) is left out")
        return array[..., :3]
    if array.shape[1] == 3:
        seen.note(f"{name}: the colors are on the second axis")
        return array.transpose(0, 2, 3, 1)
    raise DataError(
        f"{name} has the shape {'x'.join(map(str, array.shape))}: these are volumes, or have more than three colors",
        "images are gray or have three colors",
    )


# --- values ---


@dataclass(frozen=True)
class Scale:
    """How the values of a set become bytes: (value - low) * factor; the same for all its parts.

    Args:
        low: the value that becomes 0.
        factor: what a difference of 1 becomes.
        invert: whether bright and dark are exchanged.
    """

    low: float = 0.0
    factor: float = 1.0
    invert: bool = False

    def to_bytes(self, array: Array) -> ByteArray:
        """Return an array as bytes, converted in slices so that memory never holds a second copy of it in floats."""
        if array.dtype == np.uint8 and (self.low, self.factor) == (0, 1):
            plain = np.ascontiguousarray(array)
            return 255 - plain if self.invert else plain
        images = np.empty(array.shape, np.uint8)
        for start in range(0, len(array), _CHUNK):
            values = (array[start : start + _CHUNK].astype(np.float32) - self.low) * self.factor
            values = np.clip(np.rint(values), 0, 255)
            images[start : start + _CHUNK] = 255 - values if self.invert else values
        return images


def choose_scale(arrays: Mapping[str, Array], *, invert: bool, seen: Understanding) -> Scale:
    """Return how the values of all parts of a set become bytes, told by their type and range.

    Args:
        arrays: the images of each part, by what errors call them.
        invert: exchange bright and dark.
        seen: collects what was understood.

    Raises:
        DataError: there are values that are no finite numbers.
    """
    low, high = np.inf, -np.inf
    whole = True
    kinds = set()
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise DataError(f"{name} holds {array.dtype} values, expected numbers")
        if not array.size:
            raise DataError(f"{name} is empty")
        kinds.add(array.dtype.kind)
        for start in range(0, len(array), _CHUNK):
            some = array[start : start + _CHUNK]
            if array.dtype.kind == "f":
                if not np.isfinite(some).all():
                    raise DataError(f"{name} holds values that are no finite numbers (NaN or infinite)")
                whole = whole and bool((some == np.rint(some)).all())
            low, high = min(low, float(some.min())), max(high, float(some.max()))
    if kinds == {"b"}:
        seen.note("the pixels are true and false, taken as 255 and 0")
        return Scale(0, 255, invert)
    names = ", ".join(arrays) if len(arrays) < 3 else f"{next(iter(arrays))}, ..."
    if low >= 0 and high <= 255 and (high > 1 or kinds == {"u"}) and whole:
        if high == 16 and not all(array.dtype == np.uint8 for array in arrays.values()):
            seen.note(f"{names}: the values go from 0 to 16, taken as 0 to 255")
            return Scale(0, 255 / 16, invert)
        return Scale(0, 1, invert)
    if low >= 0 and high <= 1:
        seen.note(f"{names}: the values go from {low:.4g} to {high:.4g}, taken as 0 to 1")
        return Scale(0, 255, invert)
    if low >= -1 and high <= 1:
        seen.note(f"{names}: the values go from {low:.4g} to {high:.4g}, taken as -1 to 1")
        return Scale(-1, 127.5, invert)
    if low >= 0 and high <= 255:
        return Scale(0, 1, invert)
    if low >= 0 and high <= 65535 and whole:
        seen.note(f"{names}: the values go from {low:.4g} to {high:.4g}, taken as 0 to 65535")
        return Scale(0, 255 / 65535, invert)
    seen.note(
        f"warning: {names}: the values go from {low:.4g} to {high:.4g}, as if they were normalized; "
        "this range is taken as 0 to 255"
    )
    return Scale(low, 255 / (high - low) if high > low else 1.0, invert)


# --- labels ---


def to_labels(
    arrays: Sequence[tuple[str, Array]], classes: Sequence[str], seen: Understanding
) -> tuple[list[IntArray], tuple[str, ...]]:
    """Return the labels of all parts as numbers from 0, and the names of the classes.

    The classes are the distinct labels of all parts, numbers in their order before texts in theirs. A gap in the
    numbers makes no class.

    Args:
        arrays: what errors call the labels, and the labels: numbers or texts (N,), (N, 1) or (1, N), or one-hot rows.
        classes: names by label, if the file has them.
        seen: collects what was understood.

    Raises:
        DataError: the labels are no classes, or there are too few or too many.
    """
    columns = [_one_column(array, name, seen) for name, array in arrays]
    distinct = sorted(set().union(*(np.unique(column).tolist() for column in columns)), key=_order)
    if len(distinct) > MAX_CLASSES:
        raise DataError(
            f"{arrays[0][0]} has {len(distinct):,} distinct labels, more than {MAX_CLASSES:,} classes"
        )
    if len(distinct) < 2:
        raise DataError(f"{arrays[0][0]} has only one label: {distinct[0] if distinct else 'none'}")
    numbers = all(type(label) is int for label in distinct)
    if classes and numbers and 0 <= distinct[0] and distinct[-1] < len(classes):
        return [column.astype(np.int64) for column in columns], tuple(classes)
    if numbers and distinct != list(range(len(distinct))):
        gaps = "" if distinct[-1] - distinct[0] + 1 == len(distinct) else ", with gaps"
        seen.note(
            f"the labels are {distinct[0]} to {distinct[-1]}{gaps}: {len(distinct)} classes, named by their labels"
        )
    positions = []
    for column in columns:
        present, where = np.unique(column, return_inverse=True)
        place = np.array([distinct.index(label) for label in present.tolist()], dtype=np.int64)
        positions.append(place[where.reshape(-1)])
    return list(positions), tuple(map(str, distinct))


def _order(label: int | str) -> tuple[bool, int, str]:
    text = str(label)
    number = text.isascii() and text.lstrip("-").isdigit()
    return not number, int(text) if number else 0, text


def _one_column(array: Array, name: str, seen: Understanding) -> Array:
    """Return labels as (N,): whole numbers or texts."""
    if array.ndim == 2 and 1 in array.shape:
        array = array.reshape(-1)
    if array.ndim == 2:
        if array.dtype.kind in "biuf" and np.isin(array, (0, 1)).all() and (array.sum(axis=1) == 1).all():
            seen.note(f"{name} is one-hot: the label is the column of the 1 among {array.shape[1]}")
            one_hot: Array = np.argmax(array, axis=1)
            return one_hot
        raise DataError(
            f"{name} has {array.shape[1]:,} labels for each image (multi-label), which this program does not train on",
            "labels are one class for each image, or one-hot rows",
        )
    if array.ndim != 1:
        raise DataError(
            f"{name} has the shape {'x'.join(map(str, array.shape))}, expected one label per image"
        )
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    if array.dtype.kind == "U":
        texts: Array = np.char.strip(array)
        return texts
    if array.dtype.kind == "f":
        if not np.isfinite(array).all() or (array != np.rint(array)).any():
            raise DataError(
                f"{name} has labels that are no whole numbers, such as {array[array != np.rint(array)][:1]}"
            )
        array = array.astype(np.int64)
    return array.astype(np.int64)


def to_split(images: ByteArray, labels: IntArray, name: str) -> Split:
    """Return images and labels as a split.

    Raises:
        DataError: there are not as many labels as images, or there are none.
    """
    if len(images) != len(labels):
        raise DataError(f"{name} has {len(images):,} images, but there are {len(labels):,} labels")
    if not len(images) or not images[0].size:
        raise DataError(f"{name} is empty")
    return Split(images, labels.astype(np.int64))
