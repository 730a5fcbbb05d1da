"""Reads a sweep file: which config, which keys are varied and how, and how many trials there are."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnncli.config.errors import Origin, Problem, join_problems
from cnncli.config.overrides import Override
from cnncli.config.values import KeyPath, brief, is_list
from cnncli.config.yaml_writer import inline
from cnncli.errors import ConfigError, UsageError
from cnncli.names import did_you_mean
from cnncli.sweep.space import Space, read_space

if TYPE_CHECKING:
    from cnncli.config.schema import Config

SAMPLERS = ("random", "tpe", "gp", "cmaes", "qmc")
"""How trials are chosen; all but random are those of Optuna."""

PRUNERS = ("median", "percentile")

AHEAD = 4
"""How many trials are chosen without the results of each other, unless the file says otherwise."""

MOST_TRIALS = 100_000


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


@dataclass(frozen=True)
class SweepDefinition:
    """A checked sweep file.

    Attributes:
        document: its plain values, to store them.
        source: its name.
        base: the config of every trial, before a trial changes it.
        grid: the values of each key, if all combinations are tried.
        search: the space of each key otherwise.
        sampler: one of SAMPLERS.
        seed: of the search.
        trials: how many at most; None for no limit.
        minutes: after this time no trial is started; None for no limit.
        prune: when a trial is stopped early, or None.
        ahead: a trial is chosen as soon as all results are there but those of this many trials before it.
    """

    document: dict[str, Any]
    source: str
    base: "Config"
    grid: dict[str, tuple[object, ...]]
    search: dict[str, Space]
    sampler: str = "random"
    seed: int = 0
    trials: int | None = None
    minutes: float | None = None
    prune: Pruning | None = None
    ahead: int = AHEAD
    origin: Origin = field(default_factory=Origin, compare=False)

    @property
    def keys(self) -> list[str]:
        """The keys that are varied."""
        return [*self.grid, *self.search]

    @property
    def count(self) -> int | None:
        """How many trials there are, None if only the time limits them."""
        if not self.grid:
            return self.trials
        whole = math.prod(len(values) for values in self.grid.values())
        return whole if self.trials is None else min(whole, self.trials)

    @property
    def depends_on_results(self) -> bool:
        """Whether a trial depends on the results of earlier ones."""
        return self.prune is not None or (not self.grid and self.sampler != "random")

    def combinations(self) -> Iterator[dict[str, object]]:
        """Yield the combinations of the grid; the last key changes fastest."""
        for values in product(*self.grid.values()):
            yield dict(zip(self.grid, values, strict=True))

    def config_of(self, values: Mapping[str, object]) -> "Config":
        """Return the config of a trial.

        Raises:
            ConfigError: these values do not go together.
        """
        return _changed(self.base, {key: (value, f"{key}={inline(value)}") for key, value in values.items()})


def load_sweep(
    path: str | Path,
    *,
    trials: int | None = None,
    minutes: float | None = None,
    overrides: tuple[str, ...] = (),
) -> SweepDefinition:
    """Return the sweep in a file.

    Args:
        path: the file.
        trials, minutes: replace those of the file.
        overrides: changes of every trial's config, such as `data.dir=...`; they come before the file's own.

    Raises:
        ConfigError: all that is wrong with it, each problem as `FILE:LINE: key: what was expected`.
    """
    from cnncli.config.yaml_reader import MAX_BYTES, read_yaml

    try:
        with open(path, "rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        hint = "a sweep is a YAML file: see docs/scale.md" if isinstance(error, FileNotFoundError) else None
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}", hint) from None
    document, lines = read_yaml(text, lambda line: f"{path}:{line}")
    origin = Origin(str(path), dict(lines))
    if not isinstance(document, dict):
        raise ConfigError(
            f"{path}: expected a mapping with config and grid or search, found {brief(document)}"
        )
    return read_sweep(document, origin, trials=trials, minutes=minutes, overrides=overrides)


def read_sweep(
    document: dict[str, Any],
    origin: Origin,
    *,
    base: "Config | None" = None,
    trials: int | None = None,
    minutes: float | None = None,
    overrides: tuple[str, ...] = (),
) -> SweepDefinition:
    """Return the sweep that plain values describe.

    Args:
        document: as `read_yaml` returns it.
        origin: where the values came from.
        base: the config of every trial with all changes; None to load it.
        trials, minutes, overrides: as for `load_sweep`.

    Raises:
        ConfigError: as for `load_sweep`.
    """
    problems = list(_problems(document))
    bad = {problem.key_path[:2] for problem in problems}
    wrong: list[tuple[int, str]] = []
    if base is None and isinstance(document.get("config"), str) and document["config"]:
        try:
            base = _load_base(document, origin, overrides, wrong)
        except ConfigError as error:
            # another file is wrong, and has all its own lines
            wrong.append((10**9, error.message + (f" ({error.hint})" if error.hint else "")))
    if base is not None:
        wrong += _wrong_values(document, origin, base, bad)
        if base.data.validation == 0:
            problems.append(
                Problem("trials are compared by validation, and data.validation is 0", key_path=("config",))
            )
    if len(problems) == 1 and not wrong:
        raise join_problems(problems, origin)
    if problems or wrong:
        wrong += [
            (_line(origin, each.key_path), each.located(origin) + (f" ({each.hint})" if each.hint else ""))
            for each in problems
        ]
        raise ConfigError("\n".join(dict.fromkeys(message for _, message in sorted(wrong))))
    assert base is not None
    made = SweepDefinition(
        document=document,
        source=origin.source,
        base=base,
        grid={key: tuple(values) for key, values in (document.get("grid") or {}).items()},
        search={key: read_space(value) for key, value in (document.get("search") or {}).items()},
        sampler=document.get("sampler", "random"),
        seed=document.get("seed", 0),
        trials=trials if trials is not None else document.get("trials"),
        minutes=minutes if minutes is not None else document.get("minutes"),
        prune=_read_pruning(document.get("prune")),
        ahead=document.get("ahead", AHEAD),
        origin=origin,
    )
    if made.count is None and made.minutes is None:
        raise ConfigError(
            f"{origin.source}: neither trials nor minutes say when the search ends",
            "add a line such as trials: 20",
        )
    return made


def with_base(definition: SweepDefinition, base: "Config") -> SweepDefinition:
    """Return the sweep with another base config."""
    return replace(definition, base=base)


def require_packages(definition: SweepDefinition) -> None:
    """Refuse a sweep that needs a package that is not installed, before its first trial.

    Raises:
        UsageError: names the package and how to install it.
    """
    from importlib.util import find_spec

    if definition.grid and definition.prune is None:
        return
    needed = {"gp": ["torch", "scipy"], "cmaes": ["cmaes"], "qmc": ["scipy"]}.get(definition.sampler, [])
    if definition.sampler != "random" or definition.prune is not None:
        if find_spec("optuna") is None:
            what = (
                f"prune: {definition.prune.name}"
                if definition.sampler == "random" and definition.prune
                else ""
            )
            raise UsageError(
                f"{what or f'sampler: {definition.sampler}'} needs Optuna, which is not installed",
                'install the extra: pip install "cnncli[sweep]"; or use sampler: random without prune',
            )
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"sampler: {definition.sampler} needs {' and '.join(missing)}, which is not installed",
            f"pip install {' '.join(missing)}; or use sampler: tpe",
        )


def _changed(base: "Config", changes: Mapping[str, tuple[object, str]]) -> "Config":
    """Return a config with keys changed; each change has a value and what an error message calls it."""
    from cnncli.config.check import find_problems
    from cnncli.config.schema import Config

    overrides = [Override(f"{key}={inline(value)}", written) for key, (value, written) in changes.items()]
    return Config.from_data(base.to_dict(), base.origin, overrides, find_problems)


def _load_base(
    document: Mapping[str, Any], origin: Origin, overrides: tuple[str, ...], wrong: list[tuple[int, str]]
) -> "Config":
    """Return the config of every trial; a change that is wrong is added to the list, and left out."""
    from cnncli.config.files import find_config
    from cnncli.config.load import load_config

    beside = Path(origin.source).parent / document["config"]
    try:
        name = find_config(document["config"])
    except ConfigError as error:
        if not beside.is_file():
            raise ConfigError(origin.message(("config",), error.message), error.hint) from None
        name = beside
    base = load_config(name, overrides)
    given = document.get("set")
    for key, value in (given if isinstance(given, Mapping) else {}).items():
        try:
            base = _changed(base, {key: (value, f"{origin.located(('set', key))}: {key}")})
        except ConfigError as error:
            wrong.append(
                (_line(origin, ("set", key)), error.message + (f" ({error.hint})" if error.hint else ""))
            )
    return base


def _wrong_values(
    document: Mapping[str, Any], origin: Origin, base: "Config", bad: set[KeyPath]
) -> Iterator[tuple[int, str]]:
    """Yield line and message for each value of grid and search that the config refuses."""
    for section in ("grid", "search"):
        entries = document.get(section)
        for key, value in (entries if isinstance(entries, Mapping) else {}).items():
            if (section, key) in bad:
                continue
            values = value if section == "grid" else read_space(value).examples()
            for index, each in enumerate(values):
                key_path: KeyPath = (section, key, index)
                try:
                    _changed(base, {key: (each, f"{origin.located(key_path)}: {key}")})
                except ConfigError as error:
                    message = error.message + (f" ({error.hint})" if error.hint else "")
                    yield _line(origin, key_path), message


def _line(origin: Origin, key_path: KeyPath) -> int:
    line = origin.find(key_path)
    return line if isinstance(line, int) else 0


KNOWN = ("config", "set", "grid", "search", "sampler", "seed", "trials", "minutes", "prune", "ahead")


def _problems(document: Mapping[str, Any]) -> Iterator[Problem]:
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
        _read_pruning(document.get("prune"))
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


def _read_pruning(value: object) -> Pruning | None:
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
