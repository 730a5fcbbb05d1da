"""Runs a training run for `cnn train`: the table before it, the progress during it, the result after it."""

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cnncli.cli.console import err, four_decimals, note, out, percent, print_facts, print_json, speed_text
from cnncli.cli.hints import runs_dir_option
from cnncli.cli.layer_table import layer_table
from cnncli.cli.progress import QuietDisplay, make_display
from cnncli.cli.signals import StopRequest
from cnncli.config.load import load_config
from cnncli.config.schema import Config
from cnncli.runs import Run, create_run, find_run
from cnncli.training.dry_run import dry_run
from cnncli.training.prepare import Prepared, build_untrained, prepare
from cnncli.training.results import TrainResult, is_guessing
from cnncli.training.session import train_run
from cnncli.training.state import EpochRecord, StepRecord


class TrainOptions(NamedTuple):
    """What is printed and drawn.

    Attributes:
        as_json: print the result as a JSON document.
        quiet: show no progress.
        plots: draw the pictures of the run.
        profile: write where the time of each step goes.
    """

    as_json: bool
    quiet: bool
    plots: bool
    profile: bool = False


def start(config: Config, runs_dir: Path, name: str | None, options: TrainOptions, *, exist_ok: bool) -> None:
    """Train in a new run folder and print the result.

    Raises:
        CnnError: the config or the data cannot be used, or training failed; run.json says how far it came.
    """
    prepared = prepare(
        config
    )  # before the run folder is made, so that a config that cannot be used leaves none
    run = create_run(runs_dir, name, exist_ok, config=config.to_yaml())
    if not options.quiet:
        note(f"run {run.path}")
        console = err()
        console.print(layer_table(prepared.network, console))
    _train(config, run, options, prepared=prepared)


def resume(text: str, runs_dir: Path, overrides: Sequence[str], options: TrainOptions) -> None:
    """Resume a run and print the result."""
    run = find_run(text, runs_dir, needs=["config.yaml"], to_resume=True)
    config = load_config(run.config_path, overrides)
    if not options.quiet:
        done, wanted = len(run.read_metrics()), config.train.epochs
        epochs = (
            f"{done} of {wanted} epochs done" if done <= wanted else f"{done} epochs done, {wanted} asked for"
        )
        note(f"run {run.path}: {run.status()}, {epochs}")
    _train(config, run, options, resume=True)


def try_out(config: Config, options: TrainOptions) -> None:
    """Train, validate, save, load and test a few batches in a temporary folder, and say that it works."""
    network = build_untrained(config)
    if not options.quiet:
        console = err()
        console.print(layer_table(network, console))
    del network
    began = time.monotonic()
    with dry_run(config) as short, make_display(short.config.train.epochs, quiet=options.quiet) as display:
        with StopRequest(display.stopping) as stop:
            result = _watch(short.config, short.run, options, display, stop, prepared=short.prepared)
    seconds = time.monotonic() - began
    if options.as_json:
        print_json({**result.to_json(), "run": None, "path": None, "status": "dry run"})
        return
    out().print(
        f"dry run: {short.images} images were trained on, saved, loaded and tested in {seconds:.1f} s; all works"
    )


def _train(
    config: Config, run: Run, options: TrainOptions, *, resume: bool = False, prepared: Prepared | None = None
) -> None:
    """Train, and print the result."""
    train_one(config, run, options, _print_result, resume=resume, prepared=prepared)


def train_one(
    config: Config,
    run: Run,
    options: TrainOptions,
    show: Callable[[TrainResult, TrainOptions, Config], None],
    *,
    resume: bool = False,
    prepared: Prepared | None = None,
) -> None:
    """Train, and show the result. A signal that comes too late to stop the run does not lose what is shown."""
    display = make_display(config.train.epochs, quiet=options.quiet)
    with StopRequest(display.stopping) as stop:
        with display:
            result = _watch(config, run, options, display, stop, resume=resume, prepared=prepared)
        show(result, options, config)


def _watch(
    config: Config,
    run: Run,
    options: TrainOptions,
    display: QuietDisplay,
    stop: StopRequest,
    *,
    resume: bool = False,
    prepared: Prepared | None = None,
) -> TrainResult:
    """Train, show each record as it comes, and return the last one."""
    records = train_run(
        config,
        run,
        resume=resume,
        stop=stop,
        prepared=prepared,
        plots=options.plots,
        profile=options.profile,
    )
    for position, record in enumerate(records):
        if position == 0:
            for line in _data_lines(run):
                display.note(line)
            if resume and isinstance(record, StepRecord):
                display.note(f"go on from epoch {record.epoch}, step {record.step} of {record.steps}")
        if isinstance(record, StepRecord):
            display.step(record)
        elif isinstance(record, EpochRecord):
            display.epoch(record)
        else:
            if options.profile and (run.path / "profile.txt").exists():
                display.note(f"wrote {run.path / 'profile.txt'}")
            return record
    raise AssertionError("the last record is the result")


def _data_lines(run: Run) -> Iterator[str]:
    info = run.read_info()
    train, held_out = info["train_images"], info["validation_images"]
    yield f"data {info['dataset']}: {train:,} images to train on, {held_out:,} held out for validation"
    if sets := info.get("sets"):
        yield "each epoch: " + ", ".join(
            f"{each['epoch_images']:,} images of {each['name']}" for each in sets
        )
    if outliers := info.get("outliers"):
        yield f"and {outliers:,} drawn images of no class in each epoch"
    yield from info["data_notes"]
    if initial := info.get("initial"):
        yield f"weights of {initial['path']}: {', '.join(initial['kept'])}"
        for what, names in (
            ("start fresh", initial["fresh"]),
            ("are in the file, and unused", initial["unused"]),
        ):
            if names:
                yield f"{', '.join(names)} {what}"
    if teachers := info.get("teachers"):
        yield f"learns from: {', '.join(each['path'] for each in teachers)}"
    if frozen := info.get("frozen"):
        yield f"frozen: {', '.join(frozen)}"


def _print_result(result: TrainResult, options: TrainOptions, config: Config) -> None:
    if options.as_json:
        print_json(result.to_json())
    else:
        out().print()
        print_facts(_summary(result, config), 15)
    info = Run(Path(result.path)).read_info()
    accuracy, count = (
        (result.val_accuracy, info["validation_images"])
        if result.test_accuracy is None
        else (result.test_accuracy, info["test_images"])
    )
    if not options.quiet and is_guessing(accuracy, info["classes"], count):
        note(
            f"warning: this is guessing: {info['classes']} classes give {100 / info['classes']:.3g} % by chance; "
            f"try a smaller learning rate than {config.train.optimizer.lr:g}, or more epochs"
        )


def _summary(result: TrainResult, config: Config) -> Iterator[tuple[str, str]]:
    yield "run", result.path
    if result.epochs < config.train.epochs:
        epochs = "1 epoch" if config.train.patience == 1 else f"{config.train.patience} epochs"
        yield "stopped early", f"after epoch {result.epochs}: no better validation accuracy for {epochs}"
    yield "best epoch", f"{result.best_epoch} of {result.epochs}"
    yield "validation", percent(result.val_accuracy)
    yield "test", f"{percent(result.test_accuracy)}, loss {four_decimals(result.test_loss)}"
    for name, accuracy in result.other_tests.items():
        yield "", f"{percent(accuracy)} of {name}"
    yield "speed", speed_text(result.images_per_second, result.seconds)
    runs_dir = Path(result.path).parent
    yield "next", f"cnn predict PICTURE --run {shlex.quote(result.run)}{runs_dir_option(runs_dir)}"
