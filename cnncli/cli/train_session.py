"""Runs a training for `cnn train`: the table before it, the bars during it, the result after it."""

import shlex
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from cnncli.cli.chosen_network import build
from cnncli.cli.console import err, note, number, out, percent, print_json
from cnncli.cli.layer_table import layer_table
from cnncli.cli.progress import make_display
from cnncli.cli.signals import StopRequest
from cnncli.config.load import load_config
from cnncli.config.schema import Config
from cnncli.data.dataset import Split
from cnncli.runs import Run, create_run, find_run
from cnncli.training.prepare import Prepared, prepare
from cnncli.training.results import TrainResult
from cnncli.training.session import train_run
from cnncli.training.state import EpochRecord, StepRecord

DRY_BATCHES = 3
DRY_VALIDATION = 500


class Output(NamedTuple):
    """How a training tells of itself.

    Attributes:
        as_json: the result as a JSON document.
        quiet: no progress.
        plots: draw the pictures of the run.
        profile: write where the time goes.
    """

    as_json: bool
    quiet: bool
    plots: bool
    profile: bool = False


def start(config: Config, runs_dir: Path, name: str | None, output: Output, *, exist_ok: bool) -> None:
    """Train in a new run folder and print the result.

    Raises:
        CnnError: whatever a training may end with; the folder says how far it came.
    """
    prepared = prepare(config)  # what cannot be built or read is refused before a folder is made for it
    run = create_run(runs_dir, name, exist_ok)
    if not output.quiet:
        note(f"run {run.path}")
        err().print(layer_table(prepared.network))
    _tell(_watched(config, run, output, resume=False, prepared=prepared), output)


def resume(text: str, runs_dir: Path, overrides: list[str], output: Output) -> None:
    """Go on with a run and print the result."""
    run = find_run(text, runs_dir, needs=["config.yaml"])
    config = load_config(run.config_path, overrides)
    if not output.quiet:
        note(
            f"run {run.path}: {run.status()}, {len(run.read_metrics())} of {config.train.epochs} epochs done"
        )
    _tell(_watched(config, run, output, resume=True), output)


def dry_run(config: Config, output: Output) -> None:
    """Train, validate, save, load and test a few batches in a temporary folder, and say that it works."""
    network = build(config)
    if not output.quiet:
        err().print(layer_table(network))
    del network
    data, settings = config.data, config.train
    few = min(data.limit or DRY_BATCHES * settings.batch_size, DRY_BATCHES * settings.batch_size)
    small = [f"data.limit={few}", "train.epochs=1", f"train.warmup_epochs={min(settings.warmup_epochs, 1)}"]
    if isinstance(data.validation, int):
        small.append(f"data.validation={min(data.validation, DRY_VALIDATION)}")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cnn-dry-run-") as folder:
        run = create_run(folder, "dry-run")
        shorter = config.with_overrides(small)
        prepared = prepare(shorter)
        test = prepared.dataset.test
        few_test = Split(test.images[:DRY_VALIDATION], test.labels[:DRY_VALIDATION])
        prepared = replace(prepared, dataset=replace(prepared.dataset, test=few_test))
        result = _watched(shorter, run, output, resume=False, prepared=prepared)
    seconds = time.monotonic() - began
    if output.as_json:
        print_json({**result.to_json(), "run": None, "path": None, "status": "dry run"})
    else:
        out().print(
            f"dry run: {few} images were trained on, saved, loaded and tested in {seconds:.1f} s; all works"
        )


def _watched(
    config: Config, run: Run, output: Output, *, resume: bool, prepared: Prepared | None = None
) -> TrainResult:
    """Run the training, show its records as they come, and return the last one."""
    with (
        make_display(config.train.epochs, quiet=output.quiet) as display,
        StopRequest(display.stopping) as stop,
    ):
        told = False
        for record in train_run(
            config,
            run,
            resume=resume,
            stop=stop,
            prepared=prepared,
            plots=output.plots,
            profile=output.profile,
        ):
            if not told:
                display.tell(_data_line(run))
                told = True
            if isinstance(record, StepRecord):
                display.step(record)
            elif isinstance(record, EpochRecord):
                display.epoch(record)
            else:
                if output.profile:
                    display.tell(f"wrote {run.path / 'profile.txt'}")
                return record
    raise AssertionError("a training ends with a result")


def _data_line(run: Run) -> str:
    info = run.read_info()
    train, held_out = info["train_images"], info["validation_images"]
    return f"data {info['dataset']}: {train:,} images to train on, {held_out:,} held out for validation"


def _tell(result: TrainResult, output: Output) -> None:
    if output.as_json:
        print_json(result.to_json())
        return
    console = out()
    console.print()
    for name, value in _summary(result):
        console.print(f"{name:<14}{value}", soft_wrap=True)


def _summary(result: TrainResult) -> Iterator[tuple[str, str]]:
    yield "run", result.path
    yield "best epoch", f"{result.best_epoch} of {result.epochs}"
    yield "validation", percent(result.val_accuracy)
    yield "test", f"{percent(result.test_accuracy)}, loss {number(result.test_loss)}"
    yield "speed", f"{result.images_per_second:,.0f} images/s in training, {result.seconds:.1f} s in all"
    yield "next", next_command(result)


def next_command(result: TrainResult) -> str:
    """Return the command that uses the run, as one would type it."""
    folder = Path(result.path).parent
    elsewhere = "" if folder == Path("runs") else f" --runs-dir {shlex.quote(str(folder))}"
    return f"cnn predict digit.png --run {shlex.quote(result.run)}{elsewhere}"
