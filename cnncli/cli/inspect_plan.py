"""What `cnn inspect CONFIG --plan` shows: the kernels that run a network, their times and their recorded calls."""

from dataclasses import asdict
from pathlib import Path

from cnncli.cli.console import note, out, print_json, print_text
from cnncli.cli.options import data_dir_override
from cnncli.cli.tables import Column, fitted_table
from cnncli.config.load import load_config
from cnncli.engine.plan_table import PlanRow, plan_table
from cnncli.errors import UsageError
from cnncli.training.prepare import build_untrained

_WIDE = 80  # columns of a terminal; a narrower one gets the layers of a kernel below each other


def show_plan(name: str, data_dir: Path | None, *, calls: bool, as_json: bool) -> None:
    """Print a row for each kernel of a training plan, with times measured on a few steps of random images.

    Args:
        name: of the config.
        data_dir: replaces `data.dir`.
        calls: also print the recorded calls of every kernel.
        as_json: print one JSON document instead.

    Raises:
        UsageError: the config asks for the plain layers, or its network has no plan.
    """
    config = load_config(name, data_dir_override(data_dir))
    note(f"config {config.origin.source}")
    rows = []
    if config.engine.kind == "fast":
        rows = plan_table(build_untrained(config), batch_size=config.train.batch_size)
    if not rows:
        raise UsageError(f"{name} is run by the plain layers, one after the other; there is no plan")
    if as_json:
        steps = [asdict(row) for row in rows]
        for step in steps if not calls else ():
            del step["forward_calls"], step["backward_calls"]
        print_json({"kind": "plan", "config": config.origin.source, "steps": steps})
        return
    _print_table(rows)
    for row in rows if calls else ():
        _print_calls(row)


def _print_table(rows: list[PlanRow]) -> None:
    console = out()
    between = " " if console.width >= _WIDE else "\n"
    names = [row.layers.replace(" ", between) or row.description for row in rows]
    columns = [
        Column("layers", names),
        Column("kernel", [row.kernel for row in rows], 2),
        Column(
            "micro-\nbatch>", ["" if row.micro_batch is None else str(row.micro_batch) for row in rows], 3
        ),
        Column("forward\nms>", [_milliseconds(row.forward_ms) for row in rows]),
        Column("share>", [_percent(row.forward) for row in rows], 1),
        Column("backward\nms>", [_milliseconds(row.backward_ms) for row in rows]),
        Column("share>", [_percent(row.backward) for row in rows], 1),
        Column("what it does", [row.description if row.kernel else "" for row in rows], 4, 30),
    ]
    console.print(fitted_table(columns, console))


def _print_calls(row: PlanRow) -> None:
    """Print the calls of one kernel for one micro-batch."""
    if not row.kernel:
        return
    out().print(f"\n{row.layers}: {row.kernel}, {row.micro_batch} images", style="bold")
    console = out()
    for title, lines in (("forward", row.forward_calls), ("backward", row.backward_calls)):
        console.print(f"  {title}")
        for line in lines:
            print_text(console, f"    {line}", indent=6)


def _milliseconds(time: float | None) -> str:
    return "" if time is None else f"{time:.2f}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"
