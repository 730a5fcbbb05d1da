"""`cnn runs`: lists the runs of a folder, compares, removes and renames them."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from cnncli.cli.console import note, out, print_json, print_text
from cnncli.cli.options import Json, RunsDir, complete_run
from cnncli.errors import RunError, UsageError

if TYPE_CHECKING:
    from cnncli.runs.change import Target

EXAMPLES = """
[bold]Examples[/]
  cnn runs                                    all runs, the newest first
  cnn runs --sort val --limit 10              the ten best by validation accuracy
  cnn runs --status failed,killed             what went wrong
  cnn runs --filter 'val>=99 %' --filter config=mnist.yaml
  cnn runs --filter train.batch_size=256      by any key of the config
  cnn runs --csv runs.csv                     for a spreadsheet
  cnn runs compare run-1 run-2                what differs, and the curves
  cnn runs rm run-3 'test-*'                  remove runs
  cnn runs rename run-4 wide                  give a run another name
"""

Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        "-f",
        metavar="CONDITION",
        help="Only runs that meet it, such as 'val>=0.99', 'name=wide*' or train.batch_size=256; may be repeated.",
    ),
]
Status = Annotated[
    str | None,
    typer.Option(
        "--status",
        metavar="S,...",
        help="Only these: running, done, failed, interrupted, killed, broken, no run.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask. Needed where nobody can answer.")]


def runs(
    ctx: typer.Context,
    sort: Annotated[
        str,
        typer.Option(
            "--sort",
            metavar="KEY",
            help="The best or newest first: when, name, val, test, val_loss, test_loss, epochs, seconds, size,"
            " parameters, seed, config, status. -KEY turns the order.",
        ),
    ] = "when",
    filters: Filters = None,
    status: Status = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", metavar="N", min=1, help="Only the first N.")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option("--group", metavar="NAME", help="The runs of a group: of repeats or a sweep."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="Also the runs of all groups, as GROUP/RUN.")
    ] = False,
    csv_file: Annotated[
        str | None, typer.Option("--csv", metavar="FILE", help="Write the list as CSV; - for stdout.")
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """List the runs of a folder, compare, remove and rename them.

    A group is one line: repeats over seeds with mean and standard deviation, a sweep with its winner.
    """
    if ctx.invoked_subcommand is not None:
        refuse_options_before(ctx)
        return
    from cnncli.cli.runs_table import print_list, write_csv
    from cnncli.runs.selection import in_order, select_runs

    found = select_runs(runs_dir, filters, status, group=group, everything=everything)
    shown = in_order(found, sort)[:limit]
    if csv_file is not None:
        write_csv(shown, csv_file)
    elif json:
        print_json({"runs_dir": runs_dir, "runs": [each.to_json() for each in shown]})
    else:
        print_list(shown, len(found), runs_dir)


def compare(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Names, paths, unique prefixes or `latest`. A group stands for all of its runs.",
            autocompletion=complete_run,
            show_default=False,
        ),
    ],
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Draw the curves over each other, as PNG.")
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """Show what differs between runs: keys of the configs, figures, and the curves of the validation accuracy."""
    from cnncli.cli.run_comparison import print_comparison
    from cnncli.runs.compare import compare_runs
    from cnncli.runs.selection import folders_of

    folders = folders_of(names, runs_dir)
    if len(folders) < 2:
        raise UsageError(
            f"there is nothing to compare {', '.join(folders)} with", "name two runs, or a group of several"
        )
    found = compare_runs(folders)
    if save is not None:
        from cnncli.report import draw_comparison, save_png

        if not any(found.curves):
            raise RunError("none of these runs has finished an epoch, so there are no curves to draw")
        names = found.names
        title = " and ".join(names) if len(names) == 2 else f"{len(names)} runs"
        save_png(draw_comparison(dict(zip(names, found.curves, strict=True)), title=title), save)
    if json:
        print_json(found.to_json())
    else:
        print_comparison(found)
    for problem in found.problems:
        note(f"warning: {problem}")
    if save is not None:
        note(f"wrote {save}")


def rm(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN...",
            help="Full names of runs or groups; * and ? stand for any characters.",
            autocompletion=complete_run,
            show_default=False,
        ),
    ] = None,
    filters: Filters = None,
    status: Status = None,
    yes: Yes = False,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Remove runs: their folders with all that cnn has written there.

    A run that is being trained is kept, and so is a folder with other files in it. Links are not followed.
    """
    from cnncli.cli.layer_table import memory
    from cnncli.runs.change import clear_leftovers, find_target, remove_runs
    from cnncli.runs.listing import FOREIGN
    from cnncli.runs.selection import expand, in_order, select_runs

    chosen = expand(names or [], runs_dir)
    if filters or status:
        found = in_order(select_runs(runs_dir, filters, status), "name")
        chosen += [each.name for each in found if each.status not in (FOREIGN, "running")]
    elif not names:
        raise UsageError("which runs?", "name them, or choose them: --filter 'val<0.5', --status failed")
    targets = [find_target(name, runs_dir) for name in dict.fromkeys(chosen)]
    if not targets:
        clear_leftovers(runs_dir)
        note("there is no such run, so nothing is removed")
        return
    size = memory(sum(target.bytes for target in targets))
    confirm(f"remove {_these(targets)}, {size}?", yes)
    for target in remove_runs(targets):
        print_text(out(), f"removed {target.name}")


def rename(
    name: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="The full name of a run or a group.",
            autocompletion=complete_run,
            show_default=False,
        ),
    ],
    new: Annotated[str, typer.Argument(metavar="NAME", help="Its new name.", show_default=False)],
    yes: Yes = False,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Give a run or a group another name; one that is being trained keeps its name."""
    from cnncli.runs.change import find_target, rename_run

    target = find_target(name, runs_dir)
    confirm(f"rename {target.name} to {new}?", yes)
    path = rename_run(target, new)
    print_text(out(), f"{target.name} is now {path}")


SUBCOMMANDS = {"list": runs, "compare": compare, "rm": rm, "rename": rename}
"""What stands after `cnn runs`; without it, it is list."""

SUBCOMMAND_HELP = {
    "list": "List the runs of a folder; the same without a command.",
    "compare": "Show what differs between runs, and their curves.",
    "rm": "Remove runs.",
    "rename": "Give a run another name.",
}

SUBCOMMAND_EXAMPLES = {
    "list": EXAMPLES,
    "compare": """
[bold]Examples[/]
  cnn runs compare run-1 run-2
  cnn runs compare run-1 run-2 --save curves.png
""",
    "rm": """
[bold]Examples[/]
  cnn runs rm run-3                    asks first
  cnn runs rm run-3 'test-*' --yes     does not ask
  cnn runs rm --status failed,broken
""",
    "rename": """
[bold]Examples[/]
  cnn runs rename run-4 wide
""",
}

SUBCOMMAND_ELSEWHERE = {
    "ls": "cnn runs, or cnn runs list",
    "show": "cnn inspect RUN",
    "diff": "did you mean 'compare'?",
    "remove": "did you mean 'rm'?",
    "delete": "did you mean 'rm'?",
    "mv": "did you mean 'rename'?",
    "csv": "cnn runs --csv FILE",
    "export": "cnn runs --csv FILE",
}
"""What other programs call these commands."""


def refuse_options_before(ctx: typer.Context) -> None:
    """Refuse options between `runs` and the command, where they would have no effect.

    Raises:
        UsageError: there are some.
    """
    defaults = {parameter.name: parameter.default for parameter in ctx.command.params}
    for name, value in ctx.params.items():
        if value != defaults.get(name) and value not in ([], None):
            raise UsageError(
                f"the options of cnn runs {ctx.invoked_subcommand} stand after it",
                f"cnn runs {ctx.invoked_subcommand} ... --runs-dir DIR",
            )


def confirm(question: str, yes: bool) -> None:
    """Ask on the terminal whether to go on.

    Raises:
        UsageError: nobody can answer.
        typer.Exit: the answer is no; the code is 1.
    """
    if yes:
        return
    answers = _stdin()
    if not answers.isatty():
        raise UsageError(f"{question} nobody can answer here", "say so with --yes")
    note(f"{question} [y/N]")
    if answers.readline().strip().lower() not in ("y", "yes"):
        note("nothing is changed")
        raise typer.Exit(1)


def _stdin() -> IO[str]:
    return sys.stdin


def _these(targets: "Sequence[Target]") -> str:
    names = [
        target.name + (f" with all its runs ({len(target.members)})" if target.members else "")
        for target in targets
    ]
    if len(names) == 1:
        return names[0]
    return f"{len(names)} runs: {', '.join(names[:10])}" + (" and more" if len(names) > 10 else "")
