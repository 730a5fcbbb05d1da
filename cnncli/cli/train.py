"""`cnn train`: trains what a config describes into a run folder, or goes on with a run that stopped."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cnncli.cli.options import (
    DataDir,
    Json,
    Plots,
    RunsDir,
    complete_config,
    complete_run,
    data_dir_override,
)
from cnncli.errors import UsageError

if TYPE_CHECKING:
    from cnncli.config.overrides import Override

EXAMPLES = """
[bold]Examples[/]
  cnn train                                 the best data at hand
  cnn train --config mnist.yaml             what a file describes
  cnn train -c mnist.yaml --epochs 3 --set train.optimizer.lr=0.01
  cnn train -c my.yaml --dry-run            find mistakes in a few seconds
  cnn train --resume latest                 go on after an interruption
  cnn train --resume run-3 --epochs 20      train a finished run for longer
"""

TRAINING = "What is trained"
OUTPUT = "Where it goes"


def train(
    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            "-c",
            metavar="FILE",
            help="A config: a path, or a name looked up in ./configs and then among the bundled ones.",
            autocompletion=complete_config,
            rich_help_panel=TRAINING,
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change one value of the config, such as train.batch_size=256; may be repeated.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs", metavar="N", help="Passes over the training images.", rich_help_panel=TRAINING
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", metavar="N", help="Images in each step.", rich_help_panel=TRAINING),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option("--lr", metavar="X", help="The learning rate.", rich_help_panel=TRAINING),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            metavar="N",
            help="The seed of all random numbers: start weights, order of images, augmentation.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    save_every: Annotated[
        str | None,
        typer.Option(
            "--save-every",
            metavar="N|Ss",
            help="Save a checkpoint every N batches, or every S seconds as in 30s.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    data_dir: DataDir = None,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            metavar="RUN",
            help="Go on with a run, in its folder; with --epochs, up to that many in all.",
            autocompletion=complete_run,
            rich_help_panel=TRAINING,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="The run's name [dim]\\[default: run-1, run-2, ...][/].",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    exist_ok: Annotated[
        bool,
        typer.Option(
            "--exist-ok", help="Replace a run of that name if there is one.", rich_help_panel=OUTPUT
        ),
    ] = False,
    runs_dir: RunsDir = Path("runs"),
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the config with every default filled in, and stop.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Train and test on a few batches; leave no run folder.")
    ] = False,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile",
            help="Measure where the time of each step goes; write profile.txt into the run folder.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    plots: Plots = True,
    json: Json = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print errors and the result only, no progress.")
    ] = False,
) -> None:
    """Train a network into a run folder.

    Without a config the best data at hand is used: MNIST if it is here or can be downloaded, else digits
    that are drawn on the spot. Ctrl-C saves and stops; --resume goes on from there, to the same result.
    """
    from cnncli.cli import train_session
    from cnncli.cli.console import note, silence
    from cnncli.training.choose import REFERENCE, choose_config

    changes = _overrides(overrides or [], epochs, batch_size, lr, seed, save_every, data_dir)
    notify = silence if quiet else note
    options = train_session.TrainOptions(json, quiet, plots, profile)
    if resume is not None:
        clash = {"--config": config, "--name": name, "--exist-ok": exist_ok, "--dry-run": dry_run}
        wrong = [option for option, value in clash.items() if value]
        if wrong:
            raise UsageError(f"--resume goes on with a run as it is, and {wrong[0]} does not go with that")
        train_session.resume(resume, runs_dir, changes, options)
    elif print_config:
        from cnncli.config.load import load_config

        chosen = load_config(config or REFERENCE, changes)
        notify(f"config {chosen.origin.source}")
        sys.stdout.write(chosen.to_yaml())
    elif dry_run:
        if profile:
            raise UsageError("--profile writes into the run folder, and --dry-run leaves none")
        chosen = choose_config(config, changes, progress=not quiet, notify=notify)
        train_session.try_out(chosen, options)
    else:
        chosen = choose_config(config, changes, progress=not quiet, notify=notify)
        train_session.start(chosen, runs_dir, name, options, exist_ok=exist_ok)


def _overrides(
    settings: list[str],
    epochs: int | None,
    batch_size: int | None,
    lr: float | None,
    seed: int | None,
    save_every: str | None,
    data_dir: Path | None,
) -> "list[Override]":
    """Return what the options change in the config, in the order in which a later one wins."""
    from cnncli.config.overrides import Override

    changes = [Override(text, f"--set {text}") for text in settings]
    named = {
        "--epochs": ("train.epochs", epochs),
        "--batch-size": ("train.batch_size", batch_size),
        "--lr": ("train.optimizer.lr", lr),
        "--seed": ("seed", seed),
    }
    changes += [
        Override(f"{key}={value}", f"{option} {value}")
        for option, (key, value) in named.items()
        if value is not None
    ]
    if save_every is not None:
        seconds = save_every.removesuffix("s")
        if not seconds:
            raise UsageError(f"--save-every: expected batches or seconds (200, 30s), found '{save_every}'")
        unit = "seconds" if seconds != save_every else "steps"
        changes.append(Override(f"train.save_every={{{unit}: {seconds}}}", f"--save-every {save_every}"))
    return changes + data_dir_override(data_dir)
