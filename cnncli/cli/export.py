"""`cnn export`: writes a trained network into files that other programs load."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cnncli.cli.console import note, out, percent, print_facts, print_json
from cnncli.cli.options import DataDir, Json, RunsDir, complete_run
from cnncli.errors import UsageError

if TYPE_CHECKING:
    from cnncli.export.write import Exported
    from cnncli.training.model import Model

EXAMPLES = """
[bold]Examples[/]
  cnn export run-3 --to onnx                 into the run's folder export
  cnn export latest --to onnx -o digits.onnx
  cnn export latest --to onnx --input uint8  a network that takes bytes
  cnn export bundled --to onnx --to npz      the model that ships with cnn, into this folder
  cnn export runs/run-3/checkpoints/last.npz --to npz
  cnn export run-3 --to c --dtype int8       a C file and a header for a microcontroller
  cnn export run-3 --to html                 a page to draw on, as one file
"""


def export(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A name, a path, a unique prefix, `latest`, `bundled`, or a checkpoint file.",
            autocompletion=complete_run,
            show_default=False,
        ),
    ],
    to: Annotated[
        list[str],
        typer.Option(
            "--to",
            metavar="FORMAT",
            help="onnx, safetensors, torch, keras, npz, c, html. May be repeated.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The file to write."
            " [dim]\\[default: in the run's folder export; of another file in the working folder][/]",
        ),
    ] = None,
    checkpoint: Annotated[
        Literal["best", "last"],
        typer.Option("--checkpoint", metavar="best|last", help="Which weights of the run."),
    ] = "best",
    input_type: Annotated[
        Literal["float32", "uint8"],
        typer.Option(
            "--input",
            metavar="float32|uint8",
            help="The type of the pixels that the network takes, 0 to 255.",
        ),
    ] = "float32",
    dtype: Annotated[
        Literal["float32", "int8"],
        typer.Option(
            "--dtype",
            metavar="float32|int8",
            help="The type of the weights, in c also of the numbers between the layers."
            " int8 is a quarter of the size.",
        ),
    ] = "float32",
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """Write a trained network for other programs.

    The file is loaded by its own runtime, if that is installed, and compared with the network on 1,000 images: test
    images if they are here, else drawn digits. A file with other answers is not written.
    """
    from cnncli.export.formats import find_format
    from cnncli.export.subject import ExportOptions
    from cnncli.export.write import export_model
    from cnncli.training.lookup import run_or_file
    from cnncli.training.model import load_model

    formats = list(dict.fromkeys(to))
    if output is not None and len(formats) > 1:
        raise UsageError(f"-o names one file, and --to names {len(formats)} formats", "leave out -o")
    for name in formats:
        find_format(name)
    model = load_model(run_or_file(run, runs_dir), checkpoint)
    _say_which(model)
    options = ExportOptions(input=input_type, dtype=dtype)
    done = []
    for name in formats:
        exported = export_model(model, name, output, options=options, data_dir=data_dir)
        for file in exported.files:
            note(f"wrote {file}")
        done.append(exported)
    if json:
        print_json(
            {"run": model.name, "checkpoint": model.checkpoint, "exported": [each.to_json() for each in done]}
        )
        return
    for number, exported in enumerate(done):
        if number:
            out().print()
        print_exported(exported)


def print_exported(exported: "Exported") -> None:
    """Print what was written in one format, and how it was checked."""
    lines = [("format", exported.format), *(("file", str(file)) for file in exported.files)]
    lines.append(("size", f"{exported.bytes:,} bytes"))
    lines += [(name.removesuffix("_bytes"), f"{size:,} bytes") for name, size in exported.facts.items()]
    found = exported.comparison
    if found is None:
        lines.append(("checked", f"no: {exported.not_compared}"))
    else:
        lines += [
            ("checked", f"{found.images:,} {found.origin}, with {found.runtime}"),
            ("difference", f"at most {found.largest_difference:.2g} in a logit"),
            ("answers", f"{percent(found.equal_answers)} equal"),
        ]
    print_facts(lines, 12)


def _say_which(model: "Model") -> None:
    """Say which weights are exported, and warn of those of a training run that has not ended."""
    from cnncli.runs import Run

    if model.is_bundled:
        note("model bundled, which ships with cnn")
        return
    note(f"model {model.name} ({model.path})")
    run = Run(model.path.parent.parent)
    if model.path.parent == run.checkpoints and not run.missing(["run.json"]):
        status = run.status()
        if status != "done":
            note(f"warning: {run.name} is not finished, its status is {status}: these are the weights so far")
