"""`cnn inspect`: shows what is in a config, a run, a checkpoint, a data set or a picture, without training anything."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cnncli.cli.hints import refuse_addresses
from cnncli.cli.options import DataDir, Json, RunsDir, SaveScale, complete_config
from cnncli.errors import UsageError

if TYPE_CHECKING:
    from cnncli.training.lookup import Kind

EXAMPLES = """
[bold]Examples[/]
  cnn inspect                            the reference network, layer by layer
  cnn inspect mnist.yaml                 the network of a config
  cnn inspect mnist.yaml --plan          how the engine runs it, and where the time goes
  cnn inspect mnist.yaml --plan --calls  the same, with every recorded NumPy call
  cnn inspect run-3                      how a training run went, and what excites its filters
  cnn inspect run-3 digit.png            the maps of every layer, and where the network looked
  cnn inspect run-3 --layer conv2        more of one layer
  cnn inspect bundled digit.png --at 'conv1[3,14,10]'    which numbers made that value
  cnn inspect runs                       the training runs in a folder
  cnn inspect best.npz                   a checkpoint
  cnn inspect bundled                    the model that ships with cnn
  cnn inspect mnist --save sheet.png     counts for each class, and a sheet of samples
  cnn inspect digit.png                  what the network would see
  cnn inspect mnist:2462                 a test image of a data set
"""


TRAINED = ("run", "model", "checkpoint")
"""The kinds of targets that have a trained network."""


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
    image: Annotated[
        str | None,
        typer.Argument(
            metavar="IMAGE",
            help="A picture to look at with the network of a run, a checkpoint or `bundled`: a file, - for stdin, or"
            " SET:INDEX.",
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="LAYER[...]",
            help="Explain one value for IMAGE: conv1\\[channel,row,column] or linear1\\[number], from 0.",
        ),
    ] = None,
    digit: Annotated[
        int | None,
        typer.Option(
            "--digit",
            metavar="N",
            min=1,
            help="Which digit of IMAGE to look at. [dim]\\[default: the first][/]",
        ),
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(
            "--layer",
            metavar="NAME",
            help="Show this layer of a trained network only, and more of it; may be repeated.",
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            "--class",
            metavar="NAME",
            help="Show what speaks for this class. [dim]\\[default: the answer][/]",
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            "--save",
            metavar="FILE",
            help="Write a PNG: filters and patches of a network, what it does with IMAGE, samples of a data set, or"
            " the images that a picture becomes.",
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

    Of a trained network it draws the filters of the first layer, and the parts of the data that excite those of the
    others most. With IMAGE it shows the maps of every layer, and where the network looked.
    """
    from cnncli.training.choose import REFERENCE
    from cnncli.training.lookup import is_image_of_set, kind_of, run_or_file

    name = target or REFERENCE
    refuse_addresses([name, *([] if image is None else [image])])
    try:
        kind = kind_of(name, runs_dir)
    except UsageError:
        if image is not None:
            # before a picture only a trained network can be meant, so the error lists those
            run_or_file(name, runs_dir)
        raise
    _refuse_without_picture(name, kind, image, at, digit, label)
    if layers and kind not in TRAINED:
        raise UsageError(f"--layer is about a trained network, and {name} is {_a(kind)}")
    if save is not None:
        _refuse_to_save(name, kind, image, save, data_dir, runs_dir)
    if plan and kind != "config":
        raise UsageError(f"--plan shows the plan of a config, and {name} is {_a(kind)}")
    if calls and not plan:
        raise UsageError("--calls adds to --plan", f"write: cnn inspect {name} --plan --calls")
    if plan:
        from cnncli.cli.inspect_plan import show_plan

        show_plan(name, data_dir, calls=calls, as_json=json)
    elif image is not None:
        from cnncli.cli.inspect_inside import find_look, show_look, show_value

        if at is not None and save is not None:
            raise UsageError("--at prints one value, and --save draws all of them", "leave one out")
        look = find_look(name, image, runs_dir, data_dir, digit, label)
        if at is not None:
            show_value(look, at, as_json=json)
        else:
            show_look(look, save, layers or (), as_json=json)
    elif kind == "config":
        from cnncli.cli.inspect_network import show_config

        show_config(name, data_dir, as_json=json)
    elif kind in TRAINED:
        from cnncli.cli.inspect_inside import find_insides, print_insides
        from cnncli.cli.inspect_network import show_checkpoint, show_model, show_run

        insides = find_insides(name, runs_dir, data_dir, save, layers or ())
        inside = insides.to_json() if insides and json else {}
        if kind == "checkpoint":
            show_checkpoint(Path(name), inside, as_json=json)
        else:
            show = show_run if kind == "run" else show_model
            show(name, runs_dir, inside, as_json=json)
        if insides and not json:
            print_insides(insides, chosen=bool(layers))
    elif kind == "runs":
        from cnncli.cli.inspect_network import show_runs

        show_runs(Path(name), as_json=json)
    elif kind == "dataset":
        from cnncli.cli.inspect_images import show_dataset

        show_dataset(name, data_dir or Path("data"), save, as_json=json)
    elif is_image_of_set(name):
        from cnncli.cli.inspect_images import show_image

        show_image(name, data_dir or Path("data"), save, save_scale, as_json=json)
    else:
        from cnncli.cli.inspect_images import show_picture

        show_picture(name, save, save_scale, as_json=json)


def _refuse_without_picture(
    name: str, kind: "Kind", image: str | None, at: str | None, digit: int | None, label: str | None
) -> None:
    """Refuse a picture without a trained network, and options that need a picture.

    Raises:
        UsageError: says what is missing.
    """
    options = [("--at", at), ("--digit", digit), ("--class", label)]
    given = [option for option, value in options if value is not None]
    if image is None and given:
        raise UsageError(
            f"{given[0]} is about a picture that a network looks at",
            f"name both: cnn inspect RUN IMAGE {given[0]} ...",
        )
    if image is not None and kind not in TRAINED:
        swapped = kind == "picture"
        raise UsageError(
            f"a picture is looked at with a trained network, and {name} is {_a(kind)}",
            f"the network comes first: cnn inspect {image} {name}" if swapped else "cnn inspect RUN IMAGE",
        )


def _refuse_to_save(
    name: str, kind: "Kind", image: str | None, save: Path, data_dir: Path | None, runs_dir: Path
) -> None:
    """Refuse to draw what has no picture, and to write over what is read.

    Raises:
        UsageError: nothing is written.
    """
    from cnncli.storage import refuse_to_overwrite

    if kind not in ("dataset", "picture", *TRAINED):
        raise UsageError(f"--save draws a data set, a picture or a trained network, and {name} is {_a(kind)}")
    if kind in TRAINED:
        from cnncli.training.lookup import run_or_file

        read = [] if image is None else [Path(image)]
        found = run_or_file(name, runs_dir) if kind != "run" else None
        refuse_to_overwrite(save, [*read, *([found] if isinstance(found, Path) else [])])
        return
    from cnncli.data.load import files_of

    refuse_to_overwrite(save, [Path(name)] if kind == "picture" else files_of(name, data_dir or Path("data")))


def _a(kind: str) -> str:
    """Return the name of a kind with its article."""
    return "a folder of runs" if kind == "runs" else f"a {kind}"
