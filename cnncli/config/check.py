"""Finds unknown names and wrong options of layers, optimizers, schedules, averages and augmentations in a config.

Nothing is loaded or allocated for that, so that all mistakes of a file can be reported at once and first. What depends
on the shape of the images is found when the network is built.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import numpy as np

from cnncli.batches.augment import AUGMENTATIONS, make_augmentation
from cnncli.batches.mixing import MIXINGS
from cnncli.config.errors import Problem, join_problems
from cnncli.config.list_entries import BLOCKS, ListEntry, inner_entries, read_entry, read_options
from cnncli.config.schema import Config
from cnncli.config.set_entries import find_set_problems
from cnncli.config.values import is_list
from cnncli.errors import ModelError
from cnncli.foreign_words import meant
from cnncli.names import did_you_mean
from cnncli.nn.layers import LAYERS
from cnncli.nn.layers.sequence import layer_names
from cnncli.nn.network import Network
from cnncli.nn.parameters import FlatParameters
from cnncli.optim import AVERAGES, OPTIMIZERS, SCHEDULES
from cnncli.options import MAIN_OPTION, build_entry, inside, look_up
from cnncli.types import Shape


def _shapes(options: Mapping[str, object]) -> tuple[Shape, ...]:
    """Return inputs to try options with: every layer takes at least one of them."""
    groups = options.get("groups")
    fits = isinstance(groups, int) and not isinstance(groups, bool) and 0 < groups < _MANY
    return (groups if fits else 1, 32, 32), (32,)  # type: ignore[return-value]


_MANY = 1_000_000  # channels; nothing of that size is allocated


def check_names(config: Config) -> None:
    """Refuse a config with an unknown name or a wrong option; overrides may have set them.

    Raises:
        ConfigError: all of them, each with file and line.
    """
    if problems := list(find_problems(config.to_dict())):
        raise join_problems(problems, config.origin)


def find_problems(data: object) -> Iterator[Problem]:
    """Yield every unknown name and every wrong option in the plain values of a config.

    Args:
        data: mappings, lists and scalars; values of a wrong form are passed over.
    """
    if isinstance(sets := _at(data, "data", "dataset"), list | tuple):
        for problem in find_set_problems(sets):
            yield Problem(str(problem), key_path=("data", "dataset", *problem.key_path), hint=problem.hint)
    yield from _entries(data, ("model",), _layer_mistakes)
    yield from _entries(data, ("data", "augment"), _augmentation_mistakes)
    yield from _named(data, "optimizer", OPTIMIZERS, "adam", FlatParameters({}))
    yield from _named(data, "schedule", SCHEDULES, "constant")
    yield from _named(data, "average", AVERAGES, None, Network((), (1,)), 1)
    yield from _named(data, "mix", MIXINGS, None)
    yield from _frozen(data)


def _frozen(data: object) -> Iterator[Problem]:
    """Yield the names in `train.freeze` that no layer has."""
    entries = []
    for value in _listed(_at(data, "model")):
        try:
            entries.append(read_entry(value))
        except Problem:  # its form is wrong
            return
    names = []
    for own, entry in zip(layer_names([entry.kind for entry in entries]), entries, strict=True):
        _, inside = inner_entries(entry)
        names += [own, *(f"{own}.{inner}" for inner in layer_names([each.kind for each in inside]))]
    for index, name in enumerate(_listed(_at(data, "train", "freeze"))):
        if isinstance(name, str) and name not in names:
            hint = did_you_mean(name, names)
            yield Problem(f"there is no layer '{name}'", key_path=("train", "freeze", index), hint=hint)


def _listed(value: object) -> Sequence[object]:
    return value if is_list(value) else ()


def _at(data: object, *keys: str) -> object:
    for key in keys:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data


def _entries(
    data: object, section: tuple[str, ...], find: Callable[[int, ListEntry], Iterator[ModelError]]
) -> Iterator[Problem]:
    """Yield the problems of a list of layers or augmentations."""
    values = _at(data, *section)
    for index, value in enumerate(values if is_list(values) else ()):
        with suppress(Problem):  # its form is wrong
            entry = read_entry(value)
            for error in find(index, entry):
                options = [key for key in error.key_path if key != MAIN_OPTION]
                key_path = (*section, index, entry.kind, *options)
                yield Problem(error.message, key_path=key_path, hint=error.hint, in_words=True)


def _layer_mistakes(index: int, entry: ListEntry) -> Iterator[ModelError]:
    keys, entries = inner_entries(entry)
    if entries:
        for inner_index, inner in enumerate(entries):
            for error in _layer_mistakes(inner_index, inner):
                message = f"layer {index + 1} ({entry.kind}): {error.message}"
                yield ModelError(message, error.hint, (*keys, inner_index, inner.kind, *error.key_path))
            if inner_entries(inner)[1]:
                message = f"layer {index + 1} ({entry.kind}): a residual block cannot be inside another one"
                yield ModelError(message, "put one after the other instead", (*keys, inner_index, inner.kind))
        return

    def build(kind: str, options: Mapping[str, object]) -> None:
        refusals = []
        for shape in _shapes(options):
            try:
                with inside(f"layer {index + 1} ({kind})"):
                    LAYERS[kind].from_options(options, shape, rng=np.random.default_rng(0))
                return
            except ModelError as error:
                refusals.append(error)
        # A layer of images refuses the vector, and the other way round. The error about an option has its name.
        raise max(refusals, key=lambda error: len(error.key_path))

    try:
        with inside(f"layer {index + 1}"):
            look_up(LAYERS, "layer", entry.kind, key_path=())
    except ModelError as error:
        yield error
    mistakes = _option_mistakes(build, LAYERS, "layer", entry.kind, entry.options)
    # without its list a block has nothing else that could be wrong
    yield from islice(mistakes, 1) if entry.kind in BLOCKS else mistakes


def _augmentation_mistakes(index: int, entry: ListEntry) -> Iterator[ModelError]:
    def build(kind: str, options: Mapping[str, object]) -> None:
        try:
            make_augmentation([(kind, options)], first=index)
        except ModelError as error:
            raise ModelError(error.message, error.hint, error.key_path[1:]) from None

    if entry.kind not in AUGMENTATIONS:
        try:
            build(entry.kind, {})
        except ModelError as error:
            yield error
    yield from _option_mistakes(build, AUGMENTATIONS, "augmentation", entry.kind, entry.options)


def _named(
    data: object, key: str, table: Mapping[str, Callable[..., Any]], default: str | None, *arguments: object
) -> Iterator[Problem]:
    """Yield the problems of `train.optimizer`, `train.schedule` or `train.average`."""
    value = _at(data, "train", key)
    section = {"name": value} if isinstance(value, str) else value
    name = section.get("name", default) if isinstance(section, Mapping) else None
    if not isinstance(section, Mapping) or not isinstance(name, str):
        return

    def build(name: str, options: Mapping[str, object]) -> None:
        build_entry(table, key, name, options, *arguments)

    def problem(error: ModelError) -> Problem:
        return Problem(error.message, key_path=("train", key, *error.key_path), hint=error.hint)

    if name not in table:
        try:
            build(name, {})
        except ModelError as error:
            yield problem(error)
    options: dict[str, object] = {}
    for option, given in section.items():
        if option != "name" and (key, option) != ("optimizer", "lr"):
            with suppress(Problem):  # its form is wrong
                options |= read_options({option: given})
    yield from map(problem, _option_mistakes(build, table, key, name, options))


def _option_mistakes(
    build: Callable[[str, Mapping[str, object]], object],
    table: Mapping[str, object],
    what: str,
    name: str,
    options: Mapping[str, object],
) -> Iterator[ModelError]:
    """Build again and again, each time without the option that was refused last, and yield every refusal.

    Args:
        build: builds the entry of a name with options.
        table: the known names.
        what: they name, such as "layer".
        name: as in the config; the options of an unknown one are those of the known one that it stands for, if any.
        options: as in the config.
    """
    known = name if name in table else meant(name, what, list(table))
    left, refused = dict(options), set[str]()
    while known is not None:
        try:
            build(known, left)
            return
        except ModelError as error:
            option = str(error.key_path[-1]) if error.key_path else MAIN_OPTION
            if option in left and option not in refused:
                yield error
                del left[option]
            elif option in left:  # the value below is none of this option's
                return
            else:  # the main option, or one that is required and missing
                if not refused:
                    yield error
                if MAIN_OPTION in left:
                    return
                left[option] = 1
            refused.add(option)
