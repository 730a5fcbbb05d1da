"""Loads what a config trains on, one set or several together, and tells all that is wrong with it at once."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from cnncli.config.errors import Problem, join_problems
from cnncli.data.checks import describe_normalize
from cnncli.data.dataset import SYNTHETIC, Dataset, SetEntry
from cnncli.data.load import (
    DEFAULT_SIZE,
    Found,
    has_pictures,
    is_own,
    load_dataset,
    load_entry,
)
from cnncli.data.mixture import class_difference, join_sets, misfits
from cnncli.data.reading import AS_FOUND, Colour, Reading, Size
from cnncli.data.registry import DATASETS, DIGITS, find_spec
from cnncli.errors import ConfigError, DataError, UsageError
from cnncli.pictures.whole import Form
from cnncli.training.preparation import DIGIT_SETS, DIGIT_SHAPE, are_digit_images

if TYPE_CHECKING:
    from cnncli.config.schema import Config


def load_training_set(config: "Config", found: Sequence[Found]) -> Dataset:
    """Load the set of a config, or its sets as one.

    Args:
        config: whose section `data` says what to load.
        found: where each of its sets is found.

    Raises:
        ConfigError: a set is unknown, or does not fit `data` or the other sets; all that is wrong, with file and line.
        DataError: a set is missing or broken.
    """
    data = config.data
    if isinstance(data.dataset, str):
        dataset = _load_one(config, found[0])
        if len(dataset.train) == 0:
            raise DataError(
                f"{dataset.name} has test images only, and none to train on",
                "measure a run on it with `dataset`, or put the images to train on into train/",
            )
    else:
        dataset = _load_several(config, found)
    if data.unknown and (dataset.classes != DIGITS or dataset.input_shape != DIGIT_SHAPE):
        raise _no_digits(config, dataset.name)
    notes = [*dataset.notes, *describe_normalize(data.mean_std, dataset)]
    if dataset.validation is not None and not any(not member.has_validation for member in dataset.members):
        notes.append(
            f"the set has {len(dataset.validation):,} validation images: data.validation is not used"
        )
    return replace(dataset, notes=tuple(notes))


def check_sets(config: "Config") -> None:
    """Refuse unknown sets, and published sets that do not fit each other, before any of them is fetched.

    One set alone is checked when it is loaded.

    Raises:
        ConfigError: all that is wrong with the names of several sets, with file and line.
    """
    _check_unknown(config)
    if isinstance(config.data.dataset, str):
        return
    problems: list[Problem] = []
    known: list[tuple[str, tuple[str, ...]]] = []
    for position, entry in enumerate(config.data.sets):
        here = ("data", "dataset", position)
        if is_own(entry.name):
            continue
        try:
            classes = DIGITS if entry.name == SYNTHETIC else find_spec(entry.name).classes
        except UsageError as error:
            problems.append(Problem(error.message, key_path=here, hint=error.hint))
            continue
        known.append((entry.name, classes))
        if text := class_difference(*known[-1], *known[0]):
            problems.append(Problem(text, key_path=here))
    if problems:
        raise join_problems(problems, config.origin)


def _check_unknown(config: "Config") -> None:
    """Refuse `data.unknown` for a published set that is no set of digits, before it is fetched."""
    if not config.data.unknown:
        return
    for entry in config.data.sets:
        if is_own(entry.name) or entry.name == SYNTHETIC or entry.name not in DATASETS:
            continue
        if DATASETS[entry.name].classes != DIGITS:
            raise _no_digits(config, entry.name)


def _no_digits(config: "Config", name: str) -> ConfigError:
    """Return the error of a set for which there are no drawn images of no class."""
    return config.error(
        ("data", "unknown"),
        f"the drawn images show no digits, and {name} is no set of digits of 28x28 gray pixels",
        "leave it out",
    )


def _load_one(config: "Config", found: Found) -> Dataset:
    form: Form = "digits" if config.data.prepare == "digits" else "as_is"
    try:
        dataset = load_dataset(
            found.name,
            found.data_dir,
            size=config.data.size,
            colour=config.data.colour,
            prepare=form,
            reading=config.data.reading,
        )
    except UsageError as error:
        raise config.error(("data", "dataset"), error.message, error.hint) from error
    if wrong := _wrong_shape(config, dataset):
        raise config.error(("data", "prepare"), wrong)
    return dataset


def _load_several(config: "Config", found: Sequence[Found]) -> Dataset:
    entries = config.data.sets
    loaded: list[Dataset] = []
    problems: list[Problem] = []
    failures: list[DataError] = []
    for position, (entry, where) in enumerate(zip(entries, found, strict=True)):
        here = ("data", "dataset", position)
        try:
            dataset = load_member(
                entry,
                where,
                among_digits=has_digits(entries),
                prepare=config.data.prepare,
                size=config.data.size,
                colour=config.data.colour,
                reading=config.data.reading,
            )
        except UsageError as error:
            problems.append(Problem(error.message, key_path=here, hint=error.hint))
        except DataError as error:
            failures.append(error)
            problems.append(Problem(error.message, key_path=here, hint=error.hint))
        else:
            loaded.append(dataset)
            if wrong := _wrong_shape(config, dataset):
                problems.append(Problem(wrong, key_path=here))
    if len(loaded) == len(entries):
        problems += [
            Problem(text, key_path=("data", "dataset", position)) for position, text in misfits(loaded)
        ]
    if failures and len(failures) == len(problems):
        raise _joined(failures)
    if problems:
        raise join_problems(problems, config.origin)
    return join_sets(entries, loaded)


def has_digits(entries: Sequence[SetEntry]) -> bool:
    """Return whether one of several sets is known to have digits in the form of MNIST."""
    return any(entry.name in DIGIT_SETS for entry in entries)


def load_member(
    entry: SetEntry,
    found: Found,
    *,
    among_digits: bool,
    prepare: str,
    size: Size,
    colour: Colour,
    reading: Reading = AS_FOUND,
    draw_test: bool = True,
) -> Dataset:
    """Load one of several sets. Arrays are brought to the size of the digits, if one of the sets is of digits.

    With `prepare: auto` and a set of digits in the form of MNIST beside it, the digits of pictures in a folder are
    found, unless the pictures have that form already.

    Args:
        entry: of the config.
        found: where the set is found.
        among_digits: whether one of the sets is such a set of digits.
        prepare, size, colour, reading: as in the section `data` of the config; `reading` is for sets of the user's own.
        draw_test: as for `load_dataset`.

    Raises:
        UsageError, DataError: as for `load_dataset`.
    """
    form: Form = "digits" if prepare == "digits" and has_pictures(found.name) else "as_is"
    own = is_own(found.name)
    if own and among_digits and size == "auto":
        size, colour = DEFAULT_SIZE, False if colour == "auto" else colour
    load = partial(
        load_entry,
        replace(entry, name=found.name),
        found.data_dir,
        size=size if own else "auto",
        colour=colour if own else "auto",
        reading=reading if own else AS_FOUND,
        draw_test=draw_test,
    )
    dataset = load(prepare=form)
    if not (prepare == "auto" and among_digits and has_pictures(found.name)):
        return dataset
    if are_digit_images(dataset.train.images, dataset.mean):
        return dataset
    return load(prepare="digits")


def _wrong_shape(config: "Config", dataset: Dataset) -> str | None:
    if config.data.prepare != "digits" or dataset.input_shape == DIGIT_SHAPE:
        return None
    return f"digits in the form of MNIST are {DIGIT_SHAPE}, and the images of {dataset.name} {dataset.input_shape}"


def _joined(failures: Sequence[DataError]) -> DataError:
    """Return one error with all messages, and with all hints."""
    first, *others = failures
    if not others:
        return first
    calls = [call for error in failures for call in (error.call, *error.more_calls) if call is not None]
    hints = list(dict.fromkeys(error.hint for error in failures if error.hint))
    return type(first)(
        "\n".join(error.message for error in failures),
        "; ".join(hints) or None,
        call=calls[0] if calls else None,
        more_calls=tuple(calls[1:]),
    )
