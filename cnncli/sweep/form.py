"""Checks the form of a sweep file: its keys, and what each of them may be."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cnncli.config.errors import Problem
from cnncli.config.values import brief, is_list
from cnncli.names import did_you_mean
from cnncli.sweep.space import read_space

SAMPLERS = ("random", "tpe", "gp", "cmaes", "qmc")
"""How trials are chosen; all but random are those of Optuna."""

PRUNERS = ("median", "percentile")

MOST_TRIALS = 100_000

KNOWN = ("config", "set", "grid", "search", "sampler", "seed", "trials", "minutes", "prune", "ahead")


@dataclass(frozen=True)
class Pruning:
    """When a trial is stopped early.

    Attributes:
        name: one of PRUNERS.
        percentile: a trial goes on while it is among the best so many percent.
        startup_trials: the first trials are never stopped.
        warmup_epochs: no trial is stopped in its first epochs.
    """

    name: str
    percentile: float = 50.0
    startup_trials: int = 5
    warmup_epochs: int = 1


def form_problems(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with the form of a sweep file."""
    for key in document:
        if key not in KNOWN:
            yield Problem("unknown key", key_path=(key,), hint=did_you_mean(str(key), KNOWN))
    if "config" not in document:
        yield Problem("missing; expected the name of a config", key_path=("config",))
    elif not isinstance(document["config"], str) or not document["config"]:
        yield Problem(
            f"expected the name of a config, found {brief(document['config'])}", key_path=("config",)
        )
    if ("grid" in document) == ("search" in document):
        found = "both" if "grid" in document else "neither"
        yield Problem(
            f"expected grid or search, found {found}", key_path=("grid",) if found == "both" else ()
        )
    for section in ("set", "grid", "search"):
        entries = document.get(section, {"": []} if section == "set" else {"x": [1]})
        if not isinstance(entries, Mapping) or not entries:
            yield Problem(
                f"expected a mapping of keys of the config, found {brief(entries)}", key_path=(section,)
            )
    given, varied = document.get("set"), document.get("grid") or document.get("search")
    if isinstance(given, Mapping) and isinstance(varied, Mapping):
        for key in set(given) & set(varied):
            yield Problem("this key is varied, so it cannot be set", key_path=("set", key))
    yield from _entry_problems(document)
    if "grid" in document and "sampler" in document:
        yield Problem("a grid has no sampler: all combinations are tried", key_path=("sampler",))
    elif document.get("sampler", "random") not in SAMPLERS:
        yield Problem(
            f"expected one of {', '.join(SAMPLERS)}, found {brief(document['sampler'])}",
            key_path=("sampler",),
        )
    yield from _number_problems(document)
    try:
        read_pruning(document.get("prune"))
    except Problem as problem:
        yield Problem(str(problem), key_path=("prune", *problem.key_path), hint=problem.hint)


def _entry_problems(document: Mapping[str, Any]) -> Iterator[Problem]:
    grid, search = document.get("grid"), document.get("search")
    for key, values in (grid if isinstance(grid, Mapping) else {}).items():
        if not is_list(values) or not values:
            yield Problem(f"expected a list of values, found {brief(values)}", key_path=("grid", key))
    for key, value in (search if isinstance(search, Mapping) else {}).items():
        try:
            read_space(value)
        except Problem as problem:
            yield Problem(str(problem), key_path=("search", key, *problem.key_path), hint=problem.hint)


def _number_problems(document: Mapping[str, Any]) -> Iterator[Problem]:
    limits: dict[str, tuple[Callable[[Any], bool], str]] = {
        "seed": (
            lambda value: type(value) is int and 0 <= value < 2**32,
            "a whole number from 0 to 2^32 - 1",
        ),
        "trials": (
            lambda value: value is None or (type(value) is int and 1 <= value <= MOST_TRIALS),
            f"a whole number from 1 to {MOST_TRIALS}, or null",
        ),
        "minutes": (
            lambda value: value is None or (type(value) in (int, float) and 0 < value < 10**7),
            "a number of minutes above 0, or null",
        ),
        "ahead": (lambda value: type(value) is int and 1 <= value <= 1000, "a whole number from 1 to 1000"),
    }
    for key, (is_right, expected) in limits.items():
        if key in document and not is_right(document[key]):
            yield Problem(f"expected {expected}, found {brief(document[key])}", key_path=(key,))


def read_pruning(value: object) -> Pruning | None:
    """Return when trials are stopped early; a name alone has the usual settings.

    Raises:
        Problem: the value has another form.
    """
    if value is None:
        return None
    given = {"name": value} if isinstance(value, str) else value
    if not isinstance(given, Mapping) or given.get("name") not in PRUNERS:
        raise Problem(f"expected one of {', '.join(PRUNERS)}, or {{name: median, ...}}, found {brief(value)}")
    options = {key: each for key, each in given.items() if key != "name"}
    known = ["startup_trials", "warmup_epochs", *(["percentile"] if given["name"] == "percentile" else [])]
    for key, each in options.items():
        if key not in known:
            raise Problem("unknown key", key_path=(str(key),), hint=did_you_mean(str(key), known))
        if key == "percentile":
            if type(each) not in (int, float) or not 0 < each < 100:
                raise Problem(f"expected a number between 0 and 100, found {brief(each)}", key_path=(key,))
        elif type(each) is not int or each < 0:
            raise Problem(f"expected a whole number from 0 up, found {brief(each)}", key_path=(key,))
    return Pruning(
        **{"name": given["name"], "percentile": 25.0 if given["name"] == "percentile" else 50.0, **options}
    )
