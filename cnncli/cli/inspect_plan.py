"""What `cnn inspect CONFIG --plan` shows: the kernels that run a network, their times and their recorded calls."""

from dataclasses import asdict
from pathlib import Path

from cnncli.cli.console import note, out, print_json, table
from cnncli.cli.options import data_dir_override
from cnncli.config.load import load_config
from cnncli.engine.plan_table import PlanRow, plan_table
from cnncli.errors import UsageError
from cnncli.training.prepare import build_untrained

_WIDE = 120  # columns of a terminal; a narrower one has no room for sentences


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
    explained = console.width >= _WIDE
    headings = ["layers", "kernel", "micro-\nbatch>", "forward\nms, share>", "backward\nms, share>"] + [
        "what it does"
    ] * explained
    grid = table(*headings)
    for row in rows:
        grid.add_row(
            row.layers or row.description,
            row.kernel,
            "" if row.micro_batch is None else str(row.micro_batch),
            _time(row.forward_ms, row.forward),
            _time(row.backward_ms, row.backward),
            *[row.description if row.kernel else ""] * explained,
        )
    console.print(grid)


def _print_calls(row: PlanRow) -> None:
    """Print the calls of one kernel for one micro-batch."""
    if not row.kernel:
        return
    out().print(f"\n{row.layers}: {row.kernel}, {row.micro_batch} images", style="bold")
    for title, lines in (("forward", row.forward_calls), ("backward", row.backward_calls)):
        out().print(f"  {title}")
        for line in lines:
            out().print(f"    {line}", soft_wrap=True)


def _time(milliseconds: float | None, share: float | None) -> str:
    """Return a time as "1.23  4.5 %"."""
    return "" if milliseconds is None or share is None else f"{milliseconds:.2f}  {100 * share:4.1f} %"
