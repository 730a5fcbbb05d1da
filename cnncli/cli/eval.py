"""`cnn eval`: measures a run, or several as an ensemble, on a set with labels."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cnncli.cli.options import DataDir, Json, Plots, RunsDir, complete_run

EXAMPLES = """
[bold]Examples[/]
  cnn eval latest                          the last run, on the test images
  cnn eval run-3 --split val               on the images held out of its training
  cnn eval run-1 run-2 run-3               three runs as an ensemble
  cnn eval run-3 --dataset qmnist          on another set
  cnn eval run-3 --min-accuracy 0.99       exit code 3 below 99 %
"""


def eval(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="A name, a path, a unique prefix, or `latest`; several are an ensemble.",
            autocompletion=complete_run,
            show_default=False,
        ),
    ],
    split: Annotated[
        Literal["test", "val", "train"],
        typer.Option("--split", metavar="test|val|train", help="Which images."),
    ] = "test",
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", metavar="SET", help="Another set than the one it was trained on."),
    ] = None,
    checkpoint: Annotated[
        Literal["best", "last"],
        typer.Option("--checkpoint", metavar="best|last", help="Which weights of the run."),
    ] = "best",
    min_accuracy: Annotated[
        float | None,
        typer.Option(
            "--min-accuracy", metavar="X", min=0, max=1, help="Exit with code 3 below this, such as 0.99."
        ),
    ] = None,
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("runs"),
    plots: Plots = True,
    json: Json = False,
) -> None:
    """Measure a run on labelled images.

    The accuracy, precision, recall and F1 of each class, and the confusion matrix. What is found is also
    written into the run's eval folder, with pictures of the confusion matrix and of the surest mistakes.
    """
    from cnncli.cli.console import print_json
    from cnncli.cli.eval_measure import measure
    from cnncli.errors import GateError

    measured = measure(runs, runs_dir, split, dataset=dataset, checkpoint=checkpoint, data_dir=data_dir)
    if measured.folder is not None:
        measured.write(plots=plots)
    if json:
        print_json(measured.document)
    else:
        from cnncli.cli.eval_tables import show

        show(measured)
    accuracy = measured.evaluation.accuracy
    if min_accuracy is not None and accuracy < min_accuracy:
        raise GateError(
            f"the accuracy is {100 * accuracy:.3f} %, below the {100 * min_accuracy:g} % asked for"
        )
