"""Evaluates trained runs on labeled images: one alone, or several whose probabilities are averaged."""

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from cnncli.data.dataset import Dataset, Split
from cnncli.data.load import find_again, has_pictures, load_dataset
from cnncli.engine import compile
from cnncli.errors import CheckpointError, DataError, RunError, StorageError, UsageError
from cnncli.runs import Run
from cnncli.training.evaluate import Evaluation, evaluate
from cnncli.training.lookup import run_or_file
from cnncli.training.model import Model, load_model
from cnncli.training.prepare import data_checksum, select_split, split_indices
from cnncli.training.results import evaluation_document, write_evaluation

SplitName = Literal["test", "val", "train"]

BATCH = 1000


@dataclass(frozen=True)
class Measured:
    """The result of measuring one run or several.

    Attributes:
        evaluation: the metrics.
        document: the same as JSON.
        images: the images that were measured on.
        classes: the names of the classes.
        folder: where a single run keeps its evaluations; None for several, and for a checkpoint outside a run.
    """

    evaluation: Evaluation
    document: dict[str, Any]
    images: Split
    classes: tuple[str, ...]
    folder: Path | None

    def write(self, *, plots: bool) -> list[Path]:
        """Write the result into the run's folder and return the files; without a folder, write nothing.

        Raises:
            StorageError: a file cannot be written.
        """
        if self.folder is None:
            return []
        return write_evaluation(
            self.folder, self.document, self.evaluation, self.images, self.classes, plots=plots
        )


def measure_runs(
    names: Sequence[str],
    runs_dir: str | Path = "runs",
    split: SplitName = "test",
    *,
    dataset: str | None = None,
    checkpoint: Literal["best", "last"] = "best",
    data_dir: str | Path | None = None,
    on_batch: Callable[[int, int], None] | None = None,
    notify: Callable[[str], None] = lambda text: None,
) -> Measured:
    """Measure a run, or several of which the probabilities are averaged.

    Args:
        names: runs, as for `find_run`, or checkpoint files.
        runs_dir: where names of runs are looked up.
        split: which images.
        dataset: a data set; None for the one the runs were trained on.
        checkpoint: which weights of each run.
        data_dir: where data sets are; None for where they were in training.
        on_batch: called with (images done, images in all) before the first batch and after each.
        notify: called with what is worth knowing about another set, and with a warning where the classes have other
            names than in training.

    Raises:
        UsageError: the runs do not agree on the images to be measured on.
        RunError, DataError: a run or the set is missing or damaged, or they do not fit each other.
    """
    sources = [run_or_file(name, runs_dir) for name in names]
    models = [load_model(source, checkpoint) for source in sources]
    own = _same(models, "dataset", "name one with `dataset`") if dataset is None else None
    chosen = own or dataset or ""
    is_own = chosen == models[0].meta.get("dataset")
    folder = models[0].data_config.get("dir", "data")
    if is_own:
        found, folder = find_again(chosen, folder, _recorded_path(models[0]), moved_to=data_dir)
        whole = _load(found, folder, models[0])
        whole = whole if found == chosen else replace(whole, name=chosen)
    else:
        whole = _load(chosen, data_dir or folder, models[0])
    for text in () if is_own else whole.notes:
        notify(text)
    for model in models:
        _check_shape(model, whole)
    whole = whole.with_classes(models[0].classes)
    for model in models:
        _check_classes(model, whole, notify)
    images = _images(models, whole, split, is_own=is_own)
    evaluation = _evaluate(models, images, on_batch)
    checkpoints = "+".join(dict.fromkeys(model.checkpoint for model in models))
    document = evaluation_document(
        evaluation,
        run="+".join(model.name for model in models),
        checkpoint=checkpoints,
        dataset=whole.name,
        split=split,
        classes=whole.classes,
        labels=images.labels,
    )
    results = None
    if isinstance(sources[0], Run) and len(sources) == 1:
        parts = [] if is_own else [chosen]
        parts += [] if checkpoints == "best" else [checkpoints]
        results = sources[0].eval_dir.joinpath(
            *(re.sub(r"[^\w.-]+", "-", part).strip("-.") or "set" for part in parts)
        )
    return Measured(evaluation, document, images, whole.classes, results)


def _recorded_path(model: Model) -> str | None:
    """Return where the set was in training, from the run.json beside the checkpoint; None if it does not say so."""
    with suppress(RunError, StorageError):
        path = Run(model.path.absolute().parent.parent).read_info().get("data_path")
        return path if isinstance(path, str) else None
    return None


def _load(name: str, data_dir: str | Path, model: Model) -> Dataset:
    """Load a set for a network: pictures get the size and colors of its input."""
    if len(model.network.input_shape) != 3 or not has_pictures(name):
        return load_dataset(name, data_dir)
    channels, height, width = model.network.input_shape
    return load_dataset(name, data_dir, size=(height, width), colour=channels == 3)


def _evaluate(
    models: Sequence[Model], images: Split, on_batch: Callable[[int, int], None] | None
) -> Evaluation:
    with ExitStack() as stack:
        executors = [stack.enter_context(compile(model.network, batch_size=BATCH)) for model in models]
        return evaluate(
            executors,
            images.images,
            images.labels,
            batch_size=BATCH,
            normalize=[model.normalize for model in models],
            on_batch=on_batch,
        )


def _images(models: Sequence[Model], whole: Dataset, split: SplitName, *, is_own: bool) -> Split:
    """Return the images of a split, the same as when the models were trained."""
    if split == "test" and not (is_own and whole.test_drawn):
        return whole.test
    if not is_own:
        if split == "val":
            raise UsageError(
                f"the val images were held out of {models[0].meta.get('dataset')}, not of {whole.name}",
                "use `split='test'` or `split='train'` with another set",
            )
        return whole.train
    for model in models:
        _check_unchanged(model, whole)
    if split == "test":
        return whole.test
    seed = _same(models, "seed", "their validation images differ: use `split='test'`")
    data = models[0].data_config
    for key in ("validation",) if split == "val" else ("validation", "limit"):
        if any(model.data_config.get(key) != data.get(key) for model in models):
            raise UsageError("the runs held out different images", "use `split='test'`")
    return select_split(
        whole, split, seed=seed, validation=data.get("validation", 0), limit=data.get("limit")
    )


def _check_unchanged(model: Model, dataset: Dataset) -> None:
    """Refuse a set with other images than in training: its splits are drawn again, over images that were trained on.

    Raises:
        DataError: the images have changed, or the checkpoint does not say which they were.
    """
    data, training = model.data_config, model.meta.get("training")
    expected = training.get("data_checksum") if isinstance(training, dict) else None
    found, seed = None, model.meta.get("seed", 0)
    with suppress(UsageError):  # too few images are left for the validation part
        train, _ = split_indices(
            dataset, seed=seed, validation=data.get("validation", 0), limit=data.get("limit")
        )
        found = data_checksum(dataset, train)
    if found is None or found != expected:
        raise DataError(
            f"the images of {dataset.name} are not those that {model.name} was trained on, so a part of it may hold "
            "images that were trained on",
            "put the old images back, or measure on a data set of new images: `dataset`",
        )


def _same(models: Sequence[Model], field: str, hint: str) -> Any:
    """Return the value that all models have in one field of their checkpoints."""
    values = [model.meta.get(field) for model in models]
    if any(value != values[0] for value in values):
        different = ", ".join(f"{model.name}: {value}" for model, value in zip(models, values, strict=True))
        raise UsageError(f"the runs do not have the same {field} ({different})", hint)
    if values[0] is None:
        raise CheckpointError(f"{models[0].path} does not say its {field}", hint)
    return values[0]


def _check_shape(model: Model, dataset: Dataset) -> None:
    if model.network.input_shape != dataset.input_shape:
        raise DataError(
            f"{model.name} takes images of {model.network.input_shape}, and those of {dataset.name} are "
            f"{dataset.input_shape}"
        )


def _check_classes(model: Model, dataset: Dataset, notify: Callable[[str], None]) -> None:
    if len(model.classes) != len(dataset.classes):
        raise DataError(
            f"{model.name} has {len(model.classes)} classes, and {dataset.name} has {len(dataset.classes)}"
        )
    if model.classes != dataset.classes:
        notify(f"warning: {model.name} was trained on other classes: {', '.join(model.classes)}")
