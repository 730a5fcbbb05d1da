"""`cnn train`: trains what a config describes into a run folder, or goes on with a run that stopped."""

import sys
from json import dumps as quoted
from pathlib import Path
from typing import Annotated

import typer

from cnncli.cli.options import DataDir, Json, Plots, RunsDir, complete_config, complete_run
from cnncli.errors import UsageError

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
        int | None, typer.Option("--epochs", metavar="N", help="train.epochs", rich_help_panel=TRAINING)
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", metavar="N", help="train.batch_size", rich_help_panel=TRAINING),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(
            "--lr", metavar="X", help="train.optimizer.lr, the learning rate", rich_help_panel=TRAINING
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="seed", rich_help_panel=TRAINING)
    ] = None,
    save_every: Annotated[
        str | None,
        typer.Option(
            "--save-every",
            metavar="N|Ss",
            help="train.save_every: a checkpoint every N batches, or every S seconds as in 30s.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    data_dir: DataDir = None,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            metavar="RUN",
            help="Go on with a run, in place; with --epochs, up to that many in all.",
            autocompletion=complete_run,
            rich_help_panel=TRAINING,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="The run's name [dim]\\[default: run-1, ...][/].",
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
        bool, typer.Option("--dry-run", help="A few steps of everything; leaves no run folder.")
    ] = False,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile",
            help="Write where the time of each step goes into the run: profile.txt.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    plots: Plots = True,
    json: Json = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress; errors and the result only.")
    ] = False,
) -> None:
    """Train a network into a run folder.

    Without a config the best data at hand is used: MNIST when it is here or can be downloaded, else digits
    that are drawn on the spot. Ctrl-C saves and stops; --resume goes on from there, to the same result.
    """
    overrides = list(overrides or [])
    named = {"train.epochs": epochs, "train.batch_size": batch_size, "train.optimizer.lr": lr, "seed": seed}
    overrides += [f"{key}={value}" for key, value in named.items() if value is not None]
    if save_every is not None:
        seconds = save_every.removesuffix("s")
        if not seconds:
            raise UsageError(f"--save-every: expected batches or seconds (200, 30s), found '{save_every}'")
        unit = "seconds" if seconds != save_every else "steps"
        overrides.append(f"train.save_every={{{unit}: {seconds}}}")
    if data_dir is not None:
        overrides.append(f"data.dir={quoted(str(data_dir))}")  # a JSON string is a YAML string

    from cnncli.cli import train_session
    from cnncli.cli.console import note, silence
    from cnncli.cli.train_config import choose_config, named_config

    say = silence if quiet else note
    output = train_session.Output(json, quiet, plots, profile)
    if resume is not None:
        clash = {"--config": config, "--name": name, "--exist-ok": exist_ok, "--dry-run": dry_run}
        wrong = [option for option, value in clash.items() if value]
        if wrong:
            raise UsageError(f"--resume goes on with a run as it is, and {wrong[0]} does not go with that")
        train_session.resume(resume, runs_dir, overrides, output)
    elif print_config:
        sys.stdout.write(named_config(config, overrides, say).to_yaml())
    elif dry_run:
        if profile:
            raise UsageError("--profile writes into the run folder, and --dry-run leaves none")
        train_session.dry_run(choose_config(config, overrides, say, progress=not quiet), output)
    else:
        chosen = choose_config(config, overrides, say, progress=not quiet)
        train_session.start(chosen, runs_dir, name, output, exist_ok=exist_ok)
