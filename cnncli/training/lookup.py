"""Finds what a user names: a trained model, pictures to read, or whatever `cnn inspect` is to show."""

import glob
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cnncli.data.dataset import FOLDER_PREFIX, SPLIT_NAMES, SYNTHETIC, Dataset
from cnncli.errors import PictureError, UsageError
from cnncli.names import did_you_mean, matching
from cnncli.runs import BUNDLED, Run, find_run, latest_run, list_runs
from cnncli.training.bundled import BUNDLED_PATH, bundled_path
from cnncli.training.model import Model, load_model
from cnncli.training.predict import LabeledImage, Source

if TYPE_CHECKING:
    from cnncli.training.preparation import Prepare

Kind = Literal["config", "run", "runs", "model", "checkpoint", "dataset", "picture"]

PartName = Literal["train", "test", "all"]
"""Images of a set: those of a split, or all. Of a folder without a split for the test, "all" are in order."""

FindSet = Callable[[str, PartName], Dataset]
"""Returns a data set by its name, at least with the images that are asked for."""

_IMAGE_OF_SET = re.compile(r"(?P<set>.+?)(?::(?P<part>train|test|all))?:(?P<index>[0-9]{1,9})")


def find_model(text: str | None, runs_dir: str | Path = "runs") -> Model:
    """Load the trained network that a user means.

    Args:
        text: a run or a checkpoint file, as for `run_or_file`; None for the latest finished run, or the bundled model
            if no run is finished.
        runs_dir: where names of runs are looked up.

    Raises:
        RunError: there is no such run, or it has no checkpoint.
        CheckpointError: the checkpoint is damaged.
    """
    if text is not None:
        return load_model(run_or_file(text, runs_dir))
    latest = latest_run(runs_dir)
    finished = latest is not None and latest.status() == "done" and not latest.missing(["checkpoint"])
    return load_model(latest if latest and finished else BUNDLED_PATH)


def run_or_file(text: str, runs_dir: str | Path = "runs") -> Run | Path:
    """Return the run that a user means, as `find_run` does, or the path of a checkpoint file.

    "bundled" is the checkpoint of the model that ships with the package.

    Raises:
        RunError: there is no such run, or it has no checkpoint.
    """
    if bundled := bundled_path(text, runs_dir):
        return bundled
    return Path(text) if Path(text).is_file() else find_run(text, runs_dir, needs=["checkpoint"])


def find_pictures(
    names: Sequence[str],
    read_stdin: Callable[[], bytes],
    find_set: FindSet | None = None,
    notify: Callable[[str], None] = lambda line: None,
) -> list[Source]:
    """Return the pictures behind files, folders, patterns, "-", and images of data sets, in that order.

    A folder stands for all pictures in it and its subfolders, by their file endings. Hidden files are left out.

    Args:
        names: as on a command line.
        read_stdin: called for "-"; returns the content of a picture.
        find_set: called once for each part of a data set of which an image is named, as in `find_image`.
        notify: called with a sentence about the files of a folder that are left out, for each reason.

    Raises:
        PictureError: a folder or a pattern without a picture, or an image that a set does not have.
    """
    find_set = cache(find_set or load_part)
    found: list[Source] = []
    for name in names:
        path = Path(name)
        if name == "-":
            found.append(("stdin", read_stdin()))
        elif path.is_dir():
            found += _pictures_in(path, notify)
        elif not path.exists() and glob.has_magic(name):
            matches = sorted(Path(match) for match in glob.glob(name, recursive=True))
            if not matches:
                raise PictureError(f"no file matches {name}")
            found += [match for match in matches if match.is_file()]
        elif is_image_of_set(name):
            found.append(find_image(name, find_set))
        else:
            found.append(path)
    return found


def is_image_of_set(name: str) -> bool:
    """Return whether a name has the form SET:INDEX or SET:PART:INDEX, there may be such a set, and no such file."""
    parts = _IMAGE_OF_SET.fullmatch(name)
    if parts is None or Path(name).exists() or _own_folder(name).exists():
        return False
    from cnncli.data.registry import DATASETS  # after the check: a prediction starts faster without it

    return parts["set"] in (*DATASETS, SYNTHETIC) or _own_folder(parts["set"]).exists()


def find_image(name: str, find_set: FindSet | None = None) -> LabeledImage:
    """Return an image of a data set.

    Args:
        name: "mnist:2462" for a test image, "mnist:train:7" for a training image, "folder:new:all:3" for one of all;
            they count from 0.
        find_set: returns a set; `load_part` by default.

    Raises:
        PictureError: the set has no such image.
        UsageError, DataError: there is no such set, or it cannot be read.
    """
    parts = _IMAGE_OF_SET.fullmatch(name)
    if parts is None:
        raise UsageError(f"{name} names no image of a data set", "write SET:INDEX, such as mnist:2462")
    part: PartName = parts["part"] or "test"  # type: ignore[assignment]
    dataset, index = (find_set or load_part)(parts["set"], part), int(parts["index"])
    split = {"train": dataset.train, "test": dataset.test, "all": dataset.all_images}[part]
    if index >= len(split):
        which = "image" if part == "all" else f"{part} image"
        raise PictureError(
            f"{parts['set']} has no {which} {index}: there are {len(split):,}, counted from 0",
            f"all images, whatever their part, are {parts['set']}:all:INDEX" if part == "test" else None,
        )
    return LabeledImage(name, split.images[index], dataset.classes[int(split.labels[index])])


def load_set_for(
    model: Model,
    name: str,
    part: PartName = "test",
    *,
    prepare: "Prepare" = "auto",
    data_dir: str | Path | None = None,
) -> Dataset:
    """Load a data set in the form in which a model takes it: its pictures have the size and colors of the training.

    Args:
        model: from `load_model`.
        name: of the set.
        part: the images that are needed.
        prepare: how the pictures of a folder become images, as for `measure_runs`.
        data_dir: where data sets are; None for where they were in training.
    """
    from cnncli.data.load import has_pictures
    from cnncli.training.measured_set import find_sets, load_measured_set

    sets = find_sets(model, name, joined=False, data_dir=data_dir)
    if has_pictures(sets.found[0].name):
        return load_measured_set(sets, model, prepare, draw_test=part != "all")[0]
    return load_part(sets.found[0].name, part, sets.found[0].data_dir)


def load_part(name: str, part: PartName, data_dir: str | Path = "data", *, as_shown: bool = False) -> Dataset:
    """Load a data set, at least with the images that are needed.

    Args:
        name: of the set.
        part: the images that are needed.
        data_dir: where the published sets are.
        as_shown: load the pictures of a folder to look at them, as `load_dataset` does with `size=None`.
    """
    from cnncli.data.load import load_dataset

    return load_dataset(
        name,
        data_dir,
        splits=SPLIT_NAMES if part == "all" else [part],
        size=None if as_shown else "auto",
        colour=None if as_shown else "auto",
        draw_test=part != "all",
    )


def _own_folder(name: str) -> Path:
    return Path(name.removeprefix(FOLDER_PREFIX)).expanduser()


def kind_of(name: str, runs_dir: Path) -> Kind:
    """Return what a name stands for; a file's ending and the names of data sets are looked at first.

    Raises:
        UsageError: it stands for nothing.
        DataError: it is a file of data that is not read.
    """
    # not needed for a prediction, which starts faster without them
    from cnncli.checkpoint import is_checkpoint
    from cnncli.data.registry import DATASETS

    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return "config"
    if is_image_of_set(name):
        return "picture"
    if name in (*DATASETS, SYNTHETIC) or name.startswith(FOLDER_PREFIX):
        return "dataset"
    if name == BUNDLED:
        return "model"
    if name == "latest" or any((folder / "run.json").is_file() for folder in (path, runs_dir / name)):
        return "run"
    if path.is_file():
        if is_checkpoint(path):
            return "checkpoint"
        return "dataset" if _holds_data(path) else "picture"
    if path.resolve() == runs_dir.resolve() and not any(path.glob("[!.]*")):
        return "runs"  # for the first run to come
    if path.is_dir():
        return "runs" if list_runs(path) else "dataset"
    from cnncli.config.files import list_configs

    configs = list_configs()
    if f"{name}.yaml" in configs:
        return "config"
    runs = [run.path.name for run in list_runs(runs_dir)]
    if matching(name, runs):
        return "run"
    known = {*DATASETS, SYNTHETIC, *runs, *configs}
    raise UsageError(f"{name} is no config, run, data set or picture", did_you_mean(name, sorted(known)))


def holds_images(path: Path) -> bool:
    """Return whether a file holds arrays of images, and is no picture."""
    from cnncli.pictures.formats import reads_suffix

    if reads_suffix(path.suffix.lower()) or not path.is_file():
        return False
    from cnncli.data.readers.kinds import ARRAYS, kind_of_file

    return kind_of_file(path) in ARRAYS


def _holds_data(path: Path) -> bool:
    """Return whether a file is a data set, or of a form that is known to be one and not read."""
    from cnncli.pictures.formats import reads_suffix

    if reads_suffix(path.suffix.lower()):
        return False
    from cnncli.data.readers.kinds import kind_of_file
    from cnncli.data.readers.unread import name_data_file

    kind = kind_of_file(path)
    return kind != "unknown" or name_data_file(path, kind) is not None


def _pictures_in(folder: Path, notify: Callable[[str], None]) -> list[Path]:
    from cnncli.data.readers.layout import HIDDEN, NOT_A_PICTURE, SYSTEM, describe_left_out
    from cnncli.pictures.formats import SUFFIXES, reads_suffix, why_unread

    inside: list[Path] = []
    left_out: dict[str, list[Path]] = {}
    for file in sorted(folder.rglob("*")):
        parts, suffix = file.relative_to(folder).parts, file.suffix.lower()
        if any(part.lower() in SYSTEM or part.startswith("._") for part in parts) or not file.is_file():
            continue
        if any(part.startswith(".") for part in parts):
            if suffix in SUFFIXES:
                left_out.setdefault(HIDDEN, []).append(file)
        elif reads_suffix(suffix):
            inside.append(file)
        else:
            left_out.setdefault(why_unread(suffix) or NOT_A_PICTURE, []).append(file)
    for note in describe_left_out(left_out, folder):
        notify(f"{folder}: {note}")
    if not inside:
        raise PictureError(f"there is no picture in {folder}", f"known endings: {' '.join(sorted(SUFFIXES))}")
    return inside
