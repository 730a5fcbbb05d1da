"""`cnn predict`: reads the digits in pictures of the user's own."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from cnncli.cli.console import note, print_json
from cnncli.cli.options import Json, RunsDir, complete_run
from cnncli.errors import PictureError

EXAMPLES = """
[bold]Examples[/]
  cnn predict digit.png                       one picture, with what the network saw
  cnn predict scans/ 'photos/*.jpg'           folders and patterns
  curl -s https://... | cnn predict -         a picture from stdin
  cnn predict digit.png --run run-3 --top 5   a certain run, its five best guesses
  cnn predict scans/ --csv results.csv        a table for a spreadsheet
"""

MAX_STDIN_BYTES = 64 << 20


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
    top: Annotated[
        int, typer.Option("--top", metavar="K", min=1, help="How many guesses to show for each digit.")
    ] = 3,
    invert: Annotated[
        Literal["auto", "yes", "no"],
        typer.Option(
            "--invert",
            metavar="auto|yes|no",
            help="Whether the digits are dark on light paper; auto looks at the picture.",
        ),
    ] = "auto",
    raw: Annotated[
        bool,
        typer.Option(
            "--raw",
            help="Do not look for digits: resize the whole picture and read it. Use it for runs trained on your"
            " own folder.",
        ),
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

    Photos, scans and drawings, with one digit or many in each. Every digit is found, cut out and resized to the
    form of the training images. That image is drawn beside the network's best guesses.
    """
    from cnncli.cli import predict_output
    from cnncli.training.lookup import find_model, find_pictures
    from cnncli.training.predict import iter_predictions, predictions_document

    model = find_model(run, runs_dir)
    note(f"model {model.name} ({model.path})")
    sources = find_pictures(images, _read_stdin)
    draw = len(sources) <= predict_output.MAX_DRAWN
    predictions = []
    for prediction in iter_predictions(sources, model, invert=invert, raw=raw, top=top):
        predictions.append(prediction)
        if not json:
            predict_output.print_prediction(prediction, draw=draw)
        predict_output.print_problems(prediction)
    if save_input is not None:
        count = predict_output.save_inputs(predictions, save_input)
        note(f"wrote {count} PNG files into {save_input}")
    if csv is not None:
        predict_output.write_csv(predictions, csv)
        note(f"wrote {csv}")
    if json:
        print_json(predictions_document(model, predictions))
    return 1 if any(prediction.error for prediction in predictions) else 0


def _read_stdin() -> bytes:
    content = sys.stdin.buffer.read(MAX_STDIN_BYTES + 1)
    if len(content) > MAX_STDIN_BYTES:
        raise PictureError(
            f"stdin holds more than {MAX_STDIN_BYTES >> 20} MiB, which is no picture of digits"
        )
    if not content:
        raise PictureError(
            "there is nothing on stdin", "pipe a picture into the command: cnn predict - < digit.png"
        )
    return content
