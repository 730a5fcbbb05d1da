"""`cnn inspect`: explains a config, a run, a data set or a picture without training anything."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cnncli.cli.options import DataDir, Json, RunsDir, complete_config
from cnncli.errors import UsageError, did_you_mean

EXAMPLES = """
[bold]Examples[/]
  cnn inspect                            the reference network, layer by layer
  cnn inspect mnist.yaml                 the network of a config
  cnn inspect mnist.yaml --plan          how the engine runs it, and where the time goes
  cnn inspect mnist.yaml --plan --calls  the same, with every recorded NumPy call
  cnn inspect run-3                      what became of a run
  cnn inspect mnist --save sheet.png     counts for each class, and a sheet of samples
  cnn inspect digit.png                  what the network would see
"""

DEFAULT_CONFIG = "mnist.yaml"

Kind = Literal["config", "run", "dataset", "picture"]


def inspect(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[TARGET]",
            help="A config, a run, a data set or a picture [dim]\\[default: the reference config][/].",
            autocompletion=complete_config,
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            "--save", metavar="FILE", help="A PNG for the samples of a set, or for what a picture becomes."
        ),
    ] = None,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="The kernels that run a config's training step, each with its time."),
    ] = False,
    calls: Annotated[
        bool,
        typer.Option("--calls", help="With --plan: the recorded NumPy calls of each kernel, with shapes."),
    ] = False,
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """Explain a config, a run, a data set or a picture.

    A network layer by layer; what became of a run; what is in a set; a picture as the network would see it.
    """
    name = target or DEFAULT_CONFIG
    kind = kind_of(name, runs_dir)
    if save is not None and kind not in ("dataset", "picture"):
        raise UsageError(f"--save draws a data set or a picture, and {name} is a {kind}")
    if plan and kind != "config":
        raise UsageError(f"--plan explains a config, and {name} is a {kind}")
    if calls and not plan:
        raise UsageError("--calls adds to --plan", f"write: cnn inspect {name} --plan --calls")
    if kind in ("config", "run"):
        from cnncli.cli import inspect_network

        if plan:
            from cnncli.cli import inspect_plan

            inspect_plan.show_plan(name, data_dir, calls=calls, as_json=json)
        elif kind == "config":
            inspect_network.show_config(name, data_dir, as_json=json)
        else:
            inspect_network.show_run(name, runs_dir, as_json=json)
    else:
        from cnncli.cli import inspect_images

        if kind == "dataset":
            inspect_images.show_dataset(name, data_dir or Path("data"), save, as_json=json)
        else:
            inspect_images.show_picture(name, save, as_json=json)


def kind_of(name: str, runs_dir: Path) -> Kind:
    """Return what a name stands for; a file's ending and a data set's name are looked at first.

    Raises:
        UsageError: it stands for nothing.
    """
    from cnncli.data.registry import DATASETS

    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return "config"
    if name in (*DATASETS, "synthetic") or name.startswith("folder:"):
        return "dataset"
    if name == "latest" or (path / "run.json").is_file() or (runs_dir / name / "run.json").is_file():
        return "run"
    if path.is_file():
        return "picture"
    if path.is_dir():
        return "dataset"
    if any((folder / f"{name}.yaml").is_file() for folder in _config_folders()):
        return "config"
    runs = _names(runs_dir)
    if any(run.startswith(name) for run in runs):
        return "run"
    known = [
        *DATASETS,
        "synthetic",
        *runs,
        *(file.name for folder in _config_folders() for file in folder.glob("*.yaml")),
    ]
    raise UsageError(f"{name} is no config, run, data set or picture", did_you_mean(name, sorted(set(known))))


def _config_folders() -> list[Path]:
    from cnncli.config.files import shipped_configs

    return [Path("configs"), shipped_configs()]


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []
