"""`cnn eval`: evaluates a run, or the average of several, on labeled images."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cnncli.cli.console import four_decimals, note, out, percent, print_facts, print_json, print_text
from cnncli.cli.eval_tables import class_table, confused_pairs, matrix_that_fits
from cnncli.cli.hints import option_hint
from cnncli.cli.options import DataDir, Json, Plots, Prepare, RunsDir, complete_run
from cnncli.cli.tables import Column, fitted_table
from cnncli.errors import GateError, UsageError
from cnncli.storage import write_text_atomic

if TYPE_CHECKING:
    from cnncli.training.ensemble import Measured

EXAMPLES = """
[bold]Examples[/]
  cnn eval latest                          the latest finished run, on the test images
  cnn eval run-3 --split val               on the images held out of its training
  cnn eval run-1 run-2 run-3               three runs: their probabilities are averaged
  cnn eval run-3 --dataset qmnist          on another set
  cnn eval run-3 --min-accuracy 0.99       exit code 3 below 99 %
  cnn eval run-3 --predictions all.csv     truth, answer and probabilities of every image
  cnn eval run-3 --dataset mnist-c/        a folder of data sets: a table with one row for each
"""

MAX_NAMED = 5
"""How many pictures that were misread are named on the screen; the JSON and the picture have more."""


def eval(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="A name, a path, a unique prefix, or `latest`: the latest finished run, else the latest with a"
            " checkpoint. `bundled` is the model that ships with cnn. Several: their probabilities are averaged.",
            autocompletion=complete_run,
            show_default=False,
        ),
    ],
    split: Annotated[
        Literal["test", "val", "train"] | None,
        typer.Option(
            "--split",
            metavar="test|val|train",
            help="Which images to evaluate on [dim]\\[default: test; all of another set of your own][/].",
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", metavar="SET", help="A data set other than the run's."),
    ] = None,
    prepare: Prepare = "auto",
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
    predictions: Annotated[
        Path | None,
        typer.Option(
            "--predictions",
            metavar="FILE",
            help="Write truth, answer and probabilities of every image, as CSV.",
        ),
    ] = None,
    tta: Annotated[
        int,
        typer.Option(
            "--tta",
            metavar="N",
            min=1,
            help="Average over N views of each image, changed as in training (test-time augmentation).",
        ),
    ] = 1,
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("runs"),
    plots: Plots = True,
    json: Json = False,
) -> None:
    """Evaluate a run on labeled images.

    Prints the accuracy, precision, recall and F1 of each class, and the confusion matrix. The result is also
    written to the run's eval folder, with pictures of the confusion matrix and the most confident mistakes.

    Pictures in another folder are prepared as those of the training were. Of a folder of your own that the run was
    not trained on, all images are measured.
    """
    from cnncli.cli.progress import counting
    from cnncli.errors import StorageError
    from cnncli.training.ensemble import measure_runs, sets_inside

    def measure(name: str | None) -> "Measured":
        with counting("evaluating") as on_batch:
            return measure_runs(
                runs,
                runs_dir,
                split,
                dataset=name,
                prepare=prepare,
                checkpoint=checkpoint,
                data_dir=data_dir,
                views=tta,
                on_batch=on_batch,
                notify=lambda text: note(option_hint(text)),
            )

    if predictions is not None and dataset is not None:
        from cnncli.data.load import files_of
        from cnncli.storage import refuse_to_overwrite

        refuse_to_overwrite(predictions, files_of(dataset, data_dir or Path("data")))
    if dataset is not None and (inside := sets_inside(dataset)):
        if predictions is not None:
            raise UsageError(f"{dataset} holds several data sets", "name one of them: --dataset " + inside[0])
        split = split or "test"  # as such sets, one for each corruption, are compared
        show_several(dataset, {name: measure(name) for name in inside}, min_accuracy, as_json=json)
        return
    measured = measure(dataset)
    if predictions is not None:
        write_text_atomic(predictions, measured.to_csv())
        note(f"wrote {predictions}")
    # written before anything is printed: whoever reads the output may leave at any time
    files, not_kept = [], None
    try:
        files = measured.write(plots=plots)
    except StorageError as error:
        not_kept = f"warning: the result is not kept, because {error.message}"
    if json:
        print_json(measured.document)
    else:
        print_measured(measured)
    for line in [not_kept] if not_kept else [f"wrote {file}" for file in files]:
        note(line)
    check_accuracy(measured.evaluation.accuracy, min_accuracy)


def check_accuracy(accuracy: float, least: float | None) -> None:
    """Raise GateError if the accuracy is below the one asked for."""
    if least is not None and accuracy < least:
        raise GateError(f"the accuracy is {100 * accuracy:.3f} %, below the {100 * least:g} % asked for")


def show_several(
    folder: str, measured: "dict[str, Measured]", min_accuracy: float | None, *, as_json: bool
) -> None:
    """Print a row for each of several data sets, and the mean of their accuracies; check it as `eval` does."""
    for each in measured.values():
        each.write(plots=False)
    documents = [each.document for each in measured.values()]
    accuracy = mean(each.evaluation.accuracy for each in measured.values())
    if as_json:
        print_json(
            {
                "run": documents[0]["run"],
                "checkpoint": documents[0]["checkpoint"],
                "dataset": folder,
                "mean_accuracy": accuracy,
                "sets": documents,
            }
        )
    else:
        console = out()
        evaluations = [each.evaluation for each in measured.values()]
        names = [Path(name).name for name in measured]
        columns = [
            Column("data set", [*names, "mean"], are_names=True),
            Column("images>", [*(f"{each.count:,}" for each in evaluations), ""]),
            Column("accuracy>", [*(percent(each.accuracy) for each in evaluations), percent(accuracy)]),
            Column("loss>", [*(four_decimals(each.loss) for each in evaluations), ""], 1),
            Column("calibration error>", [*(percent(each.calibration_error) for each in evaluations), ""], 2),
        ]
        title = f"{documents[0]['run']} on {folder}"
        console.print(fitted_table(columns, console, title=title, total=True))
    check_accuracy(accuracy, min_accuracy)


def print_measured(measured: "Measured") -> None:
    """Print the metrics, a row for each class, and the confusion matrix."""
    console, evaluation, document = out(), measured.evaluation, measured.document
    wrong = evaluation.count - int(evaluation.confusion.trace())
    lines = {
        "run": f"{document['run']}, {document['checkpoint']} checkpoint",
        "images": f"{evaluation.count:,} of {document['dataset']}, {document['split']}",
        "accuracy": f"{percent(evaluation.accuracy)}, {wrong:,} wrong",
        "loss": four_decimals(evaluation.loss),
        "calibration": f"{percent(evaluation.calibration_error)} expected error",
    }
    if views := document.get("views"):
        lines["views"] = f"{views} of each image, averaged"
    if evaluation.unknown is not None:
        lines["unknown"] = f"{percent(evaluation.unknown)} taken for none of the classes"
    if wrong:
        times, label, answer = confused_pairs(evaluation.confusion)[0]
        support = evaluation.per_class[label].support
        classes = measured.classes
        lines["worst"] = f"{classes[label]} taken for {classes[answer]}: {times:,} of {support:,}"
    print_facts(lines.items(), 13)
    console.print()
    console.print(class_table(evaluation, measured.classes, console))
    console.print()
    console.print(matrix_that_fits(evaluation.confusion, measured.classes, console))
    if named := named_mistakes(document["mistakes"]):
        console.print()
        print_text(console, "most confident mistakes")
        for line in named:
            print_text(console, line)


def named_mistakes(mistakes: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each of the most confident mistakes, with the name of its file; nothing if it has none.

    Example:
        >>> named_mistakes([{"file": "cat/7.png", "true": "cat", "predicted": "dog", "probability": 0.913}])
        ['cat/7.png: dog (91.3 %)']
    """
    return [
        f"{each['file']}: {each['predicted']} ({100 * each['probability']:.1f} %)"
        for each in mistakes[:MAX_NAMED]
        if "file" in each
    ]
