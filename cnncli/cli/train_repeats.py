"""Runs the repeats of a config for `cnn train --seeds`: each seed as a run, then mean and standard deviation."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cnncli.cli.console import err, note, out, percent, print_facts, print_json
from cnncli.cli.layer_table import layer_table
from cnncli.cli.tables import Column, table_lines
from cnncli.cli.train_session import TrainOptions, train_one
from cnncli.errors import CnnError, UsageError
from cnncli.runs import Group, Run
from cnncli.sweep.repeats import (
    RepeatsResult,
    config_of,
    find_repeats,
    load_repeats,
    pending_seeds,
    read_seeds,
    run_repeats,
)
from cnncli.sweep.spread import Spread
from cnncli.training.prepare import Prepared, prepare
from cnncli.training.results import TrainResult

if TYPE_CHECKING:
    from cnncli.config.schema import Config


def start(config: "Config", seeds: str, runs_dir: Path, name: str | None, options: TrainOptions) -> None:
    """Train the seeds of a config that are not done yet, and print the result of all.

    Raises:
        UsageError: these are no seeds.
        CnnError: see `cnncli.sweep.repeats.run_repeats`.
    """
    numbers = read_seeds(seeds, config.seed)
    group = find_repeats(config, runs_dir, name)
    first = None
    if not group.exists():
        # before the folder is made, so that a config that cannot be used leaves none
        first = prepare(config_of(config, numbers[0]))
        if not options.quiet:
            console = err()
            console.print(layer_table(first.network, console))
    _run(group, config, numbers, options, first)


def resume(group: Group, options: TrainOptions) -> None:
    """Go on with a group of repeats, and print the result of all seeds.

    Raises:
        UsageError: the group is a sweep.
    """
    if group.read_info().get("kind") == "sweep":
        raise UsageError(f"{group.name} is a sweep", f"go on with it: cnn sweep --resume {group.name}")
    config, seeds = load_repeats(group)
    _run(group, config, seeds, options, None)


def _run(
    group: Group, config: "Config", seeds: list[int], options: TrainOptions, prepared: Prepared | None
) -> None:
    notify: Callable[[str], None] = note if not options.quiet else lambda text: None
    pending = pending_seeds(group, seeds)
    notify(
        f"runs {group.path}: {len(seeds)} seeds"
        + (f", {len(seeds) - len(pending)} done" * (len(pending) < len(seeds)))
    )

    def show(result: TrainResult, options: TrainOptions, config: "Config") -> None:
        notify(
            f"seed {config.seed}: validation {percent(result.val_accuracy)}, test {percent(result.test_accuracy)}"
        )

    def train(config: "Config", run: Run, begun: bool) -> None:
        notify(f"seed {config.seed}: run {run.path}")
        # its number of shards may have been set since
        first = prepared if prepared is not None and prepared.config == config else None
        train_one(config, run, options, show, resume=begun, prepared=first)

    result = run_repeats(group, config, seeds, train)
    if options.as_json:
        print_json(result.to_json())
    else:
        _print_result(result)
    if result.failed:
        names = ", ".join(str(each.seed) for each in result.failed)
        raise CnnError(
            f"{len(result.failed)} of {len(seeds)} seeds have no result: {names}", result.failed[0].error
        )


def _print_result(result: RepeatsResult) -> None:
    console = out()
    columns = [
        Column("seed>", [str(each.seed) for each in result.seeds]),
        Column("run", [each.run.path.name for each in result.seeds], 2),
        Column(
            "best epoch>",
            ["-" if each.best_epoch is None else str(each.best_epoch) for each in result.seeds],
            1,
        ),
        Column("validation>", [percent(each.val_accuracy) for each in result.seeds]),
        Column("test>", [percent(each.test_accuracy) for each in result.seeds]),
    ]
    header, rows = table_lines(columns, console)
    console.print()
    console.print(header, style="bold", soft_wrap=True)
    for row in rows:
        console.print(row, soft_wrap=True)
    console.print()
    print_facts(
        [
            ("runs", str(result.group.path)),
            ("validation", spread_text(result.validation)),
            ("test", spread_text(result.test)),
        ],
        15,
    )


def spread_text(found: Spread) -> str:
    """Return mean and standard deviation.

    Example:
        >>> spread_text(Spread(0.98765, 0.00123, 5)), spread_text(Spread(0.98765, None, 1))
        ('98.77 ± 0.12 % over 5 runs', '98.77 % of 1 run')
    """
    if found.mean is None:
        return "-"
    if found.std is None:
        return f"{percent(found.mean)} of 1 run"
    return f"{100 * found.mean:.2f} ± {100 * found.std:.2f} % over {found.count} runs"
