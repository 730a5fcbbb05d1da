"""Evaluates trained runs on labeled images: one alone, or several whose probabilities are averaged."""

import csv
import io
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from cnncli.batches.views import Views
from cnncli.config.list_entries import read_entry
from cnncli.data.dataset import Dataset, Split
from cnncli.data.load import is_own, own_folder
from cnncli.engine import compile
from cnncli.errors import CheckpointError, DataError, UsageError
from cnncli.runs import Run
from cnncli.training.evaluate import Evaluation, Forward, evaluate
from cnncli.training.lookup import run_or_file
from cnncli.training.measured_set import WARNING, differences, find_sets, is_same_set, load_measured_set
from cnncli.training.members import joined_name, refuse_twice
from cnncli.training.model import Model, load_model
from cnncli.training.preparation import Prepare
from cnncli.training.results import evaluation_document, folder_of_set, write_evaluation
from cnncli.training.selection import data_checksum, select_split, set_checksum, split_indices

SplitName = Literal["test", "val", "train"]

EvaluatedSplit = Literal["test", "val", "train", "all"]

BATCH = 1000

OpenExecutor = Callable[[Model], AbstractContextManager[Forward]]


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

    def to_csv(self) -> str:
        """Return a row for each image: its position, file and class, the answer, and all probabilities."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["index", "file", "true", "predicted", *(f"p({name})" for name in self.classes)])
        files = self.images.files or ("",) * len(self.images)
        answers, probabilities = self.evaluation.predictions.tolist(), self.evaluation.probabilities.tolist()
        rows = zip(files, self.images.labels.tolist(), answers, probabilities, strict=True)
        for index, (file, label, answer, p) in enumerate(rows):
            numbers = (f"{each:.6g}" for each in p)
            writer.writerow([index, file, self.classes[label], self.classes[answer], *numbers])
        return text.getvalue()

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


def sets_inside(name: str) -> list[str]:
    """Return the data sets in the folders of a folder, such as one for each corruption; none if it is a set itself."""
    from cnncli.data.readers.idx_set import find_own
    from cnncli.data.readers.kinds import ARRAYS
    from cnncli.data.readers.own_files import find_files

    folder = own_folder(name)
    if not is_own(name) or not folder.is_dir() or find_own(folder) or find_files(folder):
        return []
    inside = [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    found = [
        path for path in inside if find_own(path) or ((files := find_files(path)) and files.kind in ARRAYS)
    ]
    return list(map(str, found)) if len(found) > 1 else []


def measure_runs(
    names: Sequence[str],
    runs_dir: str | Path = "runs",
    split: SplitName | None = None,
    *,
    dataset: str | None = None,
    prepare: Prepare = "auto",
    checkpoint: Literal["best", "last"] = "best",
    data_dir: str | Path | None = None,
    views: int = 1,
    on_batch: Callable[[int, int], None] | None = None,
    notify: Callable[[str], None] = lambda text: None,
    open_executor: OpenExecutor = lambda model: compile(model.network, batch_size=BATCH, inference=True),
) -> Measured:
    """Measure a run, or several of which the probabilities are averaged.

    Args:
        names: runs, as for `find_run`, or checkpoint files.
        runs_dir: where names of runs are looked up.
        split: which images; None for the test images, or for all images of another set of the user's own.
        dataset: a data set; None for the one the runs were trained on.
        prepare: how the pictures of a folder become images: "digits", "as_is", or "auto" for what was done in training.
            For a network that reads digits in the form of MNIST, "auto" finds the digits of any other pictures.
        checkpoint: which weights of each run.
        data_dir: where data sets are; None for where they were in training.
        views: of each image, itself and copies changed as in the training of the run; their probabilities are averaged
            (test-time augmentation).
        on_batch: called with (images done, images in all) before the first batch and after each.
        notify: called with what is worth knowing about another set. A likely mistake starts with "warning: ". It is
            also in the document: classes or pixels unlike those of the training.
        open_executor: returns what runs the network of a model, for batches of at most BATCH images; it is closed at
            the end.

    Raises:
        UsageError: a run is named twice, or the runs do not agree on the images to be measured on.
        RunError, DataError: a run or the set is missing or damaged, or they do not fit each other.
    """
    sources = [run_or_file(name, runs_dir) for name in names]
    models = [load_model(source, checkpoint) for source in sources]
    refuse_twice(models)
    if dataset is None:
        _same(models, "dataset", "name one with `dataset`")
    several = models[0].has_list_of_sets
    joined = several and dataset is None and split in ("train", "val")
    sets = find_sets(models[0], dataset, joined=joined, data_dir=data_dir)
    own_set = sets.is_own
    part: EvaluatedSplit = split or ("test" if own_set or not is_own(sets.name) else "all")
    whole, notes = load_measured_set(sets, models[0], prepare, draw_test=part != "all")
    whole = replace(whole, name=sets.name)
    for model in models:
        _check_shape(model, whole)
    whole = whole.with_classes(models[0].classes)
    for model in models:
        notes += _check_classes(model, whole)
    if several and own_set and not joined and part != "test":
        raise UsageError(
            f"the {part} images of {models[0].name} are of {models[0].meta['dataset']} together",
            "leave `dataset` out, or use `split='test'`",
        )
    images = _images(models, whole, part, is_own=own_set)
    if not own_set:
        notes += [*whole.notes, *differences(models[0], whole.name, images)]
    if part == "all":
        notes += _describe_parts(whole)
    for text in notes:
        notify(text)
    evaluation = _evaluate(models, images, views, on_batch, open_executor)
    checkpoints = "+".join(dict.fromkeys(model.checkpoint for model in models))
    document = evaluation_document(
        evaluation,
        run=joined_name(models),
        checkpoint=checkpoints,
        dataset=whole.name,
        split=part,
        classes=whole.classes,
        images=images,
        warnings=[text.removeprefix(WARNING) for text in notes if text.startswith(WARNING)],
    )
    if views > 1:
        document["views"] = views
    results = None
    if isinstance(sources[0], Run) and len(sources) == 1:
        parts = [] if joined or (own_set and sets.entries[0] == models[0].sets[0]) else [sets.name]
        parts += [] if checkpoints == "best" else [checkpoints]
        parts += [] if views == 1 else [f"{views}-views"]
        results = sources[0].eval_dir
        for each in parts:
            results = folder_of_set(results, each)
    return Measured(evaluation, document, images, whole.classes, results)


def _evaluate(
    models: Sequence[Model],
    images: Split,
    views: int,
    on_batch: Callable[[int, int], None] | None,
    open_executor: OpenExecutor,
) -> Evaluation:
    with ExitStack() as stack:
        executors = [stack.enter_context(open_executor(model)) for model in models]
        return evaluate(
            executors,
            images.images,
            images.labels,
            batch_size=BATCH,
            normalize=[model.normalize for model in models],
            calibration=[model.calibration for model in models],
            views=[Views(views, augmentations_of(model)) for model in models],
            on_batch=on_batch,
        )


def augmentations_of(model: Model) -> list[tuple[str, dict[str, Any]]]:
    """Return the augmentations of the training of a model, as pairs (name, options)."""
    entries = [read_entry(each) for each in model.data_config.get("augment", [])]
    return [(entry.kind, dict(entry.options)) for entry in entries]


def _images(models: Sequence[Model], whole: Dataset, split: EvaluatedSplit, *, is_own: bool) -> Split:
    """Return the images of a split, the same as when the models were trained."""
    if split == "all":
        return whole.all_images
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
    for key in ("dataset", "validation") if split == "val" else ("dataset", "validation", "limit"):
        if any(model.data_config.get(key) != data.get(key) for model in models):
            raise UsageError("the runs held out different images", "use `split='test'`")
    return select_split(
        whole, split, seed=seed, validation=data.get("validation", 0), limit=data.get("limit")
    )


def _describe_parts(whole: Dataset) -> list[str]:
    """Return a sentence on the parts of a set of which all images are measured, if it has several."""
    parts = {"training": whole.train, "validation": whole.validation, "test": whole.test}
    counts = [f"{len(part):,} {name}" for name, part in parts.items() if part]
    return [f"all images of {whole.name} are measured: {', '.join(counts)}"] if len(counts) > 1 else []


def _check_unchanged(model: Model, dataset: Dataset) -> None:
    """Refuse a set with other images than in training: its splits are drawn again, over images that were trained on.

    Raises:
        DataError: the images have changed, or the checkpoint does not say which they were.
    """
    data, training = model.data_config, model.meta.get("training")
    expected = training.get("data_checksum") if isinstance(training, dict) else None
    found, seed = None, model.meta.get("seed", 0)
    if isinstance(recorded := model.meta.get("sets"), list) and not dataset.members:
        sums = [each.get("checksum") for each in recorded if is_same_set(dataset.name, each.get("name"))]
        found, expected = set_checksum(dataset), next(iter(sums), None)
    else:
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


def _check_classes(model: Model, dataset: Dataset) -> list[str]:
    """Return a warning if the classes have other names than in training."""
    if len(model.classes) != len(dataset.classes):
        raise DataError(
            f"{model.name} has {len(model.classes)} classes, and {dataset.name} has {len(dataset.classes)}"
        )
    if model.classes == dataset.classes:
        return []
    return [f"{WARNING}{model.name} was trained on other classes: {', '.join(model.classes)}"]
