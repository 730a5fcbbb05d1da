"""Loads a trained network from a checkpoint alone, without a config."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cnncli.checkpoint import Checkpoint, load_checkpoint
from cnncli.data.dataset import SetEntry
from cnncli.errors import CheckpointError, ModelError, RunError, UsageError
from cnncli.nn.build import build_network
from cnncli.nn.layers import LAYERS
from cnncli.nn.network import Network
from cnncli.optim.averaging import averaged_weights
from cnncli.runs import Run, find_run
from cnncli.training.bundled import BUNDLED_PATH, bundled_path
from cnncli.training.calibration import Calibration, read_calibration
from cnncli.training.preparation import Preparation, read_preparation
from cnncli.types import MeanStd, Shape

Spec = list[tuple[str, dict[str, Any]]]


@dataclass(frozen=True)
class Model:
    """A network with its weights, and what is needed to use it.

    Attributes:
        network: with the trained weights, the averaged ones when the run kept an average.
        classes: the name of each output.
        normalize: the mean and standard deviation that its inputs are normalized by, or None.
        name: the run's name, or the file's.
        path: the checkpoint.
        checkpoint: "best" or "last"; for another file its name without .npz. The bundled model has the best weights.
        meta: the checkpoint's JSON part: config, dataset, seed, best epoch, ...
    """

    network: Network
    classes: tuple[str, ...]
    normalize: MeanStd | None
    name: str
    path: Path
    checkpoint: str
    meta: dict[str, Any]

    def __repr__(self) -> str:
        names = ", ".join(self.classes[:10]) + (", ..." if len(self.classes) > 10 else "")
        what = f"{self.checkpoint} checkpoint, {len(self.classes)} classes: {names}"
        return f"Model({self.name!r}, {what})\n{self.network!r}"

    @property
    def data_config(self) -> dict[str, Any]:
        """The section `data` of the config that it was trained with; empty if the checkpoint has none."""
        config = self.meta.get("config")
        data = config.get("data") if isinstance(config, dict) else None
        return data if isinstance(data, dict) else {}

    @property
    def sets(self) -> tuple[SetEntry, ...]:
        """The sets that it was trained on; empty if the checkpoint names none."""
        dataset = self.data_config.get("dataset", self.meta.get("dataset"))
        if isinstance(dataset, list):
            from cnncli.data.mixture import to_entries

            try:
                return tuple(to_entries(dataset))
            except UsageError as error:
                raise CheckpointError(
                    f"{self.path} has data sets of another form: {error.message}"
                ) from error
        return (SetEntry(dataset),) if isinstance(dataset, str) else ()

    @property
    def has_list_of_sets(self) -> bool:
        """Whether its config names a list of sets, so that each has its own limit, checksum and test images."""
        return isinstance(self.data_config.get("dataset"), list)

    @property
    def preparation(self) -> Preparation:
        """How the pictures of its training were prepared."""
        return read_preparation(self.meta, self.network.input_shape)

    @property
    def calibration(self) -> Calibration:
        """How its outputs become probabilities."""
        return read_calibration(self.meta)

    @property
    def is_bundled(self) -> bool:
        """Whether it is the model that ships with the package."""
        return self.path == BUNDLED_PATH


def load_model(
    source: Run | str | Path,
    checkpoint: Literal["best", "last"] = "best",
    *,
    runs_dir: str | Path = "runs",
) -> Model:
    """Load a trained network.

    Args:
        source: a run, its folder, a checkpoint file, or a name as for `find_run`: "run-3", the beginning of one name
            only, or "latest". "bundled" is the model that ships with the package.
        checkpoint: which one of a run; "best" falls back to the last one while there is no best one yet.
        runs_dir: where names are looked up.

    Raises:
        RunError: the folder has no checkpoint.
        CheckpointError: the file is damaged, or its network does not fit its arrays.

    Example:
        >>> model = load_model("runs/run-3")
        >>> model.network.predict(np.zeros((8, 1, 28, 28), np.float32)).shape
        (8, 10)
    """
    if isinstance(source, str) and (bundled := bundled_path(source, runs_dir)):
        source = bundled
    elif isinstance(source, str) and not Path(source).is_file() and not source.endswith(".npz"):
        source = find_run(source, runs_dir, needs=["checkpoint"])
    path = _find_checkpoint(source, checkpoint)
    saved = load_checkpoint(path)
    meta = saved.meta
    is_file = not isinstance(source, Run) and path == Path(source)
    if checkpoint == "best" and path.name == "last.npz" and not is_file and meta.get("best") is not None:
        raise RunError(
            f"{path.with_name('best.npz')} is missing, the checkpoint of the best epoch",
            f"put the file back, or use the last checkpoint: {path}",
        )
    shape: Shape = tuple(meta["input_shape"])
    spec = _read_spec(meta.get("model"), path)
    try:
        _check_size(spec, shape, saved, path)
        network = build_network(spec, shape, rng=np.random.default_rng(0), dtype=_read_dtype(meta, path))
    except ModelError as error:
        raise CheckpointError(f"{path} describes a network that cannot be built: {error.message}") from error
    network.load_state(averaged_weights(saved.average) if saved.average else saved.network)
    classes = tuple(meta["classes"])
    if network.output_shape != (len(classes),):
        raise CheckpointError(
            f"{path} names {len(classes)} classes for the {network.output_shape[0]} outputs of its network"
        )
    try:
        read_preparation(meta, shape)
        read_calibration(meta)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error.message}") from error
    run = Run(path.parent.parent)  # it may have been renamed since
    named = run.name if path.parent == run.checkpoints and not run.missing(["run.json"]) else meta.get("run")
    return Model(
        network=network,
        classes=classes,
        normalize=_read_normalize(meta.get("normalize"), path),
        name=named if isinstance(named, str) else path.stem,
        path=path,
        checkpoint="best" if path == BUNDLED_PATH else path.stem,
        meta=meta,
    )


def _find_checkpoint(source: Run | str | Path, checkpoint: str) -> Path:
    run = source if isinstance(source, Run) else None
    if run is None:
        path = Path(source)  # type: ignore[arg-type]
        if not path.is_dir():
            return path
        run = Run(path)
    candidates = [run.last_path] if checkpoint == "last" else [run.best_path, run.last_path]
    for path in candidates:
        if path.is_file():
            return path
    raise RunError(
        f"{run.name} has no {'last' if checkpoint == 'last' else 'best'} checkpoint yet",
        hint="the first one is saved during the first epoch",
    )


def _read_spec(value: object, path: Path) -> Spec:
    """Check the form of a layer list from a file, and return it as pairs."""
    spec: Spec = []
    for entry in value if isinstance(value, Sequence) and not isinstance(value, str) else [None]:
        kind, options = (
            next(iter(entry.items())) if isinstance(entry, Mapping) and len(entry) == 1 else (0, 0)
        )
        if not isinstance(kind, str) or not isinstance(options, Mapping):
            raise CheckpointError(f"{path} has no list of the layers of its network")
        spec.append((kind, dict(options)))
    return spec


def _check_size(spec: Spec, shape: Shape, saved: Checkpoint, path: Path) -> None:
    """Refuse a layer list with more parameters than the file holds, before they are allocated."""
    held = sum(array.size for array in saved.network.values())
    declared, rng = 0, np.random.default_rng(0)
    for kind, options in spec:
        if kind not in LAYERS:
            return  # build_network reports it
        layer = LAYERS[kind].from_options(options, shape, rng=rng, dtype=np.float32)
        shape = layer.output_shape(shape)
        declared += sum(prod(parameter.shape) for parameter in layer.parameters.values())
        if declared > held:
            raise CheckpointError(
                f"{path} describes a network with more than the {held:,} parameters it holds"
            )


def _read_dtype(meta: Mapping[str, Any], path: Path) -> str:
    dtype = meta.get("dtype", "float32")
    if dtype not in ("float32", "float64"):
        raise CheckpointError(f"{path} has the unknown dtype {dtype!r}")
    return str(dtype)


def _read_normalize(value: object, path: Path) -> MeanStd | None:
    if value is None:
        return None
    pair = value if isinstance(value, list) else []
    is_pair = len(pair) == 2 and all(type(n) in (int, float) and math.isfinite(n) for n in pair)
    if not is_pair or pair[1] <= 0:
        raise CheckpointError(f"{path} has no mean and standard deviation, but {value!r:.80}")
    return float(pair[0]), float(pair[1])
