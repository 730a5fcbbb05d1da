"""Chooses which of the arrays of a set are the images and the labels of which part, by names and shapes.

The words in the name of a file and of an array are looked at: `x_train`, `kmnist-test-labels.npz`,
`dataset.train.images`. What cannot be told is asked for: `data.images` and `data.labels` name the arrays.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from cnncli.data.readers.arrays import ArrayFile, NamedArray
from cnncli.data.readers.understand import Part
from cnncli.errors import DataError

Role = Literal["images", "labels"]

PARTS = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "tr": "train",
    "test": "test",
    "testing": "test",
    "t10k": "test",
    "tst": "test",
    "te": "test",
    "t": "test",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
}
"""Words that name a part of a set."""

ROLES: dict[str, Role] = {
    **dict.fromkeys(
        ("images", "image", "imgs", "img", "x", "data", "pixels", "pictures", "features"), "images"
    ),
    **dict.fromkeys(
        ("labels", "label", "y", "target", "targets", "class", "classes", "lbls", "lbl"), "labels"
    ),
}
"""Words that name the images or the labels."""


def words_of(name: str) -> list[str]:
    """Return the words of a name in lower case, as in ["x", "train"] for "X_train.npy"."""
    return [word.lower() for word in re.findall(r"t10k|[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def part_of(name: str) -> str | None:
    """Return the part of a set that a name tells: "train", "validation", "test" or None."""
    found = [PARTS[word] for word in words_of(name) if word in PARTS and word != "t"]
    if not found and re.search(r"\.t(\.|$)", name):
        return "test"  # LIBSVM calls the test part of mnist `mnist.t`
    return found[-1] if found else None


def role_of(name: str) -> Role | None:
    """Return whether a name tells images or labels, or None."""
    found = [ROLES[word] for word in words_of(name) if word in ROLES]
    return found[-1] if found else None


def choose_arrays(
    files: Sequence[ArrayFile], images: str | None = None, labels: str | None = None
) -> dict[str, Part]:
    """Return the images and labels of each part: "train", "validation" or "test"; "train" if nothing tells.

    Args:
        files: all files of the set.
        images: the name of the arrays of images, with or without the word of their part; None to tell by the names.
        labels: the same for the labels.

    Raises:
        DataError: it is not clear, or a part has images without labels.
    """
    found: dict[str, dict[Role, list[NamedArray]]] = defaultdict(lambda: {"images": [], "labels": []})
    for file in files:
        for array in file.arrays:
            role = _role(array, images, labels)
            if role is not None:
                part = part_of(array.name) or part_of(array.path.name.split(".gz")[0]) or "train"
                found[part][role].append(array)
    listed = "; ".join(str(array) for file in files for array in file.arrays[:12])
    parts = {}
    for part, roles in found.items():
        if not roles["images"]:
            continue  # labels alone are no part
        image = _only(roles["images"], part, "images", listed)
        if not roles["labels"]:
            raise DataError(
                f"{image.path} has {part} images and no labels for them: found {listed}",
                "name the array or column of labels: `data.labels=NAME`; images without labels can only be predicted",
            )
        parts[part] = Part(image, _only(roles["labels"], part, "labels", listed))
    if not parts:
        raise DataError(
            f"{files[0].path} has no images: found {listed or 'nothing'}",
            "name the arrays: `data.images=NAME` and `data.labels=NAME`",
        )
    return parts


def choose_images(files: Sequence[ArrayFile], images: str | None = None) -> tuple[NamedArray, bool]:
    """Return the images to be classified, of several parts those of the test part, and whether there are labels.

    Raises:
        DataError: it is not clear, or there are no images.
    """
    arrays = [array for file in files for array in file.arrays]
    found = [array for array in arrays if _role(array, images, None) == "images"]
    listed = "; ".join(map(str, arrays[:12])) or "nothing"
    if not found:
        raise DataError(f"{files[0].path} has no images: found {listed}")
    tests = [array for array in found if part_of(array.name) == "test"] or found
    return _only(tests, "", "images", listed), any(_role(array, images, None) == "labels" for array in arrays)


def _role(array: NamedArray, images: str | None, labels: str | None) -> Role | None:
    """Return whether an array is images or labels; None if it is neither."""
    if images is not None and _is_called(array, images):
        return "images"
    if labels is not None and _is_called(array, labels):
        return "labels"
    told = role_of(array.name) or role_of(array.path.name)
    if told == "images" and (images is not None or len(array.shape) < 2 or array.dtype.kind in "US"):
        return None
    if told == "labels" and (labels is not None or len(array.shape) > 2):
        return None
    if told is not None:
        return told
    if len(array.shape) >= 3 and images is None:
        return "images"
    if len(array.shape) == 2 and min(array.shape) >= 16 and images is None:
        return "images"
    if labels is None and (len(array.shape) == 1 or (len(array.shape) == 2 and 1 in array.shape)):
        return "labels"
    return None


def _is_called(array: NamedArray, name: str) -> bool:
    """Return whether an array, or the file that holds it alone, has a name, with or without the word of its part."""
    for own in (array.name, array.path.name, array.path.stem):
        if own == name or (own and [w for w in words_of(own) if w not in PARTS] == words_of(name) != []):
            return True
    return False


def _only(arrays: Sequence[NamedArray], part: str, role: Role, listed: str) -> NamedArray:
    """Return the one array of a role, or the one whose own name tells it among several."""
    if len(arrays) > 1:
        named = [array for array in arrays if role_of(array.name) == role] or arrays
        if len(named) > 1:
            exact = [array for array in named if array.name.lower().split(".")[-1] in ROLES]
            named = exact if len(exact) == 1 else named
        arrays = named
    if len(arrays) > 1:
        raise DataError(
            f"which array holds the {part} {role} is not clear: found {listed}",
            f"name it: `data.{role}=NAME`",
        )
    return arrays[0]


def classes_by_file(files: Sequence[ArrayFile]) -> bool:
    """Return whether each file holds the images of one class, as those of Quick, Draw! do: `cat.npy`, `dog.npy`."""
    if len(files) < 2 or any(len(file.arrays) != 1 for file in files):
        return False
    arrays = [file.arrays[0] for file in files]
    shapes = {array.shape[1:] for array in arrays}
    named = any(part_of(array.path.name) or role_of(array.path.stem) for array in arrays)
    return len(shapes) == 1 and len(arrays[0].shape) >= 2 and not named
