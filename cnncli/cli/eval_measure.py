"""Measures trained networks for `cnn eval`: which weights, which images, and where the result is kept."""

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cnncli.cli.console import note
from cnncli.cli.progress import counting
from cnncli.data.dataset import Dataset, Split
from cnncli.data.load import load_dataset
from cnncli.engine import compile
from cnncli.errors import CheckpointError, DataError, StorageError, UsageError
from cnncli.runs import find_run
from cnncli.training.evaluate import Evaluation, evaluate
from cnncli.training.model import Model, load_model
from cnncli.training.prepare import select_split
from cnncli.training.results import evaluation_document, write_evaluation

SplitName = Literal["test", "val", "train"]

BATCH = 1000


@dataclass(frozen=True)
class Measured:
    """What was found.

    Attributes:
        evaluation: the figures.
        document: the same as JSON.
        images: what was measured on.
        classes: the names of the classes.
        folder: where a single run keeps it; None for an ensemble and for a checkpoint outside a run.
    """

    evaluation: Evaluation
    document: dict[str, Any]
    images: Split
    classes: tuple[str, ...]
    folder: Path | None

    def write(self, *, plots: bool) -> None:
        """Keep it in the run's folder; one that cannot be written is worth a warning, not the result."""
        if self.folder is None:
            return
        try:
            files = write_evaluation(
                self.folder, self.document, self.evaluation, self.images, self.classes, plots=plots
            )
            note("wrote " + ", ".join(str(file) for file in files))
        except StorageError as error:
            note(f"warning: the result is not kept, because {error.message}")


def measure(
    names: Sequence[str],
    runs_dir: Path,
    split: SplitName,
    *,
    dataset: str | None,
    checkpoint: Literal["best", "last"],
    data_dir: Path | None,
) -> Measured:
    """Measure a run, or several as an ensemble.

    Args:
        names: runs, or checkpoint files.
        runs_dir: where names are looked up.
        split: which images.
        dataset: a set; None for the one it was trained on.
        checkpoint: which weights of each run.
        data_dir: where data sets live; None for where they were in training.

    Raises:
        UsageError: the members of an ensemble do not agree on what they are to be measured on.
        RunError, DataError: a run or the set is missing, broken, or does not fit the other.
    """
    models, folders = [], []
    for name in names:
        source = Path(name) if Path(name).is_file() else find_run(name, runs_dir, needs=["checkpoint"])
        models.append(load_model(source, checkpoint))
        folders.append(None if isinstance(source, Path) else source.eval_dir)
    own = _same(models, "dataset", "--dataset says which to use") if dataset is None else None
    chosen = own or dataset or ""
    whole = load_dataset(chosen, data_dir or _data_config(models[0]).get("dir", "data"))
    for model in models:
        _check_fit(model, whole)
    images = _images(models, whole, split, own=chosen == models[0].meta.get("dataset"))
    evaluation = _evaluate(models, images)
    used = "+".join(dict.fromkeys(model.checkpoint for model in models))
    document = evaluation_document(
        evaluation,
        run="+".join(model.name for model in models),
        checkpoint=used,
        dataset=whole.name,
        split=split,
        classes=whole.classes,
    )
    folder = folders[0] if len(models) == 1 else None
    if folder is not None:
        apart = [chosen] if chosen != models[0].meta.get("dataset") else []
        apart += [used] if used != "best" else []
        folder = folder.joinpath(*(re.sub(r"[^\w.-]+", "-", part).strip("-.") or "set" for part in apart))
    return Measured(evaluation, document, images, whole.classes, folder)


def _evaluate(models: Sequence[Model], images: Split) -> Evaluation:
    with ExitStack() as stack:
        on_batch = stack.enter_context(counting("evaluating"))
        executors = [stack.enter_context(compile(model.network, batch_size=BATCH)) for model in models]
        return evaluate(
            executors,
            images.images,
            images.labels,
            batch_size=BATCH,
            normalize=[model.normalize for model in models],
            on_batch=on_batch,
        )


def _images(models: Sequence[Model], whole: Dataset, split: SplitName, *, own: bool) -> Split:
    """Return the images of a split, as the trainings of the models had it."""
    if split == "test":
        return whole.test
    if not own:
        if split == "val":
            raise UsageError(
                f"the val images were held out of {models[0].meta.get('dataset')}, not of {whole.name}",
                "use --split test or train with another set",
            )
        return whole.train
    seed = _same(models, "seed", "their validation images differ: use --split test")
    data = _data_config(models[0])
    if any(_data_config(model).get("validation") != data.get("validation") for model in models):
        raise UsageError("the runs held out different images", "use --split test")
    return select_split(
        whole, split, seed=seed, validation=data.get("validation", 0), limit=data.get("limit")
    )


def _same(models: Sequence[Model], field: str, hint: str) -> Any:
    """Return what all models have in one field of their checkpoints."""
    values = [model.meta.get(field) for model in models]
    if any(value != values[0] for value in values):
        different = ", ".join(f"{model.name}: {value}" for model, value in zip(models, values, strict=True))
        raise UsageError(f"the runs do not have the same {field} ({different})", hint)
    if values[0] is None:
        raise CheckpointError(f"{models[0].path} does not say its {field}", hint)
    return values[0]


def _data_config(model: Model) -> dict[str, Any]:
    config = model.meta.get("config")
    data = config.get("data") if isinstance(config, dict) else None
    return data if isinstance(data, dict) else {}


def _check_fit(model: Model, dataset: Dataset) -> None:
    if model.network.input_shape != dataset.input_shape:
        raise DataError(
            f"{model.name} takes images of {model.network.input_shape}, and those of {dataset.name} are "
            f"{dataset.input_shape}"
        )
    if len(model.classes) != len(dataset.classes):
        raise DataError(
            f"{model.name} tells {len(model.classes)} classes apart, and {dataset.name} has "
            f"{len(dataset.classes)}"
        )
    if model.classes != dataset.classes:
        note(f"warning: {model.name} was trained on other classes: {', '.join(model.classes)}")
