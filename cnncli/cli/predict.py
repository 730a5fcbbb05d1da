"""`cnn predict`: reads the digits in pictures of the user's own."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cnncli.cli.console import ReaderLeftError, note, out, print_json, print_text
from cnncli.cli.hints import option_hint, refuse_addresses
from cnncli.cli.options import DataDir, Json, Prepare, RunsDir, SaveScale, complete_run
from cnncli.errors import PictureError, StorageError, UsageError

if TYPE_CHECKING:
    from cnncli.training.answers import AnswerFormat
    from cnncli.training.model import Model

EXAMPLES = """
[bold]Examples[/]
  cnn predict digit.png                       one picture, with what the network saw
  cnn predict scans/ 'photos/*.jpg'           folders and patterns
  curl -L https://... | cnn predict -         a picture from stdin
  cnn predict mnist:2462                      a test image of a data set, with its label
  cnn predict digit.png --run run-3 --top 5   a certain run, its five best predictions
  cnn predict digit.png --run a --run b       two runs: their probabilities are averaged
  cnn predict scans/ --csv results.csv        a table for a spreadsheet
  cnn predict test.csv --format kaggle --csv submission.csv    all images of a data file
"""

MAX_STDIN_BYTES = 64 << 20


def predict(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE...",
            help="Files, folders, patterns, - for stdin, or SET:INDEX, SET:train:INDEX, SET:all:INDEX. Or files of"
            " many images, such as CSV, .npz, .npy or IDX, which are all classified.",
            show_default=False,
        ),
    ],
    runs: Annotated[
        list[str] | None,
        typer.Option(
            "--run",
            metavar="RUN",
            help="Which run reads them; `bundled` is the model that ships with cnn. May be repeated: the"
            " probabilities of several are averaged."
            " [dim]\\[default: the latest finished run, else bundled][/]",
            autocompletion=complete_run,
        ),
    ] = None,
    top: Annotated[
        int,
        typer.Option(
            "--top",
            metavar="K",
            min=1,
            help="How many predictions to show for each digit; two at most are drawn below each of several.",
        ),
    ] = 3,
    invert: Annotated[
        Literal["auto", "yes", "no"],
        typer.Option(
            "--invert",
            metavar="auto|yes|no",
            help="Whether to invert pictures, such as dark digits on light paper; auto looks at the picture.",
        ),
    ] = "auto",
    prepare: Prepare = "auto",
    raw: Annotated[
        bool,
        typer.Option(
            "--raw",
            help="Take whole pictures, as `--prepare as_is`, and never invert them unless told to.",
        ),
    ] = False,
    unknown: Annotated[
        Literal["never", "warn", "refuse"],
        typer.Option(
            "--unknown",
            metavar="never|warn|refuse",
            help="What is like none of the classes: name it all the same, show ? and warn, or refuse the picture.",
        ),
    ] = "warn",
    save_input: Annotated[
        Path | None,
        typer.Option("--save-input", metavar="DIR", help="Write what the network saw into DIR, as PNG."),
    ] = None,
    save_scale: SaveScale = None,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Write one row for each digit into FILE; - for stdout."),
    ] = None,
    form: Annotated[
        Literal["table", "kaggle"],
        typer.Option(
            "--format",
            metavar="table|kaggle",
            help="The columns of --csv for a file of many images: with probabilities, or ImageId,Label.",
        ),
    ] = "table",
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("runs"),
    json: Json = False,
) -> int:
    """Read pictures of your own.

    They are prepared as the pictures of the training were. For digits that means photos, scans and drawings with one
    digit or many in each: every digit is found, cut out and resized to the form of MNIST. For other classes the whole
    picture is resized. What the network saw is drawn beside its best predictions.
    """
    from cnncli.cli import predict_output
    from cnncli.storage import refuse_to_overwrite
    from cnncli.training.lookup import find_model, find_pictures, holds_images, load_set_for
    from cnncli.training.predict import iter_predictions
    from cnncli.training.predictions import predictions_document

    table_only = csv == predict_output.STDOUT
    if json and table_only:
        raise UsageError("--json and --csv - both print on stdout", "write the table into a file: --csv FILE")
    models = [find_model(run, runs_dir) for run in runs] if runs else [find_model(None, runs_dir)]
    _say_who_reads(models, "" if runs else f", because no run in {runs_dir} is finished")
    refuse_addresses(images)
    if any(holds_images(Path(name)) for name in images):
        return answer_files(images, models, invert, unknown, top, csv, form, as_json=json)
    if form != "table":
        raise UsageError("--format kaggle is for a file of many images, such as test.csv")
    find_set = partial(load_set_for, models[0], prepare="as_is" if raw else prepare, data_dir=data_dir)
    sources = find_pictures(images, read_stdin, find_set, note)
    files = [Path(source) for source in sources if isinstance(source, str | Path)]
    inputs = [*(model.path for model in models), *files]
    if csv is not None and not table_only:
        refuse_to_overwrite(csv, inputs)
    draw = len(sources) <= predict_output.MAX_DRAWN
    predictions = []
    problems = predict_output.Problems()
    left: ReaderLeftError | None = None
    for prediction in iter_predictions(
        sources, models, invert=invert, prepare=prepare, raw=raw, top=top, unknown=unknown
    ):
        prediction = replace(prediction, warnings=tuple(map(option_hint, prediction.warnings)))
        predictions.append(prediction)
        try:
            if not (json or table_only or left):
                predict_output.print_prediction(prediction, draw=draw)
        except ReaderLeftError as error:
            if save_input is None and csv is None:
                raise
            left = error  # the files are still written, whole
        problems.print(prediction)
    problems.sum_up()
    if save_input is not None:
        try:
            count = predict_output.save_inputs(predictions, save_input, inputs, save_scale)
            note(f"wrote {count} PNG files into {save_input}")
        except StorageError as error:
            note(f"warning: what the network saw is not saved, because {error.message}")
    if csv is not None:
        predict_output.write_csv(predictions, csv)
        if not table_only:
            note(f"wrote {csv}")
    if json:
        print_json(predictions_document(models, predictions))
    if left:
        raise left
    return 1 if any(prediction.error for prediction in predictions) else 0


def answer_files(
    names: "Sequence[str]",
    models: "Sequence[Model]",
    invert: str,
    unknown: str,
    top: int,
    csv: Path | None,
    form: "AnswerFormat",
    *,
    as_json: bool,
) -> int:
    """Classify all images of files of arrays; the options are those of `predict`."""
    from collections import Counter

    from cnncli.cli.progress import counting
    from cnncli.storage import refuse_to_overwrite, write_text_atomic
    from cnncli.training.answers import answer_file, answers_document
    from cnncli.training.lookup import holds_images

    paths = [Path(name) for name in names]
    if pictures := [path for path in paths if not holds_images(path)]:
        raise UsageError(
            f"{pictures[0]} is no file of many images, and {names[0]} is", "read them one by one"
        )
    if csv is not None and len(paths) > 1:
        raise UsageError("--csv takes the answers of one file of many images", "name one file")
    if csv is not None and str(csv) != "-":
        refuse_to_overwrite(csv, [*(model.path for model in models), *paths])
    every = []
    for path in paths:
        with counting("predicting") as on_batch:
            answers = answer_file(
                path, models, invert=invert == "yes", unknown=unknown != "never", on_batch=on_batch
            )
        for text in answers.notes:
            note(option_hint(text))
        every.append(answers)
        strange = int(answers.unknown.sum())
        if strange and unknown == "refuse":
            raise PictureError(
                f"{strange:,} of the {len(answers.unknown):,} images of {path} are like none of the classes",
                option_hint("`unknown='warn'` marks them"),
            )
        if strange:
            note(
                f"warning: {path}: {strange:,} of {len(answers.unknown):,} images are like none of the classes"
            )
    if csv is not None and str(csv) == "-":
        sys.stdout.write(every[0].to_csv(form))
    elif csv is not None:
        write_text_atomic(csv, every[0].to_csv(form))
        note(f"wrote {csv}")
    if as_json:
        print_json(answers_document(models, every, top))
    elif csv is None and form == "kaggle":
        sys.stdout.write(every[0].to_csv(form))
    elif csv is None:
        for answers in every:
            counts = Counter(answers.labels)
            listed = ", ".join(f"{name}: {counts[name]:,}" for name in answers.classes if counts[name])
            print_text(out(), f"{answers.path}: {len(answers.labels):,} images ({listed})")
        note("the answer for each image: --csv FILE")
    return 0


def _say_who_reads(models: "Sequence[Model]", why: str) -> None:
    """Say which models read; `why` ends the sentence about the one that ships with the package."""
    for model in models:
        note(
            f"model {model.name}"
            + (f", which ships with cnn{why}" if model.is_bundled else f" ({model.path})")
        )
    if len(models) > 1:
        note(f"the probabilities of these {len(models)} models are averaged")


def read_stdin() -> bytes:
    """Return the content of a picture from stdin.

    Raises:
        PictureError: there is none, or it is too large for one.
    """
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
