"""Saves a training run in checkpoints, and restores it when the config and the data are the same."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnncli.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from cnncli.errors import CheckpointError, ConfigError, RunError, UsageError
from cnncli.runs import Run
from cnncli.training.calibration import Calibration
from cnncli.training.prepare import Prepared, describe_sets
from cnncli.training.state import TrainingState

if TYPE_CHECKING:
    from cnncli.config.schema import Config
    from cnncli.config.sections import TrainConfig

CHANGEABLE = (
    "train.epochs",
    "train.patience",
    "train.save_every",
    "train.eval_batch_size",
    "data.dir",
    "engine.kind",
    "engine.workers",
    "engine.start_method",
)
"""The keys that a resume may change: how long, how often saved, where the data is, how the network is computed."""


def save_last(run: Run, prepared: Prepared, state: TrainingState) -> None:
    """Write last.npz with all that a resume needs.

    Raises:
        StorageError: it cannot be written; the earlier file is unchanged.
    """
    average = prepared.average.state_dict() if prepared.average else {}
    arrays = Checkpoint(
        network=prepared.network.state(),
        optimizer=prepared.optimizer.state_dict(),
        average=average,
        meta=_meta(run, prepared, state),
    )
    save_checkpoint(run.last_path, arrays)


def save_best(run: Run, prepared: Prepared, state: TrainingState, calibration: Calibration) -> None:
    """Write best.npz with the weights that were validated: the averaged ones when there is an average.

    Args:
        run: its folder.
        prepared: with the network.
        state: at the end of the epoch.
        calibration: fitted on the validation images.

    Raises:
        StorageError: it cannot be written; the earlier file is unchanged.
    """
    if prepared.average is None:
        weights = prepared.network.state()
    else:
        with prepared.average.applied(prepared.network):
            weights = prepared.network.state()
    meta = {**_meta(run, prepared, state), "calibration": asdict(calibration)}
    save_checkpoint(run.best_path, Checkpoint(weights, meta=meta))


def check_resumable(run: Run) -> None:
    """Refuse to start a run again from epoch 1 if it has saved a checkpoint that is no longer there.

    Raises:
        RunError: last.npz is missing, and run.json or metrics.csv says that there was one.
    """
    if run.last_path.exists():
        return
    info, rows = run.read_info(), run.read_metrics()
    # The row of epoch 1 is written just before the first last.npz, so a kill may leave one row without a checkpoint.
    if info.get("saved_steps", info.get("epochs_done")) or len(rows) > 1:
        done = max(len(rows), int(info.get("epochs_done") or 0))
        raise _missing(run, run.last_path, f"{run.name} has done {done} epochs")


def restore(run: Run, prepared: Prepared) -> TrainingState:
    """Restore the state and the arrays in last.npz; return the state at the start if the run has not saved any.

    Raises:
        CheckpointError: a checkpoint is damaged or does not fit.
        RunError: a file of the run is missing or older than another, or the config or the data is not what the run
            started with.
    """
    if not run.last_path.exists():
        check_resumable(run)
        return TrainingState()  # the run was stopped before its first checkpoint
    saved = load_checkpoint(run.last_path)
    training = saved.meta.get("training")
    if not isinstance(training, dict):
        raise CheckpointError(f"{run.last_path} has no state to resume from", "train a new run")
    _check_same_config(run, saved.meta["config"], prepared.config)
    if training.pop("data_checksum", None) != prepared.data_checksum:
        raise RunError(
            f"the training and validation images are not those that {run.name} was started with",
            hint="restore the old data set, or train a new run",
        )
    if training.pop("teachers", []) != [teacher.sha256 for teacher in prepared.teachers]:
        raise RunError(
            f"the teachers of {run.name} are not those that it was started with",
            hint="restore their checkpoints, or train a new run",
        )
    try:
        state = TrainingState.from_json({**training, "history": saved.meta.get("history", [])})
    except TypeError as error:
        raise CheckpointError(
            f"{run.last_path} has a state that this version does not know: {error}"
        ) from error
    _check_best(run, state)
    _restore_history(run, state)
    prepared.network.load_state(saved.network)
    prepared.optimizer.load_state_dict(saved.optimizer)
    if prepared.average is not None:
        prepared.average.load_state_dict(saved.average)
    return state


def check_something_left(run: Run, state: TrainingState, settings: "TrainConfig", was_done: bool) -> None:
    """Refuse a resume that has nothing to do; the hint explains how to train further.

    A run that was trained but not evaluated (`was_done` is false) still has its final evaluation to do.

    Raises:
        RunError: the run is finished, or stopped early.
        UsageError: it has done more epochs than it is asked for.
    """
    done = state.epoch - 1
    if settings.epochs < done:
        raise UsageError(
            f"{run.name} has done {done} epochs, more than the {settings.epochs} asked for",
            hint=f"ask for more in all: `train.epochs={done + 10}`",
            run=run.path,
        )
    if not was_done or not state.finished(settings.epochs, settings.patience):
        return
    if state.epoch <= settings.epochs:
        raise RunError(
            f"{run.name} stopped early after epoch {done}: none was better for {state.waited} epochs",
            hint=f"allow it more: `train.patience={2 * state.waited}`",
            run=run.path,
        )
    raise RunError(
        f"{run.name} is finished: {done} of {settings.epochs} epochs are done",
        hint=f"train it for longer: `train.epochs={2 * done}`",
        run=run.path,
    )


def _check_best(run: Run, state: TrainingState) -> None:
    """Refuse a best.npz that is missing or is not of the best epoch; a kill may leave one of the epoch after it."""
    if state.best_epoch is None:
        return
    if not run.best_path.exists():
        raise _missing(run, run.best_path, f"the best epoch of {run.name} is epoch {state.best_epoch}")
    found = load_checkpoint(run.best_path).meta.get("best") or {}
    if found != state.best() and not found.get("epoch", 0) > state.best_epoch:
        raise RunError(
            f"{run.best_path} has the weights of epoch {found.get('epoch', 'none')}, "
            f"and the best epoch of {run.name} is epoch {state.best_epoch}",
            f"put the right file back, or train a new run from {run.config_path}",
        )


def _restore_history(run: Run, state: TrainingState) -> None:
    """Add the earlier epochs to a long history: the checkpoint has its end, metrics.csv all of it."""
    rows, done = run.read_metrics(), state.epoch - 1
    if len(rows) > done + 1:  # a kill leaves one row more than the checkpoint has epochs
        raise RunError(
            f"{run.last_path} is from epoch {done}, and metrics.csv has {len(rows)} epochs",
            "put the newer checkpoint back; or, to train the other epochs again, remove their rows from metrics.csv",
        )
    first_epoch = state.history[0]["epoch"] if state.history else 1
    earlier = [dict(row) for row in rows if row["epoch"] < first_epoch]
    if len(earlier) < first_epoch - 1:
        raise RunError(
            f"{run.metrics_path} lacks epochs, and the checkpoint has those from {first_epoch} on only",
            "put the file back, or train a new run",
        )
    state.history[:0] = earlier


def _missing(run: Run, path: Path, why: str) -> RunError:
    return RunError(
        f"{path} is missing, and {why}: it cannot go on",
        f"put the file back, or train a new run from {run.config_path}",
    )


def _meta(run: Run, prepared: Prepared, state: TrainingState) -> dict[str, Any]:
    """Return the JSON part of a checkpoint; with the arrays it is all that predict and eval need."""
    config = prepared.config
    training = state.to_json()
    history = training.pop("history")
    return {
        "config": config.to_dict(),
        "model": prepared.network.spec(),
        "input_shape": list(prepared.network.input_shape),
        "classes": list(prepared.dataset.classes),
        "dataset": config.data.set_title,
        "normalize": prepared.normalize,
        "preparation": prepared.preparation.to_json(),
        "dtype": str(prepared.network.dtype),
        "run": run.name,
        "seed": config.seed,
        "epoch": state.epoch,
        "step": state.step,
        "global_step": state.global_step,
        "best": state.best(),
        "history": history,
        "training": {
            **training,
            "data_checksum": prepared.data_checksum,
            "teachers": [teacher.sha256 for teacher in prepared.teachers],
        },
        **describe_sets(prepared),
    }


def _check_same_config(run: Run, saved: Any, config: "Config") -> None:
    """Refuse a config that differs in a key outside CHANGEABLE: the result would match neither config."""
    from cnncli.config.schema import Config

    with suppress(ConfigError):  # fill in what an older version did not have
        saved = Config.from_data(saved, config.origin).to_dict()
    old, new = _flat(_as_json(saved)), _flat(_as_json(config.to_dict()))
    if old.get("engine.shards") == "auto":  # the run used the plain executor, which has no shards
        new["engine.shards"] = "auto"
    for key in sorted(old | new):
        if old.get(key) != new.get(key) and not key.startswith(CHANGEABLE):
            raise RunError(
                f"{run.name} was started with {key} = {_value(old, key)}; "
                f"a resume cannot change it to {_value(new, key)}",
                hint="train a new run with the changed config",
            )


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _value(flat: Mapping[str, Any], key: str) -> str:
    """Return what a config has under a key, or its default."""
    return str(flat[key]) if key in flat else "its default"


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Turn nested mappings into {"train.optimizer.lr": 0.001, ...}; lists stay as they are."""
    if not isinstance(value, Mapping):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, entry in value.items():
        flat |= _flat(entry, f"{prefix}.{key}" if prefix else str(key))
    return flat
