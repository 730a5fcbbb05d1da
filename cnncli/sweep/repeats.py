"""Repeats one config over several seeds: a group of runs that is interrupted and resumed as a whole."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnncli.config.load import load_config
from cnncli.errors import CnnError, DivergenceError, Interrupted, RunError, UsageError
from cnncli.runs import Group, Run, create_run
from cnncli.runs.lookup import find_group
from cnncli.storage import make_folder, take_folder, write_text_atomic
from cnncli.sweep.spread import Spread, spread
from cnncli.training.session import with_fixed_shards

if TYPE_CHECKING:
    from cnncli.config.schema import Config

KIND = "seeds"
MOST_SEEDS = 1000

TrainOne = Callable[["Config", Run, bool], object]
"""Trains in a run folder: the config, the folder, and whether to go on with what is in it."""


class SeedResult(NamedTuple):
    """The result of one seed.

    Attributes:
        seed: of the run.
        run: its folder.
        val_accuracy, test_accuracy: None where there are no such images.
        best_epoch: whose weights are kept.
        error: why it has no result; None if it is finished.
    """

    seed: int
    run: Run
    val_accuracy: float | None
    test_accuracy: float | None
    best_epoch: int | None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as values of JSON."""
        return {**self._asdict(), "run": self.run.path.name}


class RepeatsResult(NamedTuple):
    """The results of all seeds.

    Attributes:
        group: their folder.
        seeds: in the order in which they were asked for.
        validation, test: the spread of the accuracies.
    """

    group: Group
    seeds: list[SeedResult]
    validation: Spread
    test: Spread

    @property
    def failed(self) -> list[SeedResult]:
        """The seeds without a result."""
        return [each for each in self.seeds if each.error is not None]

    def to_json(self) -> dict[str, Any]:
        """Return the document of `cnn train --seeds --json`."""
        return {
            "group": self.group.name,
            "path": str(self.group.path),
            "status": "failed" if self.failed else "done",
            "runs": [each.to_json() for each in self.seeds],
            "val_accuracy": self.validation.to_json(),
            "test_accuracy": self.test.to_json(),
        }


def read_seeds(text: str, first: int) -> list[int]:
    """Return the seeds that a text means: a number of them from `first` on, or a list.

    Raises:
        UsageError: it is neither, or a seed is there twice.

    Example:
        >>> read_seeds("3", 42), read_seeds("1,2,7", 42), read_seeds("5,", 42)
        ([42, 43, 44], [1, 2, 7], [5])
    """
    words = text.split(",")
    listed = len(words) > 1
    words = words[:-1] if listed and not words[-1].strip() else words
    try:
        numbers = [int(word) for word in words]
    except ValueError:
        numbers = []
    if not numbers or any(not 0 <= number < 2**63 for number in numbers):
        raise UsageError(
            f"{text!r} are no seeds", "give how many, such as 5, or which, such as 1,2,7; a single one is 7,"
        )
    seeds = numbers if listed else [first + offset for offset in range(min(numbers[0], MOST_SEEDS + 1))]
    if not 0 < len(seeds) <= MOST_SEEDS:
        raise UsageError(f"{text!r}: expected 1 to {MOST_SEEDS} seeds")
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"{text!r}: a seed is there twice")
    return seeds


def find_repeats(config: "Config", runs_dir: str | os.PathLike[str], name: str | None) -> Group:
    """Return the group of repeats of a config: an earlier one of the same config, else a folder that is still free.

    Nothing is created.

    Args:
        config: what is repeated; its seed does not matter.
        runs_dir: the folder that holds the runs.
        name: of the group; None for the name of the config with "-seeds", and a number if that is taken.

    Raises:
        UsageError: the name cannot be one.
        RunError: there is something else of that name.
    """
    stem = f"{Path(config.origin.source).stem}-{KIND}"
    other = "the repeats of another config"
    return find_group(runs_dir, name, stem, lambda group: _repeats(group, config), KIND, other)


def pending_seeds(group: Group, seeds: Sequence[int]) -> list[int]:
    """Return the seeds that have no result yet, and have not failed for a reason that would come again."""
    diverged = group.read_info().get("diverged") or {}
    return [seed for seed in seeds if str(seed) not in diverged and run_of(group, seed).status() != "done"]


def run_of(group: Group, seed: int) -> Run:
    """Return the run of a seed, which may not exist yet."""
    return Run(group.path / f"seed-{seed}")


def config_of(config: "Config", seed: int) -> "Config":
    """Return the config with another seed."""
    return config.with_overrides([f"seed={seed}"])


def load_repeats(group: Group) -> tuple["Config", list[int]]:
    """Return the config and the seeds of a group that was started earlier.

    Raises:
        RunError: it is no group of repeats, or is damaged.
    """
    info = group.read_info()
    seeds = info.get("seeds")
    if (
        info.get("kind") != KIND
        or not isinstance(seeds, list)
        or any(type(seed) is not int for seed in seeds)
    ):
        raise RunError(f"{group.path} does not say which seeds it repeats")
    return load_config(group.path / "config.yaml"), seeds


def run_repeats(group: Group, config: "Config", seeds: Sequence[int], train: TrainOne) -> RepeatsResult:
    """Train every seed that has no result yet, one after the other, and store mean and standard deviation.

    A seed that was interrupted goes on from its checkpoint. One that diverges is noted, and the others are trained.

    Args:
        group: from `find_repeats`.
        config: what is repeated.
        seeds: which seeds; earlier ones of the group stay in it.
        train: trains one run.

    Raises:
        Interrupted: `train` was; the group can be resumed.
        RunBusyError: another process works on the group.
        CnnError: a run cannot be trained for another reason than divergence.
    """
    make_folder(group.path.parent)
    take_folder(group.path)
    with group.lock():
        info = group.read_info()
        if info:  # the number of shards is that of the machine where the group was started
            config = _with_shards_of(load_config(group.path / "config.yaml"), config)
        else:
            config = with_fixed_shards(config)
            write_text_atomic(group.path / "config.yaml", config.to_yaml())
            group.write_info(
                kind=KIND,
                name=group.name,
                created=datetime.now(UTC).isoformat(),
                config=config.origin.source,
                dataset=config.data.set_title,
                diverged={},
            )
        every = list(dict.fromkeys([*(info.get("seeds") or []), *seeds]))
        group.write_info(status="running", seeds=every, members=len(every), error=None)
        try:
            for seed in pending_seeds(group, seeds):
                _train_seed(group, config_of(config, seed), train)
                _store(group, every)
        except BaseException as error:
            stopped = isinstance(error, Interrupted | KeyboardInterrupt | SystemExit | GeneratorExit)
            with suppress(CnnError):
                group.write_info(
                    status="interrupted" if stopped else "failed", error=None if stopped else str(error)
                )
            if isinstance(error, Interrupted):
                left = len(pending_seeds(group, seeds))
                raise Interrupted(
                    f"{error.message} of seed {seed}; {len(seeds) - left} of {len(seeds)} seeds are done",
                    error.exit_code - 128,
                    run=group.path,
                ) from None
            raise
        _store(group, every)
        result = _result(group, seeds)
        group.write_info(status="failed" if result.failed else "done")
        return result


def _train_seed(group: Group, config: "Config", train: TrainOne) -> None:
    run = run_of(group, config.seed)
    begun = run.config_path.exists() and run.info_path.exists()
    if not begun:
        run = create_run(group.path, run.path.name, exist_ok=True, config=config.to_yaml())
    try:
        train(config, run, begun)
    except DivergenceError as error:
        diverged = {**(group.read_info().get("diverged") or {}), str(config.seed): error.message}
        group.write_info(diverged=diverged)


def _store(group: Group, seeds: Iterable[int]) -> None:
    """Write what all finished seeds have reached into group.json."""
    result = _result(group, list(seeds))
    finished = [each for each in result.seeds if each.error is None]
    best = max(finished, key=lambda each: each.val_accuracy or 0.0, default=None)
    seconds = [each.run.read_info().get("seconds") or 0.0 for each in finished]
    group.write_info(
        val_accuracy=result.validation.to_json(),
        test_accuracy=result.test.to_json(),
        best=best and best.run.path.name,
        seconds=round(sum(seconds), 3),
    )


def _result(group: Group, seeds: Sequence[int]) -> RepeatsResult:
    results = list(_results(group, seeds))
    return RepeatsResult(
        group,
        results,
        spread(each.val_accuracy for each in results),
        spread(each.test_accuracy for each in results),
    )


def _results(group: Group, seeds: Sequence[int]) -> Iterator[SeedResult]:
    diverged = group.read_info().get("diverged") or {}
    for seed in seeds:
        run = run_of(group, seed)
        info = run.read_info() if run.status() == "done" else {}
        figures = (info.get("val_accuracy"), info.get("test_accuracy"), info.get("best_epoch"))
        yield SeedResult(seed, run, *figures, error=None if info else diverged.get(str(seed), "not finished"))


def _repeats(group: Group, config: "Config") -> bool:
    """Return whether a group has the repeats of this config."""
    try:
        if group.read_info().get("kind") != KIND:
            return False
        old = load_config(group.path / "config.yaml")
    except CnnError:
        return False
    free = [f"seed={old.seed}", f"engine.workers={old.engine.workers}", f"data.dir={dumps(old.data.dir)}"]
    return _with_shards_of(old, config).with_overrides(free) == old


def _with_shards_of(old: "Config", config: "Config") -> "Config":
    """Return a config with the number of shards of an older one, if its own is chosen automatically."""
    return (
        config.with_overrides([f"engine.shards={old.engine.shards}"])
        if config.engine.shards == "auto"
        else config
    )
