"""`cnn report`: writes everything about a training run into one HTML file."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cnncli.cli.console import note, out, percent, print_facts, print_json
from cnncli.cli.hints import option_hint
from cnncli.cli.layer_table import memory
from cnncli.cli.options import DataDir, Json, RunsDir, complete_run

EXAMPLES = """
[bold]Examples[/]
  cnn report latest                    the latest finished run: report.html in its folder
  cnn report run-3 -o run-3.html
  cnn report run-3 --split val         on the images held out of its training
  cnn report run-3 --dataset qmnist    on another set
  cnn report bundled                   the model that ships with cnn
"""


def report(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A name, a path, a unique prefix, `latest`, `bundled`, or a checkpoint file.",
            autocompletion=complete_run,
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
            " [dim]\\[default: report.html in the run's folder; of another file in the working folder][/]",
        ),
    ] = None,
    split: Annotated[
        Literal["test", "val", "train"] | None,
        typer.Option(
            "--split",
            metavar="test|val|train",
            help="Which images to measure on [dim]\\[default: test; all of another set of your own][/].",
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", metavar="SET", help="A data set other than the run's."),
    ] = None,
    checkpoint: Annotated[
        Literal["best", "last"],
        typer.Option("--checkpoint", metavar="best|last", help="Which weights of the run."),
    ] = "best",
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """Write everything about a run into one HTML file.

    The file shows the training curves, the confusion matrix with the pictures behind every mistake, where the network
    looked, the images on a plane, the calibration, what the filters look for, the layers, and how to repeat the run. It
    holds everything it shows and runs no script, so it can be sent by mail.
    """
    from cnncli.cli.progress import counting
    from cnncli.web.report import collect, write_report

    if output is not None and dataset is not None:
        from cnncli.data.load import files_of
        from cnncli.storage import refuse_to_overwrite

        refuse_to_overwrite(output, files_of(dataset, data_dir or Path("data")))
    with counting("evaluating") as on_batch:
        found = collect(
            run,
            runs_dir,
            split,
            dataset=dataset,
            checkpoint=checkpoint,
            data_dir=data_dir,
            on_batch=on_batch,
            notify=lambda text: note(option_hint(text)),
        )
    made = write_report(found, output)
    if json:
        print_json(made.to_json())
        return
    print_facts(
        [
            ("run", f"{made.run}, {made.checkpoint} checkpoint"),
            ("images", f"{made.count:,} of {made.dataset}, {made.split}"),
            ("accuracy", f"{percent(made.accuracy)}, {made.wrong:,} wrong"),
            ("report", f"{made.path}, {memory(made.bytes)}"),
        ],
        12,
    )
    out().print("open it in a browser", style="dim")
