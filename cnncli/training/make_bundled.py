"""Makes the file of the bundled model from a training run.

    cnn train bundled.yaml
    python -m cnncli.training.make_bundled latest

The second command copies the weights of the best epoch of a run into `cnncli/bundled.npz`, an ordinary checkpoint. It
adds how the file was made, and what was measured.
"""

import argparse
import shlex
from hashlib import sha256
from json import dumps
from pathlib import Path
from typing import Any

from cnncli._version import __version__
from cnncli.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from cnncli.errors import RunError
from cnncli.runs import BUNDLED, Run, find_run
from cnncli.training.bundled import BUNDLED_PATH
from cnncli.training.ensemble import measure_runs
from cnncli.training.model import load_model

MAX_BYTES = 400_000
"""A larger file is not shipped."""


PLACES = ("data-dir", "runs-dir")
"""Options with the name of a folder of one machine; they are left out of the command that is kept. The config is a file
in configs/, so that its name is enough."""


def make_bundled(
    run: Run,
    path: Path = BUNDLED_PATH,
    *,
    data_dir: str | Path | None = None,
) -> dict[str, Any]:
    """Write the checkpoint of the bundled model from a finished run, and return what it says about itself.

    The run is measured on the test images of each of its sets.

    Args:
        run: trained from configs/bundled.yaml.
        path: the file to write.
        data_dir: where the data sets are; None for where they were in training.

    Raises:
        RunError: the run is not finished, or its file is larger than MAX_BYTES.
        DataError: a set that it was trained on is missing.
    """
    info = run.read_info()
    if info.get("status") != "done":
        raise RunError(f"{run.name} is not finished", "resume it first")
    saved = load_checkpoint(run.best_path)
    measured = {
        entry.name: measure_runs(
            [str(run.path)], split="test", dataset=entry.name, data_dir=data_dir
        ).evaluation
        for entry in load_model(run).sets
    }
    meta = saved.meta
    meta["config"]["data"]["dir"] = "data"
    command: list[str] = []
    words = iter(str(word) for word in info.get("command_line", [])[1:])
    for word in words:
        option, equals, _ = word.lstrip("-").partition("=")
        if word.startswith("-") and option in PLACES:
            next(words if not equals else iter(()), None)
        else:
            command.append(Path(word).name if Path(word).is_absolute() else word)
    meta |= {
        "run": BUNDLED,
        "history": [],
        "build": {
            "version": __version__,
            "command": shlex.join(["cnn", *command]),
            "config_sha256": sha256(dumps(meta["config"], sort_keys=True).encode()).hexdigest(),
            "epochs": info["epochs_done"],
            "best_epoch": info["best_epoch"],
            "validation_accuracy": info["val_accuracy"],
            "test": {
                name: {"images": each.count, "accuracy": each.accuracy, "loss": each.loss}
                for name, each in measured.items()
            },
        },
    }
    size = sum(array.nbytes for array in saved.network.values()) + len(dumps(meta))
    if size > MAX_BYTES:
        raise RunError(f"{run.name} needs {size:,} bytes, and the bundled model has at most {MAX_BYTES:,}")
    save_checkpoint(path, Checkpoint(saved.network, meta=meta))
    return dict(meta["build"])


def main() -> None:
    """Make the file of the package from a run that is named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m cnncli.training.make_bundled", description=main.__doc__)
    parser.add_argument("run", help="a name in ./runs, a path, or latest")
    parser.add_argument(
        "data", nargs="?", help="where the data sets are now, if they moved since the training"
    )
    options = parser.parse_args()
    built = make_bundled(find_run(options.run), data_dir=options.data)
    print(dumps(built, indent=2))
    print(f"wrote {BUNDLED_PATH}, {BUNDLED_PATH.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
