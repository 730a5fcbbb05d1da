"""`cnn inspect`: shows what is in a config, a run, a checkpoint, a data set or a picture, without training anything."""

from pathlib import Path
from typing import Annotated

import typer

from cnncli.cli.hints import refuse_addresses
from cnncli.cli.options import DataDir, Json, RunsDir, SaveScale, complete_config
from cnncli.errors import UsageError

EXAMPLES = """
[bold]Examples[/]
  cnn inspect                            the reference network, layer by layer
  cnn inspect mnist.yaml                 the network of a config
  cnn inspect mnist.yaml --plan          how the engine runs it, and where the time goes
  cnn inspect mnist.yaml --plan --calls  the same, with every recorded NumPy call
  cnn inspect run-3                      how a training run went
  cnn inspect runs                       the training runs in a folder
  cnn inspect best.npz                   a checkpoint
  cnn inspect bundled                    the model that ships with cnn
  cnn inspect mnist --save sheet.png     counts for each class, and a sheet of samples
  cnn inspect digit.png                  what the network would see
  cnn inspect mnist:2462                 a test image of a data set
"""


def inspect(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET",
            help="A config, a run, a folder of runs, a checkpoint, `bundled`, a data set or a picture."
            " [dim]\\[default: the reference config][/]",
            autocompletion=complete_config,
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            "--save",
            metavar="FILE",
            help="Write a PNG with samples of a data set, or with the images that a picture becomes.",
        ),
    ] = None,
    save_scale: SaveScale = None,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan", help="Show the kernels that run a config's training step, each with its time."
        ),
    ] = False,
    calls: Annotated[
        bool,
        typer.Option(
            "--calls", help="With --plan: show the recorded NumPy calls of each kernel, with shapes."
        ),
    ] = False,
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """Show a config, a run, a checkpoint, a data set or a picture.

    Shows the network of a config layer by layer, how a training run went, the classes and images of a data set, or
    what the network would see of a picture.
    """
    from cnncli.training.choose import REFERENCE
    from cnncli.training.lookup import is_image_of_set, kind_of

    name = target or REFERENCE
    refuse_addresses([name])
    kind = kind_of(name, runs_dir)
    if save is not None and kind not in ("dataset", "picture"):
        raise UsageError(f"--save draws a data set or a picture, and {name} is {_a(kind)}")
    if save is not None:
        from cnncli.data.load import files_of
        from cnncli.storage import refuse_to_overwrite

        refuse_to_overwrite(
            save, [Path(name)] if kind == "picture" else files_of(name, data_dir or Path("data"))
        )
    if plan and kind != "config":
        raise UsageError(f"--plan shows the plan of a config, and {name} is {_a(kind)}")
    if calls and not plan:
        raise UsageError("--calls adds to --plan", f"write: cnn inspect {name} --plan --calls")
    if plan:
        from cnncli.cli.inspect_plan import show_plan

        show_plan(name, data_dir, calls=calls, as_json=json)
    elif kind == "config":
        from cnncli.cli.inspect_network import show_config

        show_config(name, data_dir, as_json=json)
    elif kind == "run":
        from cnncli.cli.inspect_network import show_run

        show_run(name, runs_dir, as_json=json)
    elif kind == "runs":
        from cnncli.cli.inspect_network import show_runs

        show_runs(Path(name), as_json=json)
    elif kind == "checkpoint":
        from cnncli.cli.inspect_network import show_checkpoint

        show_checkpoint(Path(name), as_json=json)
    elif kind == "model":
        from cnncli.cli.inspect_network import show_model

        show_model(name, runs_dir, as_json=json)
    elif kind == "dataset":
        from cnncli.cli.inspect_images import show_dataset

        show_dataset(name, data_dir or Path("data"), save, as_json=json)
    elif is_image_of_set(name):
        from cnncli.cli.inspect_images import show_image

        show_image(name, data_dir or Path("data"), save, save_scale, as_json=json)
    else:
        from cnncli.cli.inspect_images import show_picture

        show_picture(name, save, save_scale, as_json=json)


def _a(kind: str) -> str:
    """Return the name of a kind with its article."""
    return "a folder of runs" if kind == "runs" else f"a {kind}"
