"""`cnn sweep`: searches for better settings with many training runs of one config."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cnncli.cli.console import note, out, percent, print_facts, print_json, silence
from cnncli.cli.hints import runs_dir_option
from cnncli.cli.options import DataDir, Json, Plots, RunsDir, data_dir_override
from cnncli.cli.signals import StopRequest
from cnncli.cli.tables import Column, table_lines
from cnncli.errors import CnnError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cnncli.runs import Group
    from cnncli.sweep.definition import SweepDefinition
    from cnncli.sweep.finish import SweepResult
    from cnncli.sweep.places.place import Place
    from cnncli.sweep.trials import Trial

EXAMPLES = """
[bold]Examples[/]
  cnn sweep lr.yaml                    all trials of a file, as many at once as there are processors
  cnn sweep lr.yaml --jobs 1           one after the other, to the same result
  cnn sweep lr.yaml --trials 50        more trials; the finished ones are kept
  cnn sweep lr.yaml --dry-run          check the file, and show the first trials
  cnn sweep lr.yaml --on dask://10.0.0.5:8786   on the workers of a Dask cluster
  cnn sweep --resume lr                resume after an interruption
  cnn train runs/lr/best.yaml          train with the best settings
"""

BEST_SHOWN = 10
"""How many trials the table at the end has."""

where_option = partial(typer.Option, rich_help_panel="Where it runs")


def sweep(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="The sweep: a config, and what is varied in it.", show_default=False
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Its name. [dim]\\[default: that of the file][/]"),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            "--trials", metavar="N", min=1, help="At most so many trials, in place of those of the file."
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes", metavar="M", min=0, help="Start no trial after this time, in all sessions together."
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option("--resume", metavar="NAME", help="Resume a sweep without its file."),
    ] = None,
    jobs: Annotated[
        int | None,
        where_option(
            "--jobs", "-j", metavar="N", min=1, help="Trials at once; the result does not depend on it."
        ),
    ] = None,
    on: Annotated[
        str, where_option("--on", metavar="WHERE", help="Where trials run: local, or dask://HOST:PORT.")
    ] = "local",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, show the first trials, and train nothing.")
    ] = False,
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("runs"),
    plots: Plots = True,
    json: Json = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print errors and the result only, no progress.")
    ] = False,
) -> None:
    """Search for better settings: many training runs of one config.

    Trials are compared by their validation accuracy. The winner alone is measured on the test images, and its config is
    written to best.yaml. Ctrl-C saves all and stops. The same command goes on, to the same result.
    """
    from cnncli.runs import Group
    from cnncli.sweep.definition import load_sweep, require_packages
    from cnncli.sweep.finding import find_sweep, load_group

    notify = silence if quiet else note
    if (file is None) == (resume is None):
        raise UsageError(
            "name the file of a sweep, or --resume NAME", "see docs/scale.md for what is in the file"
        )
    if file is not None:
        changes = tuple(data_dir_override(data_dir))
        definition = load_sweep(file, trials=trials, minutes=minutes, overrides=changes)
        group = find_sweep(definition, runs_dir, name)
    else:
        for option, value in {"--name": name, "--data-dir": data_dir}.items():
            if value is not None:
                raise UsageError(
                    f"--resume goes on with a sweep as it is, and {option} does not go with that"
                )
        group = _find(str(resume), runs_dir)
        definition = load_group(group, trials=trials, minutes=minutes)
    require_packages(definition)
    if dry_run:
        _show_first(definition)
        return
    place = _make_place(on, jobs)
    _fetch_data(definition, progress=not quiet, notify=notify)
    _say_what(group, definition, place, notify)
    result = _run(group, definition, place, notify, plots=plots)
    if json:
        print_json(result.to_json())
    else:
        _print_result(result, definition, Group(group.path))
    if result.best is None:
        first = next((trial.error for trial in result.trials if trial.error), None)
        raise CnnError(f"no trial of {group.name} has a result", first)


def _run(
    group: "Group",
    definition: "SweepDefinition",
    place: "Place",
    notify: "Callable[[str], None]",
    *,
    plots: bool,
) -> "SweepResult":
    """Run all trials and measure the winner; a signal stops it."""
    from cnncli.cli.progress import counting
    from cnncli.sweep.finish import finish_sweep
    from cnncli.sweep.run import SweepEvents, run_sweep
    from cnncli.sweep.trials import best_trial, read_trials

    over: list[Trial] = [trial for trial in read_trials(group) if trial.is_over]

    def ended(trial: "Trial") -> None:
        over.append(trial)
        count = definition.count
        of = "" if count is None else f" of {count}"
        best = best_trial(over)
        so_far = f" (best {percent(best.val_accuracy)}, {best.name})" if best and best is not trial else ""
        notify(f"{len(over)}{of}: {trial.name} {_outcome(trial)} {_values(trial)}{so_far}")

    with StopRequest(lambda: note("stopping; the trials are saved")) as stop:
        trials = run_sweep(
            group, definition, place, SweepEvents(stop, lambda trial, again: None, ended, notify)
        )
    with counting("measuring the best") as on_batch:
        return finish_sweep(group, definition, trials, plots=plots, on_batch=on_batch)


def _find(text: str, runs_dir: Path) -> "Group":
    from cnncli.runs import Group, list_groups

    bare = text.rstrip("/")
    for group in (Group(runs_dir / bare), Group(Path(text).expanduser())):
        if bare and group.exists():
            return group
    sweeps = [group for group in list_groups(runs_dir) if group.read_info().get("kind") == "sweep"]
    if text == "latest" and sweeps:
        return max(sweeps, key=lambda group: str(group.read_info().get("created")))
    names = ", ".join(group.name for group in sweeps)
    raise UsageError(f"there is no sweep {text!r} in {runs_dir}", f"there are {names}" if names else None)


def _make_place(on: str, jobs: int | None) -> "Place":
    if on == "local":
        from cnncli.sweep.places.local import LocalPlace

        return LocalPlace(jobs)
    if on.startswith("dask://") and ":" in on.removeprefix("dask://"):
        from cnncli.sweep.places.dask_cluster import DaskPlace

        return DaskPlace(on.removeprefix("dask://").rstrip("/"), jobs)
    raise UsageError(f"--on {on}: expected local or dask://HOST:PORT")


def _fetch_data(definition: "SweepDefinition", *, progress: bool, notify: "Callable[[str], None]") -> None:
    """Download a published set that is missing, before the first trial, and refuse a network that does not fit."""
    from cnncli.data.download.fetch import download
    from cnncli.data.load import is_available
    from cnncli.data.registry import DATASETS
    from cnncli.training.prepare import check_model

    check_model(definition.base)
    folder = definition.base.data.dir
    for entry in definition.base.data.sets:
        if entry.name in DATASETS and not is_available(entry.name, folder):
            notify(f"{DATASETS[entry.name].title} is not in {folder}, so it is downloaded")
            download(entry.name, folder, progress=progress)


def _say_what(
    group: "Group", definition: "SweepDefinition", place: "Place", notify: "Callable[[str], None]"
) -> None:
    count = "trials" if definition.count is None else f"{definition.count} trials"
    limit = "" if definition.minutes is None else f", {definition.minutes:g} minutes"
    notify(f"sweep {group.path}: {count}{limit}, {place.slots} at once")
    if definition.depends_on_results and place.slots > definition.ahead:
        notify(
            f"warning: at most {definition.ahead} trials run at once, because the file says ahead: {definition.ahead}"
        )


def _show_first(definition: "SweepDefinition") -> None:
    """Print the first trials, as far as they do not depend on results."""
    from cnncli.sweep.searches import make_search

    count = BEST_SHOWN if definition.count is None else min(definition.count, BEST_SHOWN)
    if definition.depends_on_results:
        count = min(count, definition.ahead)
    search = make_search(definition)
    rows = [values for number in range(count) if (values := search.ask(number)) is not None]
    columns = [Column("trial>", [str(number) for number in range(len(rows))])]
    _print_table([*columns, *_value_columns(definition.keys, rows)])
    in_all = "until the time is over" if definition.count is None else f"{definition.count} in all"
    note(f"the first {len(rows)} trials, {in_all}; all is well")


def _print_result(result: "SweepResult", definition: "SweepDefinition", group: "Group") -> None:
    from cnncli.cli.runs_table import duration
    from cnncli.sweep.finish import ranked

    trials = ranked(result.trials)[:BEST_SHOWN]
    columns = [Column("trial>", [str(trial.number) for trial in trials])]
    columns += [
        Column("validation", [_outcome(trial) for trial in trials]),
        *_value_columns(definition.keys, [trial.values for trial in trials]),
        Column("epochs>", [str(trial.epochs) for trial in trials], 1001),
        Column("time>", [duration(trial.seconds) for trial in trials], 1002),
    ]
    out().print()
    _print_table(columns)
    out().print()
    if len(result.trials) > len(trials):
        note(f"the best {len(trials)} of {len(result.trials)} trials; trials.csv has all")
    best = result.best
    if best is None:
        return
    facts = [
        ("sweep", str(group.path)),
        ("best", f"{best.name}: {_values(best)}"),
        ("validation", percent(best.val_accuracy)),
        ("test", percent(result.test_accuracy)),
    ]
    short = short_keys(definition.keys)
    shares = [
        f"{short[key]} {100 * share:.0f} %" for key, share in result.importance.items() if share is not None
    ]
    if shares:
        facts.append(("importance", ", ".join(shares)))
    facts += [("wrote", ", ".join(file.name for file in result.files))]
    facts += [("next", f"cnn train {group.path / 'best.yaml'}{runs_dir_option(group.path.parent)}")]
    print_facts(facts, 15)


def _value_columns(keys: "Sequence[str]", rows: "Sequence[Mapping[str, object]]") -> list[Column]:
    """Return a column for each key that is varied; on a narrow terminal the last keys are left out first."""
    short = short_keys(keys)
    return [
        Column(short[key], [_text(values.get(key)) for values in rows], rank, are_names=True)
        for rank, key in enumerate(keys, start=1)
    ]


def _print_table(columns: list[Column]) -> None:
    console = out()
    header, rows = table_lines(columns, console)
    console.print(header, style="bold", soft_wrap=True)
    for row in rows:
        console.print(row, soft_wrap=True)


def _outcome(trial: "Trial") -> str:
    if trial.state == "failed":
        return "failed" if trial.error is None else f"failed ({trial.error[:60]})"
    return percent(trial.val_accuracy) + (" stopped early" if trial.state == "pruned" else "")


def _values(trial: "Trial") -> str:
    short = short_keys(list(trial.values))
    return " ".join(f"{short[key]}={_text(value)}" for key, value in trial.values.items())


def short_keys(keys: "Sequence[str]") -> dict[str, str]:
    """Return for each key as much of its end as no other key has.

    Example:
        >>> short_keys(["train.optimizer.lr", "model.0.conv.filters", "model.2.conv.filters"])
        {'train.optimizer.lr': 'lr', 'model.0.conv.filters': '0.conv.filters', 'model.2.conv.filters': '2.conv.filters'}
    """
    short = {}
    for key in keys:
        parts = key.split(".")
        ends = [".".join(parts[at:]) for at in range(len(parts) - 1, -1, -1)]
        others = [other for other in keys if other != key]
        short[key] = next(
            (end for end in ends if not any(other == end or other.endswith(f".{end}") for other in others)),
            key,
        )
    return short


def _text(value: object) -> str:
    from cnncli.config.yaml_writer import inline

    return f"{value:.4g}" if isinstance(value, float) else inline(value)
