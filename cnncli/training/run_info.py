"""Says what run.json has of a training run: what is known before its first step, and how far it is."""

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from cnncli.runs import Run, machine_facts
from cnncli.training.prepare import Prepared, describe_sets
from cnncli.training.state import TrainingState


def info_at_start(
    run: Run, prepared: Prepared, state: TrainingState, *, resume: bool, extended: bool
) -> dict[str, Any]:
    """Return all fields of run.json before the first step of a training run or of its resume.

    What an earlier part of the run has written stays, such as its command line.

    Args:
        run: its folder.
        prepared: its data and network.
        state: where it starts.
        resume: whether it goes on with an earlier part.
        extended: whether that had ended, so that it now gets more epochs.
    """
    config, info = prepared.config, run.read_info()
    if extended:
        extension = {"after_epoch": state.epoch - 1, "epochs": config.train.epochs}
        info["extensions"] = [*info.get("extensions", []), extension]
    if not resume:
        info["config"] = config.origin.source
    if resume and "command_line" in info:
        this_one = {"command_line": list(sys.argv), "started": datetime.now(UTC).isoformat()}
        info["resumes"] = [*info.get("resumes", []), {"from_step": state.global_step, **this_one}]
    if prepared.initial is not None:
        info["initial"] = asdict(prepared.initial)
    if prepared.teachers:
        info["teachers"] = [teacher._asdict() for teacher in prepared.teachers]
    first = {key: info[key] for key in ("command_line",) if key in info}
    return info | {
        "name": run.name,
        "status": "running",
        "error": None,
        "seed": config.seed,
        "dataset": config.data.set_title,
        **describe_sets(prepared),
        "data_path": prepared.data_path,
        "preparation": prepared.preparation.to_json(),
        "epochs": config.train.epochs,
        "parameters": prepared.network.get_num_parameters(),
        "train_images": prepared.batches.count - prepared.outliers,
        "outliers": prepared.outliers,
        "frozen": config.train.freeze,
        "validation_images": len(prepared.validation),
        "data_notes": prepared.dataset.notes,
        "left_out": prepared.dataset.left_out,
        "test_images": len(prepared.dataset.test),
        "classes": len(prepared.dataset.classes),
        **machine_facts(),
        **first,
        **progress(state, saved_steps=state.global_step),
    }


def progress(state: TrainingState, *, saved_steps: int) -> dict[str, object]:
    """Return the fields of run.json that change during a training run.

    Args:
        state: where it is.
        saved_steps: how many steps its last checkpoint has.
    """
    return {
        "epochs_done": state.epoch - 1,
        "steps_done": state.global_step,
        "saved_steps": saved_steps,
        "best_epoch": state.best_epoch,
        "val_accuracy": state.best_accuracy,
        "val_loss": state.best_loss,
        "seconds": round(state.elapsed, 3),
        "images_per_second": state.images_per_second and round(state.images_per_second, 1),
    }
