"""Finds the config file a user means by a name."""

import errno
import os
from pathlib import Path

from cnncli.errors import ConfigError
from cnncli.names import did_you_mean


def find_config(name: str | Path) -> Path:
    """Return the file a name means: that path, else one in ./configs, else one that ships with the package.

    Raises:
        ConfigError: there is none; the hint names the nearest.
    """
    path = Path(name)
    shipped = shipped_configs()
    candidates = [path]
    if _is_too_long(path):
        raise ConfigError(f"{str(name)[:80]!r} is not a config: the name is too long for a file")
    if path.name == str(name):
        for folder in (Path("configs"), shipped):
            candidates += [folder / path, folder / f"{name}.yaml"]
    try:
        for candidate in candidates:
            if candidate.exists() and not candidate.is_dir():
                return candidate
        is_folder = path.is_dir()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{str(name)[:80]!r} is not a config: {error}") from None
    if is_folder:
        inside = path / "config.yaml"
        hint = f"did you mean '{inside}'?" if inside.is_file() else _for_data(path)
        raise ConfigError(f"{path} is a folder, not a config", hint)
    if str(name).startswith("folder:"):
        raise ConfigError(f"{name} is a data set, not a config", _for_data(str(name).removeprefix("folder:")))
    known = [config.removesuffix(".yaml") for config in list_configs()]
    raise ConfigError(f"there is no config {str(name)!r}", did_you_mean(path.stem, known))


def _for_data(folder: str | Path) -> str:
    """Return how to train on the pictures in a folder."""
    return f"a config trains on the pictures in it with `data.dataset=folder:{folder}`"


def _is_too_long(path: Path) -> bool:
    """Return whether no file can have this name; since Python 3.14, `exists` returns False for it."""
    try:
        os.stat(path)
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG
    except ValueError:  # a null character
        pass
    return False


def list_configs() -> list[str]:
    """Return the file names that can be given without a folder: those in ./configs and those that ship."""
    return sorted(
        {file.name for folder in (Path("configs"), shipped_configs()) for file in folder.glob("*.yaml")}
    )


def shipped_configs() -> Path:
    """Return the folder of configs that ship with the package: inside an installed one, beside a checkout."""
    package = Path(__file__).parents[1]
    bundled = package / "configs"
    return bundled if bundled.is_dir() else package.parent / "configs"
