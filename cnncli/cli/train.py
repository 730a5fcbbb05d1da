"""`cnn train`: trains what a config describes into a run folder, or goes on with a run that stopped."""

import re
import shlex
import sys
from functools import partial
from json import dumps
from pathlib import Path
from typing import Annotated

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
from cnncli.launcher import has_other_ranks

EXAMPLES = """
[bold]Examples[/]
  cnn train                                 the best available data
  cnn train mnist.yaml                      what a file describes
  cnn train mnist.yaml --epochs 3 --set train.optimizer.lr=0.01
  cnn train my.yaml --dry-run               find mistakes in a few seconds
  cnn train my.yaml --init-from run-3       start with the weights of another run
  cnn train mnist.yaml --seeds 5            five seeds: mean and standard deviation
  cnn train --resume latest                 resume after an interruption
  cnn train --resume run-3 --epochs 20      train a finished run for longer
"""

training_option = partial(typer.Option, rich_help_panel="What is trained")
output_option = partial(typer.Option, rich_help_panel="Where it goes")


def train(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE",
            help="The config to train, the same as --config FILE.",
            autocompletion=complete_config,
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        str | None,
        training_option(
            "--config",
            "-c",
            metavar="FILE",
            help="A config: a path, or a name looked up in ./configs and then among the bundled ones.",
            autocompletion=complete_config,
        ),
    ] = None,
    init_from: Annotated[
        str | None,
        training_option(
            "--init-from",
            metavar="RUN|FILE",
            help="Start with the weights of another run, of a checkpoint, or of an .npz or .safetensors file.",
            autocompletion=complete_run,
        ),
    ] = None,
    init_partial: Annotated[
        bool,
        training_option(
            "--init-partial",
            help="Let layers start fresh whose weights are not in that file, or have another shape.",
        ),
    ] = False,
    overrides: Annotated[
        list[str] | None,
        training_option(
            "--set",
            metavar="KEY=VALUE",
            help="Change one value of the config, such as train.batch_size=256; may be repeated.",
        ),
    ] = None,
    epochs: Annotated[
        int | None, training_option("--epochs", metavar="N", help="Passes over the training images.")
    ] = None,
    batch_size: Annotated[
        int | None, training_option("--batch-size", metavar="N", help="Images in each step.")
    ] = None,
    lr: Annotated[float | None, training_option("--lr", metavar="X", help="The learning rate.")] = None,
    seed: Annotated[
        int | None,
        training_option("--seed", metavar="N", help="Another seed gives other initial weights and batches."),
    ] = None,
    seeds: Annotated[
        str | None,
        training_option(
            "--seeds",
            metavar="N|LIST",
            help="Train N times with other seeds, or with those of a list such as 1,2,7, each as a run of its own,"
            " and print mean and standard deviation. The same command goes on where it stopped.",
        ),
    ] = None,
    save_every: Annotated[
        str | None,
        output_option(
            "--save-every",
            metavar="N|Ss",
            help="Save a checkpoint every N batches, or every S seconds as in 30s.",
        ),
    ] = None,
    data_dir: DataDir = None,
    resume: Annotated[
        str | None,
        training_option(
            "--resume",
            metavar="RUN",
            help="Resume a run; --epochs sets the new total. `latest` is the latest"
            " run that stopped before its end.",
            autocompletion=complete_run,
        ),
    ] = None,
    name: Annotated[
        str | None,
        output_option(
            "--name", metavar="NAME", help="The run's name. [dim]\\[default: run-1, run-2, ...][/]"
        ),
    ] = None,
    exist_ok: Annotated[
        bool, output_option("--exist-ok", help="Replace a run of that name if there is one.")
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
        output_option("--profile", help="Write profile.txt into the run: where the time of each step goes."),
    ] = False,
    plots: Plots = True,
    json: Json = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print errors and the result only, no progress.")
    ] = False,
) -> None:
    """Train a network into a run folder.

    Without a config the best available data is used: MNIST if already downloaded, or if it can be downloaded, else
    generated digits. Ctrl-C saves and stops; --resume resumes from there, with the same result.
    """
    if has_other_ranks():
        from cnncli.engine.parallel.ranks import join_ranks

        if not join_ranks():
            return
    from cnncli.cli import train_repeats, train_session
    from cnncli.cli.console import note, silence
    from cnncli.config.overrides import Override
    from cnncli.runs.lookup import check_name, find_group_to_resume
    from cnncli.training.choose import REFERENCE, choose_config

    config = _one_config(file, config, runs_dir)
    changes = [Override(text, f"--set {text}") for text in overrides or []]
    named = {
        "--epochs": ("train.epochs", epochs),
        "--batch-size": ("train.batch_size", batch_size),
        "--lr": ("train.optimizer.lr", lr),
        "--seed": ("seed", seed),
    }
    for option, (key, value) in named.items():
        if value is not None:
            changes.append(Override(f"{key}={value}", f"{option} {value}"))
    if save_every is not None:
        changes.append(Override(f"train.save_every={_save_every(save_every)}", f"--save-every {save_every}"))
    if init_from is not None:
        from cnncli.training.initial import weights_path

        # a name such as `latest` would soon mean another run, so the config has the file
        path = init_from if init_from == "bundled" else str(weights_path(init_from, runs_dir))
        changes.append(Override(f"train.init_from={dumps(path)}", f"--init-from {init_from}"))
    if init_partial:
        changes.append(Override("train.init_partial=true", "--init-partial"))
    changes += data_dir_override(data_dir)
    if name is not None and resume is None:
        check_name(name)
    notify = silence if quiet else note
    options = train_session.TrainOptions(json, quiet, plots, profile)
    if resume is not None:
        clash = {
            "--config": config,
            "--name": name,
            "--init-from": init_from,
            "--init-partial": init_partial,
            "--exist-ok": exist_ok,
            "--dry-run": dry_run,
            "--seeds": seeds,
        }
        wrong = [option for option, value in clash.items() if value]
        if wrong:
            raise UsageError(f"--resume goes on with a run as it is, and {wrong[0]} does not go with that")
        group = find_group_to_resume(resume, runs_dir)
        if group is not None:
            if changes:
                raise UsageError(
                    f"{group.name} is a group of runs, which goes on as it is, without {changes[0].written}"
                )
            train_repeats.resume(group, options)
            return
        train_session.resume(resume, runs_dir, changes, options)
    elif print_config:
        from cnncli.config.load import load_config
        from cnncli.training.prepare import check_model

        chosen = load_config(config or REFERENCE, changes)
        check_model(chosen)
        notify(f"config {chosen.origin.source}")
        sys.stdout.write(chosen.to_yaml())
    elif seeds is not None:
        for option, value in {"--dry-run": dry_run, "--exist-ok": exist_ok}.items():
            if value:
                raise UsageError(f"{option} does not go with --seeds")
        if seed is not None and "," in seeds:
            raise UsageError("--seeds lists the seeds, so there is no place for --seed")
        from cnncli.sweep.repeats import read_seeds

        read_seeds(seeds, 0)  # what cannot be seeds is told before anything is downloaded
        chosen = choose_config(config, changes, progress=not quiet, notify=notify)
        train_repeats.start(chosen, seeds, runs_dir, name, options)
    elif dry_run:
        if profile:
            raise UsageError("--profile writes into the run folder, and --dry-run leaves none")
        chosen = choose_config(config, changes, progress=not quiet, notify=notify)
        train_session.try_out(chosen, options)
    else:
        chosen = choose_config(config, changes, progress=not quiet, notify=notify)
        train_session.start(chosen, runs_dir, name, options, exist_ok=exist_ok)


def _one_config(file: str | None, config: str | None, runs_dir: Path) -> str | None:
    """Return the config that is named with or without --config.

    Raises:
        UsageError: both are there, or it is a run.
    """
    if file is not None and config is not None:
        raise UsageError(f"there are two configs: {file} and --config {config}", "leave one of them out")
    name = file or config
    for folder in (Path(name), runs_dir / name) if name else ():
        if (folder / "run.json").is_file():
            raise UsageError(
                f"{name} is a run, not a config",
                f"go on with it: cnn train --resume {shlex.quote(str(name))}; "
                f"repeat it: cnn train {shlex.quote(str(folder / 'config.yaml'))}",
            )
    return name


def _save_every(text: str) -> str:
    """Return what --save-every means as a value of train.save_every."""
    seconds = text.removesuffix("s")
    pattern = r"null|0*[1-9][0-9]*" if seconds == text else r"[0-9]*\.?[0-9]+"
    if not re.fullmatch(pattern, seconds):
        raise UsageError(f"--save-every {text}: expected batches or seconds, such as 200 or 30s")
    return f"{{{'seconds' if seconds != text else 'steps'}: {seconds}}}"
