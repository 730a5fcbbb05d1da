"""The options that several commands share, so that one name means one thing everywhere."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from cnncli.config.overrides import Override

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="The folder of the data sets. [dim]\\[default: what the config says][/]",
    ),
]
RunsDir = Annotated[Path, typer.Option("--runs-dir", metavar="DIR", help="The folder of the runs.")]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else there.")
]

SaveScale = Annotated[
    int | None,
    typer.Option(
        "--save-scale",
        metavar="N",
        min=1,
        max=64,
        help="Enlarge saved images N times; 1 keeps them exactly [dim]\\[default: 8, or less for large ones][/].",
    ),
]

Prepare = Annotated[
    Literal["auto", "digits", "as_is"],
    typer.Option(
        "--prepare",
        metavar="auto|digits|as_is",
        help="Look for digits and bring each into the form of MNIST, or take whole pictures;"
        " auto does what was done in training.",
    ),
]

Plots = Annotated[bool, typer.Option("--plots/--no-plots", help="Draw the results as PNG.")]


def data_dir_override(folder: Path | None) -> "list[Override]":
    """Return the change of a config that --data-dir stands for; none without that option."""
    from cnncli.config.overrides import Override

    # a JSON string is also a YAML string
    return [] if folder is None else [Override(f"data.dir={json.dumps(str(folder))}", f"--data-dir {folder}")]


def complete_run() -> list[str]:
    """Return the names that a shell may complete a run to: the folders in ./runs, and the bundled model."""
    runs = Path("runs")
    names = [entry.name for entry in runs.iterdir() if entry.is_dir()] if runs.is_dir() else []
    return ["latest", "bundled", *sorted(name for name in names if not name.startswith("."))]


def complete_config() -> list[str]:
    """Return the names that a shell may complete a config to."""
    from cnncli.config.files import list_configs

    return list_configs()
