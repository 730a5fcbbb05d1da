"""Reads a sweep file: which config, which keys are varied and how, and how many trials there are."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnncli.config.errors import Origin, Problem, join_problems
from cnncli.config.overrides import Override
from cnncli.config.values import KeyPath, brief
from cnncli.config.yaml_writer import inline
from cnncli.errors import ConfigError, UsageError
from cnncli.sweep.form import Pruning, form_problems, read_pruning
from cnncli.sweep.space import Space, read_space

if TYPE_CHECKING:
    from cnncli.config.schema import Config

AHEAD = 4
"""How many trials are chosen without the results of each other, unless the file says otherwise."""


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
    problems = list(form_problems(document))
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
        prune=read_pruning(document.get("prune")),
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
