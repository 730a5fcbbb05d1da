"""Joins several data sets into one to train on, if their classes and images fit each other."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cnncli.data.dataset import Dataset, Member, SetEntry, Split, pixel_statistics
from cnncli.data.splits import stratified_split
from cnncli.errors import DataError, UsageError
from cnncli.randomness import stream

Sets = Sequence[str | SetEntry | Mapping[str, Mapping[str, object]]]
"""Several sets: names, entries, or names with options as in a config, `{"synthetic": {"limit": 60000}}`."""


def to_entries(sets: Sets) -> list[SetEntry]:
    """Return sets in any of their forms as entries.

    Raises:
        UsageError: one is of another form, there is none, or a set is there twice.
    """
    entries = []
    for each in sets:
        if isinstance(each, Mapping) and len(each) == 1:
            ((name, options),) = each.items()
            if set(options) <= {"limit", "share"}:
                entries.append(SetEntry(name, **options))  # type: ignore[arg-type]
                continue
        elif isinstance(each, str | SetEntry):
            entries.append(each if isinstance(each, SetEntry) else SetEntry(each))
            continue
        raise UsageError(
            f"{each!r:.80} is no data set of several",
            'write a name, or a name with options: {"synthetic": {"limit": 60000, "share": 0.5}}',
        )
    names = [entry.name for entry in entries]
    if not names or len(set(names)) < len(names):
        raise UsageError(f"expected one data set or several, each once, found {names}")
    return entries


def take_limit(dataset: Dataset, limit: int | None) -> Dataset:
    """Return a set with so many of its training images, every class in proportion, in their order.

    The same limit takes the same images every time.
    """
    if limit is None or limit >= len(dataset.train):
        return dataset
    _, kept = stratified_split(dataset.train.labels, limit, stream(0, "limit"))
    return replace(dataset, train=dataset.train.part(kept))


def misfits(datasets: Sequence[Dataset]) -> list[tuple[int, str]]:
    """Return what is wrong with sets beside each other: the position of a set, and how it differs from the first."""
    return [
        (position, problem)
        for position, dataset in enumerate(datasets)
        for problem in _problems(dataset, datasets[0])
    ]


def join_sets(entries: Sequence[SetEntry], datasets: list[Dataset]) -> Dataset:
    """Return one set with the training images of several, one set after the other.

    Its test images are those of the first set. Its validation images are those that sets come with.

    Args:
        entries: the sets as they were asked for.
        datasets: the same, loaded and limited; each is removed from the list once it is copied, so that memory never
            holds two copies of all.

    Raises:
        DataError: they do not fit each other; the message has all reasons.
    """
    if wrong := misfits(datasets):
        raise DataError(
            "\n".join(text for _, text in wrong),
            "several sets need the same classes and images of the same form",
        )
    classes, shape = datasets[0].classes, datasets[0].train.images.shape[1:]
    count = sum(len(each.train) for each in datasets)
    alone = len(datasets) == 1  # and needs no copy
    train = (
        datasets[0].train if alone else Split(np.empty((count, *shape), np.uint8), np.empty(count, np.int64))
    )
    members: list[Member] = []
    validation: list[Split] = []
    notes: list[str] = []
    left_out: dict[str, int] = {}
    start = 0
    for entry in entries:
        # removed from the list here, so that its memory is free before the next one is copied
        each = datasets.pop(0).with_classes(classes)
        stop = start + len(each.train)
        if not alone:
            train.images[start:stop] = each.train.images
            train.labels[start:stop] = each.train.labels
        if each.validation is not None:
            validation.append(each.validation)
        # a view would keep all images of its set in memory
        test = (
            each.test
            if each.test.images.base is None
            else Split(each.test.images.copy(), each.test.labels.copy(), each.test.files)
        )
        members.append(
            Member(entry.name, (start, stop), entry.share, test, each.test_drawn, each.validation is not None)
        )
        notes += [_named(note, entry.name) for note in each.notes]
        for reason, number in each.left_out.items():
            left_out[reason] = left_out.get(reason, 0) + number
        start = stop
        del each
    joined = None
    if validation:
        joined = Split(
            np.concatenate([each.images for each in validation]),
            np.concatenate([each.labels for each in validation]),
        )
    return Dataset(
        " + ".join(entry.name for entry in entries),
        train,
        members[0].test,
        classes,
        *pixel_statistics(train.images),
        test_drawn=members[0].test_drawn,
        validation=joined,
        notes=tuple(notes),
        left_out=left_out,
        members=tuple(members),
    )


def class_difference(name: str, classes: Sequence[str], first: str, expected: Sequence[str]) -> str | None:
    """Return how the classes of a set differ from those of the first set, or None; their order does not count."""
    missing = [each for each in expected if each not in classes]
    more = [each for each in classes if each not in expected]
    if not missing and not more:
        return None
    if missing and more:
        return f"{name} has the classes {_listed(classes)}, and {first} has {_listed(expected)}"
    what = f"no class {_listed(missing)}" if missing else f"the class {_listed(more)} as well"
    return f"{name} has {what}: {len(classes)} classes, and {first} has {len(expected)}"


def _problems(dataset: Dataset, first: Dataset) -> list[str]:
    name, problems = dataset.name, []
    if not len(dataset.train):
        problems.append(f"{name} has test images only, and none to train on")
    if text := class_difference(name, dataset.classes, first.name, first.classes):
        problems.append(text)
    shape, expected = dataset.train.images.shape[1:], first.train.images.shape[1:]
    if shape != expected:
        problems.append(
            f"the images of {name} have {_size(shape)}, and those of {first.name} {_size(expected)}"
        )
    return problems


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _size(shape: Sequence[int]) -> str:
    height, width, *colours = shape
    return f"{width}x{height} {'color' if colours else 'gray'} pixels"


def _named(note: str, name: str) -> str:
    """Return a note that says which set it is about; a warning still starts as one."""
    head = "warning: " if note.startswith("warning: ") else ""
    text = note.removeprefix(head)
    return note if text.startswith(f"{Path(name).name}:") else f"{head}{name}: {text}"
