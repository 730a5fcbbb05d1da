"""The model that ships with the package: its file and its name.

`make_bundled` makes the file.
"""

from pathlib import Path

from cnncli.errors import RunError
from cnncli.runs import BUNDLED

BUNDLED_PATH = Path(__file__).parents[1] / f"{BUNDLED}.npz"
"""The checkpoint of the model."""


def bundled_path(text: str | Path, runs_dir: str | Path = "runs") -> Path | None:
    """Return the checkpoint of the bundled model if a user means that model by a name, else None.

    Raises:
        RunError: there is a run of that name, too.
    """
    if text != BUNDLED:
        return None
    if (Path(runs_dir) / BUNDLED).is_dir():
        folder = Path(runs_dir) / BUNDLED
        raise RunError(
            f"'{BUNDLED}' is the model that ships with cnncli, and there is a run {folder}, too",
            f"name the run by its path, {folder}{'' if folder.is_absolute() else ' with ./ before it'}; or rename it",
        )
    return BUNDLED_PATH
