"""`cnn predict`: reads the digits in pictures of the user's own."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cnncli.cli.options import Json, RunsDir, complete_run

EXAMPLES = """
[bold]Examples[/]
  cnn predict digit.png                       one picture, with what the network saw
  cnn predict scans/ 'photos/*.jpg'           folders and patterns
  curl -s https://... | cnn predict -         a picture from stdin
  cnn predict digit.png --run run-3 --top 5   a certain run, its five best guesses
  cnn predict scans/ --csv results.csv        a table for a spreadsheet
"""


def predict(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE...", help="Files, folders, patterns, or - for stdin.", show_default=False
        ),
    ],
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="RUN",
            help="Which run reads them [dim]\\[default: the latest finished one][/].",
            autocompletion=complete_run,
        ),
    ] = None,
    top: Annotated[int, typer.Option("--top", metavar="K", min=1, help="How many guesses to show.")] = 3,
    invert: Annotated[
        Literal["auto", "yes", "no"],
        typer.Option(
            "--invert", metavar="auto|yes|no", help="Dark digits on light paper? auto looks at the picture."
        ),
    ] = "auto",
    raw: Annotated[
        bool, typer.Option("--raw", help="The picture is as those of the set: only bring it to their size.")
    ] = False,
    save_input: Annotated[
        Path | None,
        typer.Option("--save-input", metavar="DIR", help="Write what the network saw into DIR, as PNG."),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write one row for each digit into FILE.")
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    json: Json = False,
) -> int:
    """Read the digits in pictures of your own.

    Photos, scans and drawings, with one digit or many in each. Every digit is found, cut out and brought into
    the form of the training images; what the network then saw is drawn beside its best guesses.
    """
    from cnncli.cli import predict_output
    from cnncli.cli.console import note, print_json
    from cnncli.cli.predict_sources import find_model, find_sources
    from cnncli.training.predict import iter_predictions, predictions_document

    model = find_model(run, runs_dir)
    note(f"model {model.name} ({model.path})")
    sources = find_sources(images)
    draw = len(sources) <= predict_output.MOST_DRAWN
    predictions = []
    for prediction in iter_predictions(sources, model, invert=invert, raw=raw, top=top):
        predictions.append(prediction)
        if not json:
            predict_output.show(prediction, draw=draw)
        predict_output.complain(prediction)
    if save_input is not None:
        count = predict_output.save_inputs(predictions, save_input)
        note(f"wrote {count} PNG files into {save_input}")
    if csv is not None:
        predict_output.write_csv(predictions, csv)
        note(f"wrote {csv}")
    if json:
        print_json(predictions_document(model, predictions))
    return 1 if any(prediction.error for prediction in predictions) else 0
