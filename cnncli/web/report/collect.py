"""Gathers what a report shows: measures the run, and looks into its network.

Axis letters: N images, K classes, F filters, D features, C channels, H W pixels.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cnncli.batches.batches import to_input
from cnncli.inside.attribution import cam_layer, grad_cam
from cnncli.inside.filters import Filters, first_filters
from cnncli.inside.patches import Patches, exciting_patches
from cnncli.report.mistakes import Mistake, find_mistakes
from cnncli.runs import Row, Run
from cnncli.training.ensemble import BATCH, Measured, SplitName, measure_runs
from cnncli.training.look import images_to_look_at, input_batches
from cnncli.training.lookup import run_or_file
from cnncli.training.model import Model, load_model
from cnncli.types import FloatArray, IntArray
from cnncli.web.report.features import FeatureExecutor
from cnncli.web.report.plane import Projection, project

GALLERY = 24
"""Mistakes that are shown large, with where the network looked."""

FILTERS = 16
"""Filters of a later layer that are shown."""

PATCHES = 6
"""Patches of each of them."""


@dataclass(frozen=True)
class Findings:
    """What a report shows.

    Attributes:
        model: the network, with the checkpoint it comes from.
        run: its folder; None for the model that ships with the package and for a file outside a run.
        info: of run.json; empty without a run.
        config: the text of config.yaml; empty without a run.
        history: the rows of metrics.csv.
        measured: the evaluation and its images.
        mistakes: all of them, the most confident first.
        heat: (at most GALLERY, H, W), where the network looked when it made the first mistakes.
        heat_layer: the layer whose maps were weighed; None if it is the gradient of the input.
        projection: the features of the images in two dimensions.
        filters: of the first layer; None if they are no pictures.
        patches: of each later convolution.
        searched: the positions of the images in which the patches were looked for.
        asked: the set and the split that the user named.
    """

    model: Model
    run: Run | None
    info: dict[str, Any]
    config: str
    history: list[Row]
    measured: Measured
    mistakes: list[Mistake]
    heat: FloatArray
    heat_layer: str | None
    projection: Projection
    filters: Filters | None
    patches: dict[str, Patches]
    searched: IntArray
    asked: tuple[str, ...]


def collect(
    name: str,
    runs_dir: str | Path = "runs",
    split: SplitName | None = None,
    *,
    dataset: str | None = None,
    checkpoint: Literal["best", "last"] = "best",
    data_dir: str | Path | None = None,
    on_batch: Callable[[int, int], None] | None = None,
    notify: Callable[[str], None] = lambda text: None,
) -> Findings:
    """Measure a run and look into its network.

    Args:
        name: a run or a checkpoint file.
        runs_dir, split, dataset, checkpoint, data_dir, on_batch, notify: as for `measure_runs`.

    Raises:
        RunError, CheckpointError, DataError, UsageError: as `measure_runs` does.
    """
    source = run_or_file(name, runs_dir)
    opened: list[FeatureExecutor] = []

    def open_executor(model: Model) -> FeatureExecutor:
        opened.append(FeatureExecutor(model.network, BATCH))
        return opened[-1]

    measured = measure_runs(
        [name],
        runs_dir,
        split,
        dataset=dataset,
        checkpoint=checkpoint,
        data_dir=data_dir,
        on_batch=on_batch,
        notify=notify,
        open_executor=open_executor,
    )
    model = load_model(source, checkpoint)
    run = source if isinstance(source, Run) else _run_of(model)
    images, probabilities = measured.images, measured.evaluation.probabilities
    mistakes = find_mistakes(probabilities, images.labels, len(images))
    network = model.network

    shown = mistakes[:GALLERY]
    heat = np.empty((0, 1, 1), network.dtype)
    if shown:
        classes = np.array([each.predicted for each in shown])
        pixels = images.images[[each.index for each in shown]]
        heat = grad_cam(network, to_input(pixels, model.normalize, network.dtype), classes)
    searched = _some(images.labels, images_to_look_at(model), len(measured.classes))
    convolutions = [name for name in network.names if name.startswith("conv")][1:]
    batches = input_batches(model, images.images[searched])
    patches = exciting_patches(network, batches, top=PATCHES, layers=convolutions) if convolutions else {}
    return Findings(
        model=model,
        run=run,
        info=run.read_info() if run else {},
        config=_config_text(run),
        history=run.read_metrics() if run else [],
        measured=measured,
        mistakes=mistakes,
        heat=heat,
        heat_layer=cam_layer(network),
        projection=project(opened[0].features()),
        filters=first_filters(network),
        patches=patches,
        searched=searched,
        asked=tuple(part for part in (dataset, split) if part),
    )


def _run_of(model: Model) -> Run | None:
    """Return the run that a checkpoint file belongs to."""
    run = Run(model.path.absolute().parent.parent)
    return run if model.path.parent.name == run.checkpoints.name and not run.missing(["run.json"]) else None


def _config_text(run: Run | None) -> str:
    if run is None:
        return ""
    with suppress(OSError):
        return run.config_path.read_text(encoding="utf-8", errors="replace")
    return ""


def _some(labels: IntArray, count: int, classes: int) -> IntArray:
    """Return positions of images, every class as often as another as far as there are any, in ascending order."""
    each = -(-count // classes)
    chosen = [np.flatnonzero(labels == label)[:each] for label in range(classes)]
    found: IntArray = np.sort(np.concatenate(chosen))[:count]
    return found


def mistakes_by_cell(mistakes: Sequence[Mistake]) -> dict[tuple[int, int], list[Mistake]]:
    """Return the mistakes of each cell of the confusion matrix (true class, answer), the most confident first."""
    cells: dict[tuple[int, int], list[Mistake]] = {}
    for each in mistakes:
        cells.setdefault((each.label, each.predicted), []).append(each)
    return cells


def unfinished(run: Run | None) -> str | None:
    """Return a sentence if a run has not ended; its weights are those so far."""
    status = "done" if run is None else run.status()
    return None if run is None or status == "done" else f"{run.name} is not finished, its status is {status}"
