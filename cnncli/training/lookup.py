"""Finds what a user names: a trained model, pictures to read, or whatever `cnn inspect` is to show."""

import glob
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from cnncli.config.files import list_configs
from cnncli.data.dataset import FOLDER_PREFIX, SYNTHETIC
from cnncli.errors import PictureError, RunError, UsageError
from cnncli.names import did_you_mean, matching
from cnncli.runs import Run, find_run, latest_finished, list_runs
from cnncli.training.model import Model, load_model
from cnncli.training.predict import Source

Kind = Literal["config", "run", "dataset", "picture"]


def find_model(text: str | None, runs_dir: str | Path = "runs") -> Model:
    """Load the trained network that a user means.

    Args:
        text: a run or a checkpoint file, as for `run_or_file`; None for the latest finished run.
        runs_dir: where names of runs are looked up.

    Raises:
        RunError: there is no such run, or it has no checkpoint.
        CheckpointError: the checkpoint is damaged.
    """
    source = latest_finished(runs_dir) if text is None else run_or_file(text, runs_dir)
    if source is None:
        raise RunError(
            f"there is no finished run in {runs_dir}", "train one with `train_run`, or name one with `run`"
        )
    return load_model(source)


def run_or_file(text: str, runs_dir: str | Path = "runs") -> Run | Path:
    """Return the run that a user means, as `find_run` does, or the path of a checkpoint file.

    Raises:
        RunError: there is no such run, or it has no checkpoint.
    """
    return Path(text) if Path(text).is_file() else find_run(text, runs_dir, needs=["checkpoint"])


def find_pictures(names: Sequence[str], read_stdin: Callable[[], bytes]) -> list[Source]:
    """Return the pictures behind files, folders, patterns and "-", in that order.

    A folder stands for all pictures in it and its subfolders, by their file endings. Hidden ones are left out.

    Args:
        names: as on a command line.
        read_stdin: called for "-"; returns the content of a picture.

    Raises:
        PictureError: a folder or a pattern without a picture.
    """
    found: list[Source] = []
    for name in names:
        path = Path(name)
        if name == "-":
            found.append(("stdin", read_stdin()))
        elif path.is_dir():
            found += _pictures_in(path)
        elif not path.exists() and glob.has_magic(name):
            matches = sorted(Path(match) for match in glob.glob(name, recursive=True))
            if not matches:
                raise PictureError(f"no file matches {name}")
            found += [match for match in matches if match.is_file()]
        else:
            found.append(path)
    return found


def kind_of(name: str, runs_dir: Path) -> Kind:
    """Return what a name stands for; a file's ending and the names of data sets are looked at first.

    Raises:
        UsageError: it stands for nothing.
    """
    from cnncli.data.registry import DATASETS  # not needed for a prediction, which starts faster without it

    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return "config"
    if name in (*DATASETS, SYNTHETIC) or name.startswith(FOLDER_PREFIX):
        return "dataset"
    if name == "latest" or any((folder / "run.json").is_file() for folder in (path, runs_dir / name)):
        return "run"
    if path.is_file():
        return "picture"
    if path.is_dir():
        return "dataset"
    configs = list_configs()
    if f"{name}.yaml" in configs:
        return "config"
    runs = [run.path.name for run in list_runs(runs_dir)]
    if matching(name, runs):
        return "run"
    known = {*DATASETS, SYNTHETIC, *runs, *configs}
    raise UsageError(f"{name} is no config, run, data set or picture", did_you_mean(name, sorted(known)))


def _pictures_in(folder: Path) -> list[Path]:
    from cnncli.data.readers.layout import SUFFIXES, SYSTEM, UNREAD_SUFFIXES

    pictures = SUFFIXES | UNREAD_SUFFIXES  # a photo in a format that is not read must not go unnoticed

    def is_shown(file: Path) -> bool:
        parts = file.relative_to(folder).parts
        hidden = any(part.startswith(".") or part.lower() in SYSTEM for part in parts)
        return not hidden and file.suffix.lower() in pictures and file.is_file()

    inside = sorted(file for file in folder.rglob("*") if is_shown(file))
    if not inside:
        raise PictureError(f"there is no picture in {folder}", f"known endings: {' '.join(sorted(SUFFIXES))}")
    return inside
