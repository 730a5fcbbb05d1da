"""Loads a config: from the file a user names to a checked `Config`."""

from collections.abc import Iterable
from pathlib import Path

from cnncli.config.check import find_problems
from cnncli.config.errors import Origin
from cnncli.config.files import find_config
from cnncli.config.schema import Config
from cnncli.config.yaml_reader import MAX_BYTES, read_yaml
from cnncli.errors import ConfigError


def load_config(path_or_name: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Return the config in a file, changed by overrides.

    Args:
        path_or_name: a path, or a name that `find_config` finds.
        overrides: such as `["train.batch_size=256"]`; a later one wins.

    Raises:
        ConfigError: there is no such file, or its content is not a valid config.
    """
    path = find_config(path_or_name)
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    return parse_config(text, str(path), overrides)


def parse_config(text: str | bytes, source_name: str = "config", overrides: Iterable[str] = ()) -> Config:
    """Return the config in a text, changed by overrides.

    Args:
        text: YAML; bytes must be UTF-8.
        source_name: the name of the text in error messages.
        overrides: such as `["train.batch_size=256"]`; a later one wins.

    Raises:
        ConfigError: all that is wrong with it, each problem as `FILE:LINE: key: what was expected`.
    """
    data, lines = read_yaml(text, lambda line: f"{source_name}:{line}")
    origin = Origin(source_name, dict(lines))
    if not isinstance(data, dict | None):
        # the check refuses it by its line, and an override could only say that it finds no key in it
        overrides = ()
    return Config.from_data({} if data is None else data, origin, overrides, find_problems)
