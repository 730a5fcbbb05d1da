"""The options that several commands share, so that one name means one thing everywhere."""

from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", metavar="DIR", help="Where data sets live [dim]\\[default: what the config says][/]."
    ),
]
RunsDir = Annotated[Path, typer.Option("--runs-dir", metavar="DIR", help="Where run folders are.")]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else there.")
]

Plots = Annotated[
    bool, typer.Option("--plots/--no-plots", help="Draw curves, confusion matrix and mistakes as PNG.")
]


def complete_run(incomplete: str) -> list[str]:
    """Return the runs in ./runs that a shell may complete to."""
    return _starting(incomplete, ["latest", *_names(Path("runs"), folders=True)])


def complete_config(incomplete: str) -> list[str]:
    """Return the configs in ./configs that a shell may complete to."""
    return _starting(incomplete, _names(Path("configs"), folders=False))


def _names(folder: Path, *, folders: bool) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(
        entry.name for entry in folder.iterdir() if entry.is_dir() == folders and entry.name[0] != "."
    )


def _starting(incomplete: str, names: list[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
