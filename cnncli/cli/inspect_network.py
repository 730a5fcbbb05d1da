"""Prints what `cnn inspect` shows of a config and a checkpoint, their network, and of runs, how their training went."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnncli.cli.console import (
    four_decimals,
    note,
    out,
    percent,
    print_facts,
    print_json,
    print_text,
    speed_text,
)
from cnncli.cli.layer_table import layer_table, layers_json, memory
from cnncli.cli.options import data_dir_override
from cnncli.cli.tables import Column, fitted_table
from cnncli.config.load import load_config
from cnncli.runs import Row, Run, find_run, list_runs
from cnncli.training.lookup import find_model
from cnncli.training.model import load_model
from cnncli.training.prepare import build_untrained

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from cnncli.nn.network import Network

LAST_EPOCHS = 15


def show_config(name: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Print the layers of the network that a config describes."""
    config = load_config(name, data_dir_override(data_dir))
    note(f"config {config.origin.source}")
    network = build_untrained(config)
    if as_json:
        print_json({"kind": "config", "config": config.origin.source, **layers_json(network)})
        return
    console = out()
    console.print(layer_table(network, console, details=True))
    size = network.get_num_parameters() * network.dtype.itemsize
    console.print(f"weights {memory(size)}, for images of {config.data.set_title}")
    print_text(console, f"train it: cnn train --config {name}")


def show_run(name: str, runs_dir: Path, inside: Mapping[str, Any], *, as_json: bool) -> None:
    """Print how a run went: its status, its best epoch, its epochs, and the files in its folder.

    Args:
        name: of the run.
        runs_dir: where names are looked up.
        inside: what the JSON document has of the inside of its network.
        as_json: print one JSON document instead.
    """
    run = find_run(name, runs_dir, needs=["config.yaml"])
    info, status, rows = run.read_info(), run.status(), run.read_metrics()
    network = _network_of(run)
    files = sorted(path for path in run.path.rglob("*") if path.is_file() and path.name[0] != ".")
    if as_json:
        document = {"kind": "run", "run": run.name, "path": run.path, **info, "status": status}
        print_json({**document, "history": rows, "files": files, **layers_json(network), **inside})
        return
    console = out()
    print_facts(_run_lines(run, info, status), 14)
    console.print()
    console.print(layer_table(network, console))
    if rows:
        console.print()
        console.print(epoch_table(rows, info.get("best_epoch"), console))
    console.print()
    for path in files:
        print_text(console, f"{path}  {memory(path.stat().st_size)}")


def _network_of(run: Run) -> "Network":
    """Return the network of a run: of its checkpoint, which needs no data, or before the first one of its config."""
    if run.missing(["checkpoint"]):
        return build_untrained(load_config(run.config_path))
    return load_model(run).network


def show_runs(folder: Path, *, as_json: bool) -> None:
    """Print which runs a folder holds, the latest last, and how to look at one."""
    runs = [
        (run, run.read_info() if run.info_path.is_file() else {}, run.status()) for run in list_runs(folder)
    ]
    if as_json:
        kept = ("dataset", "epochs_done", "epochs", "val_accuracy", "test_accuracy")
        listed = [
            {"run": run.name, "path": run.path, "status": status, **{key: info.get(key) for key in kept}}
            for run, info, status in runs
        ]
        print_json({"kind": "runs", "path": folder, "runs": listed})
        return
    console = out()
    if not runs:
        print_text(console, f"{folder} is for training runs, and holds none yet; train one: cnn train")
        return
    columns = [
        Column("run", [run.name for run, _, _ in runs]),
        Column("status", [status for _, _, status in runs], 2),
        Column("data", [str(info.get("dataset", "unknown")) for _, info, _ in runs], 1, are_names=True),
        Column(
            "epochs>",
            [f"{info.get('epochs_done', 0)} of {info.get('epochs', '?')}" for _, info, _ in runs],
            3,
        ),
        Column("validation>", [percent(info.get("val_accuracy")) for _, info, _ in runs]),
        Column("test>", [percent(info.get("test_accuracy")) for _, info, _ in runs]),
    ]
    console.print(fitted_table(columns, console, title=f"training runs in {folder}"))
    print_text(console, f"look at one: cnn inspect {shlex.quote(str(runs[-1][0].path))}")


def show_checkpoint(path: Path, inside: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what a checkpoint file holds: when it was saved, its network, and the run that it belongs to.

    `inside` is as for `show_run`.
    """
    model = load_model(path)
    meta, size, run = model.meta, path.stat().st_size, Run(path.parent.parent)
    in_run = path.parent == run.checkpoints and not run.missing(["run.json"])
    if as_json:
        kept = (
            "format_version",
            "dataset",
            "epoch",
            "step",
            "best",
            "seed",
            "classes",
            "normalize",
            "sha256",
        )
        facts = {key: meta.get(key) for key in kept}
        document = {"kind": "checkpoint", "run": model.name if in_run else None, "path": path, "bytes": size}
        print_json({**document, **facts, **layers_json(model.network), **inside})
        return
    names = ", ".join(model.classes[:10]) + (", ..." if len(model.classes) > 10 else "")
    lines = [
        ("checkpoint", f"{path}, {memory(size)}, format version {meta['format_version']}"),
        ("data", str(meta.get("dataset", "unknown"))),
        ("classes", f"{len(model.classes)}: {names}"),
    ]
    if "epoch" in meta:
        epoch, step = meta["epoch"], meta.get("step")
        lines.append(("saved", f"in epoch {epoch} after step {step}" if step else f"after epoch {epoch - 1}"))
    if best := meta.get("best"):
        lines.append(("best epoch", f"{best.get('epoch')}, validation {percent(best.get('val_accuracy'))}"))
    lines.append(("weights", f"sha256 {meta['sha256']}"))
    if in_run:
        lines.append(("run", f"{run.path}, {run.status()}; see it: cnn inspect {shlex.quote(str(run.path))}"))
    print_facts(lines, 14)
    console = out()
    console.print()
    console.print(layer_table(model.network, console, details=True))


def show_model(name: str, runs_dir: Path, inside: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the network of the bundled model, how it was made, and what was measured then.

    `inside` is as for `show_run`.
    """
    model = find_model(name, runs_dir)
    build, size = model.meta["build"], model.path.stat().st_size
    if as_json:
        kept = ("build", "calibration", "preparation", "normalize", "classes", "sha256", "config")
        facts = {key: model.meta.get(key) for key in kept}
        print_json(
            {
                "kind": "model",
                "model": model.name,
                "path": model.path,
                "bytes": size,
                **facts,
                **layers_json(model.network),
                **inside,
            }
        )
        return
    console, calibration = out(), model.calibration
    lines = [
        ("model", f"{model.name}, which ships with cnn"),
        ("file", f"{model.path}, {memory(size)}"),
        ("data", str(model.meta.get("dataset"))),
        ("command", build["command"]),
        ("version", build["version"]),
        ("best epoch", f"{build['best_epoch']} of {build['epochs']}"),
        ("validation", percent(build["validation_accuracy"])),
    ]
    for dataset, each in build["test"].items():
        lines.append(("test", f"{percent(each['accuracy'])} of {each['images']:,} images of {dataset}"))
    if calibration.temperature is not None:
        lines.append(("temperature", f"{calibration.temperature:g}"))
    if calibration.unknown_threshold is not None:
        lines.append(("unknown", f"evidence below {calibration.unknown_threshold:g}"))
    lines.append(("weights", f"sha256 {model.meta['sha256']}"))
    print_facts(lines, 14)
    console.print()
    console.print(layer_table(model.network, console, details=True))


def _run_lines(run: Run, info: dict[str, Any], status: str) -> Iterator[tuple[str, str]]:
    yield "run", str(run.path)
    yield "status", status
    if info.get("error"):
        yield "error", str(info["error"])
    if info.get("created"):
        yield "created", str(info["created"])[:19].replace("T", " ") + " UTC"
    yield "data", str(info.get("dataset", "unknown"))
    yield "epochs", f"{info.get('epochs_done', 0)} of {info.get('epochs', '?')}"
    if info.get("best_epoch"):
        yield "best epoch", str(info["best_epoch"])
        yield "validation", percent(info.get("val_accuracy"))
    if info.get("test_accuracy") is not None:
        yield "test", f"{percent(info['test_accuracy'])}, loss {four_decimals(info.get('test_loss'))}"
    for name, accuracy in info.get("other_tests", {}).items():
        yield "", f"{percent(accuracy)} of {name}"
    if info.get("seconds"):
        yield "speed", speed_text(info.get("images_per_second"), info["seconds"])
    if info.get("cpu_count"):
        cpus = f"{info.get('cpus_usable')} of {info['cpu_count']} CPUs"
        yield "machine", f"{cpus}, NumPy {info.get('numpy')}, {info.get('blas')}"
    if info.get("command_line"):
        yield "command", shlex.join(["cnn", *map(str, info["command_line"][1:])])
    if times := len(info.get("resumes", [])):
        yield "resumed", "once" if times == 1 else f"{times} times"


def epoch_table(rows: Sequence[Row], best_epoch: int | None, console: "Console") -> "Table":
    """Return the last epochs of a metrics.csv, and the best one wherever it is."""
    shown = [row for row in rows[:-LAST_EPOCHS] if row["epoch"] == best_epoch] + list(rows[-LAST_EPOCHS:])
    is_best = [row["epoch"] == best_epoch for row in shown]
    columns = [
        Column(
            "epoch", [f"{row['epoch']}{' best' * best}" for row, best in zip(shown, is_best, strict=True)]
        ),
        Column("train loss>", [four_decimals(row["train_loss"]) for row in shown], 2),
        Column("train acc>", [percent(row["train_accuracy"]) for row in shown], 1),
        Column("val loss>", [four_decimals(row["val_loss"]) for row in shown], 3),
        Column("val acc>", [percent(row["val_accuracy"]) for row in shown]),
        Column("lr>", ["-" if row["lr"] is None else f"{row['lr']:.2e}" for row in shown], 4),
    ]
    return fitted_table(columns, console, styles=["green" if best else None for best in is_best])
