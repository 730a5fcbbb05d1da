"""What `cnn inspect CONFIG --plan` shows: the steps the engine runs a network by, and where their time goes."""

from dataclasses import asdict
from pathlib import Path

from cnncli.cli.chosen_network import build
from cnncli.cli.console import note, out, percent, print_json, table
from cnncli.config.load import load_config
from cnncli.engine.plan_table import plan_table
from cnncli.errors import UsageError

_WIDE = 120  # columns of a terminal; a narrower one has no room for sentences


def show_plan(name: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Print a row for each step of a training plan; a few steps on random images are measured for it.

    Raises:
        UsageError: the config asks for the plain layers, or its network has no plan.
    """
    config = load_config(name, [] if data_dir is None else [f"data.dir={data_dir}"])
    note(f"config {config.origin.source}")
    rows = (
        plan_table(build(config), batch_size=config.train.batch_size) if config.engine.kind == "fast" else []
    )
    if not rows:
        raise UsageError(f"{name} is run by the plain layers, one after the other; there is no plan")
    if as_json:
        print_json({"kind": "plan", "config": config.origin.source, "steps": [asdict(row) for row in rows]})
        return
    console = out()
    explained = console.width >= _WIDE
    headings = ["layers", "kernel", "images>", "forward>", "backward>"] + ["what it does"] * explained
    grid = table(*headings)
    for row in rows:
        cells = [
            row.layers or row.pattern,
            row.kernel,
            str(row.micro_batch) if row.kernel else "",
            "" if row.forward is None else percent(row.forward),
            "" if row.backward is None or not row.kernel else percent(row.backward),
        ]
        grid.add_row(*cells, *[row.pattern if row.kernel else ""] * explained)
    console.print(grid)
