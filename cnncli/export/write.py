"""Writes a trained network in a format: the file is checked by its own runtime before it appears under its name."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from cnncli.errors import CnnError, UsageError
from cnncli.export.formats import FORMATS, Format, find_format
from cnncli.export.images import logits_of
from cnncli.export.subject import ExportOptions, Subject
from cnncli.runs import Run
from cnncli.storage import make_folder, refuse_to_overwrite, storing, write_bytes_atomic
from cnncli.training.model import Model
from cnncli.types import FloatArray

CHECKED_IMAGES = 1000
"""The images that a written file and the network are compared on."""

FOLDER = "export"
"""The subfolder of a run that exported files go to."""


@dataclass(frozen=True)
class Comparison:
    """How far the answers of a file are from those of the network.

    Attributes:
        runtime: what ran the file.
        images: how many images went through both.
        origin: which they were.
        largest_difference: of all logits.
        equal_answers: the share of images with the same most probable class.
    """

    runtime: str
    images: int
    origin: str
    largest_difference: float
    equal_answers: float


@dataclass(frozen=True)
class Exported:
    """The files that were written, and what is known of them.

    Attributes:
        format: its name in the table.
        files: the main one first.
        bytes: their size in all.
        comparison: None if the runtime of the format is not installed.
        not_compared: why not; None if there is a comparison.
        facts: what else is worth knowing, such as {"ram_bytes": 20032}.
    """

    format: str
    files: tuple[Path, ...]
    bytes: int
    comparison: Comparison | None
    not_compared: str | None = None
    facts: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the entry of `cnn export --json`."""
        return {**asdict(self), "files": [str(file) for file in self.files]}


def export_model(
    model: Model,
    format: str,
    output: str | Path | None = None,
    *,
    options: ExportOptions | None = None,
    data_dir: str | Path | None = None,
) -> Exported:
    """Write a trained network in a format, and compare the file with the network on 1,000 images.

    Args:
        model: from `load_model`.
        format: a name in `FORMATS`, such as "onnx".
        output: the main file; None for the name of the model, in the folder `export` of its run or else in the
            working folder.
        options: what the format leaves open.
        data_dir: where data sets are; None for where they were in training. The images are test images of the set
            that the network was trained on, or drawn digits if that set is not there.

    Raises:
        UsageError: there is no such format, it does not take an option, or it cannot express a layer.
        CnnError: a package that it needs is not installed, or the answers of the file are other ones. Then no file
            is left behind.
        StorageError: the file cannot be written.

    Example:
        >>> from cnncli import load_model
        >>> export_model(load_model("runs/run-3"), "npz", "digits.npz").comparison.equal_answers
        1.0
    """
    chosen = find_format(format)
    options = options or ExportOptions()
    _check_options(format, chosen, options)
    main = default_output(model, chosen, options) if output is None else Path(output)
    stem = main.name.removesuffix(chosen.suffixes[0])
    targets = [main, *(main.with_name(stem + suffix) for suffix in chosen.suffixes[1:])]
    for target in targets:
        refuse_to_overwrite(target, [model.path])
    subject = Subject(model, stem, options, None if data_dir is None else Path(data_dir))
    contents = chosen.write(subject)
    comparison, reason = None, chosen.runtime_missing()
    if reason is None:
        comparison = _compare(chosen, subject, contents)
    if output is None:
        make_folder(main.parent)
    for target, suffix in zip(targets, chosen.suffixes, strict=True):
        write_bytes_atomic(target, contents[suffix])
    size = sum(map(len, contents.values()))
    return Exported(format, tuple(targets), size, comparison, reason, chosen.facts(contents))


def default_output(model: Model, format: Format, options: ExportOptions) -> Path:
    """Return where the main file goes if nobody says where: into the run's folder, else into the working folder."""
    run = Run(model.path.parent.parent)
    in_run = model.path.parent == run.checkpoints and not run.missing(["run.json"])
    other = f"-{model.checkpoint}" if in_run and model.checkpoint != "best" else ""
    standard = vars(ExportOptions())
    variant = "".join(f"-{value}" for name, value in vars(options).items() if value != standard[name])
    return (run.path / FOLDER if in_run else Path()) / f"{model.name}{other}{variant}{format.suffixes[0]}"


def _check_options(name: str, format: Format, options: ExportOptions) -> None:
    for option, default in asdict(ExportOptions()).items():
        value = getattr(options, option)
        if value != default and option not in format.options:
            takers = [other for other, each in FORMATS.items() if option in each.options]
            raise UsageError(
                f"the format {name} has no choice of `{option}`",
                f"the formats with this choice: {', '.join(takers)}",
            )


def _compare(format: Format, subject: Subject, contents: Any) -> Comparison:
    """Run images through the file and through the network.

    Raises:
        CnnError: the file cannot be loaded, or its answers are other ones.
    """
    images = subject.find_images(CHECKED_IMAGES, "test")
    expected = logits_of(subject.model.network, subject.model.normalize, images)
    with TemporaryDirectory(prefix="cnn-export-") as folder, storing(folder):
        for suffix, content in contents.items():
            (Path(folder) / f"{subject.name}{suffix}").write_bytes(content)
        main = Path(folder) / f"{subject.name}{format.suffixes[0]}"
        try:
            found = format.answers(main, subject, images)
        except Exception as error:
            raise CnnError(
                f"{format.runtime} cannot run what was written as {format.title}: {error}"
            ) from error
    difference = largest_difference(found, expected)
    equal = float((found.argmax(axis=1) == expected.argmax(axis=1)).mean())
    most = np.inf if format.rounds(subject.options) else format.tolerance
    if not difference <= most * max(1.0, float(np.abs(expected).max())):
        raise CnnError(
            f"{format.runtime} computes other logits than the network, by up to {difference:.2g} "
            f"on {len(expected):,} {images.origin}; nothing is written",
            "this is a bug of cnn, or of this version of the runtime: please report it",
        )
    return Comparison(format.runtime, len(expected), images.origin, difference, equal)


def largest_difference(found: FloatArray, expected: FloatArray) -> float:
    """Return the largest difference of two arrays of logits (N, K); NaN if one of them is not finite.

    Raises:
        ValueError: they have different shapes.
    """
    if found.shape != expected.shape:
        raise ValueError(f"it returns an array of shape {found.shape}, and {expected.shape} is right")
    return float(np.abs(found.astype(np.float64) - expected).max())
