"""`cnn download`: fetches data sets, lists them, and checks the files that are there."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from cnncli.cli.console import note, out, print_text
from cnncli.cli.hints import download_command
from cnncli.cli.tables import Column, fitted_table
from cnncli.data.dataset import SPLIT_NAMES
from cnncli.errors import DownloadCall

EXAMPLES = """
[bold]Examples[/]
  cnn download                            MNIST into ./data
  cnn download mnist fashion-mnist        two sets
  cnn download --list                     which sets there are, and which are here
  cnn download --verify                   hash the files of MNIST again
  cnn download --from ~/Downloads         files fetched by hand, .gz or unpacked
"""


def download(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="SET...", help="Data sets. [dim]\\[default: mnist][/]")
    ] = None,
    data_dir: Annotated[
        Path, typer.Option("--data-dir", metavar="DIR", help="The folder of the data sets.")
    ] = Path("data"),
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="DIR|URL", help="Take the files from a mirror of your own or from a folder."
        ),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check the hashes of the files that are here; fetch nothing.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Fetch files again that are already here.")] = False,
    list_sets: Annotated[bool, typer.Option("--list", help="List the known sets.")] = False,
) -> int:
    """Fetch data sets, checked against known hashes.

    Several mirrors are tried in turn. A file that is already here and whole is not fetched again.
    """
    if list_sets:
        _list(data_dir)
        return 0
    names = names or ["mnist"]
    if verify:
        return max(_verify(name, data_dir) for name in names)
    for name in names:
        _fetch(name, data_dir, source, force)
    return 0


def _list(data_dir: Path) -> None:
    from cnncli.data.load import is_available
    from cnncli.data.registry import DATASETS

    rows = [("synthetic", "drawn digits", "10", "6,000", "1,000", "built in", "yes")]
    for name, spec in reversed(DATASETS.items()):
        sizes = [spec.file(part, "labels").shape for part in ("train", "test")]
        train, test = (f"{shape[0]:,}" if shape else "?" for shape in sizes)
        here = "yes" if is_available(name, data_dir) else "no"
        rows.insert(0, (name, spec.title, str(len(spec.classes)), train, test, spec.licence, here))
    ranks = {"set": 0, "title": 3, "classes>": 1, "train>": 0, "test>": 0, "license": 2, "here": 0}
    cells = zip(*rows, strict=True)
    console = out()
    columns = [Column(title, cell, rank) for (title, rank), cell in zip(ranks.items(), cells, strict=True)]
    console.print(fitted_table(columns, console))


def _verify(name: str, data_dir: Path) -> int:
    """Print the state of every file of a set; return 0 if all are right, else 1."""
    from cnncli.data.download.local_files import verify_dataset

    reports = verify_dataset(name, data_dir)
    console = out()
    columns = [
        Column("file", [each.name for each in reports]),
        Column("status", [each.status for each in reports]),
        Column("what was checked, or is wrong", [each.detail for each in reports], 1),
    ]
    styles = [None if each.status == "ok" else "red" for each in reports]
    made = fitted_table(columns, console, title=name, styles=styles)
    console.print(made)
    wrong = [each for each in reports if each.status != "ok"]
    if not wrong:
        return 0
    if len(made.columns) < len(columns):
        for each in wrong:
            print_text(console, f"{each.name}: {each.detail}")
    note(f"hint: `{download_command(DownloadCall(name, str(data_dir)))}` fetches what is missing or wrong")
    return 1


def _fetch(name: str, data_dir: Path, source: str | None, force: bool) -> None:
    from cnncli.config.files import list_configs
    from cnncli.data.download.fetch import download
    from cnncli.data.registry import DATASETS

    for path in download(name, data_dir, source=source, force=force, notify=note):
        print_text(out(), str(path))
    shapes = [DATASETS[name].file(part, "labels").shape for part in SPLIT_NAMES]
    images = " + ".join(f"{shape[0]:,}" for shape in shapes if shape)
    train = f" {name}.yaml" if f"{name}.yaml" in list_configs() else f" --set data.dataset={name}"
    folder = "" if data_dir == Path("data") else f" --data-dir {shlex.quote(str(data_dir))}"
    note(
        f"done: {images + ' ' if images else ''}images; next: cnn train{'' if name == 'mnist' else train}{folder}"
    )
