"""Reads the values of a run's config by their dotted keys, without the check of a config, which takes longer."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from cnncli.errors import RunError
from cnncli.storage import storing


def read_config_values(path: Path) -> dict[str, object]:
    """Return the values of a config.yaml: {"train.optimizer.lr": 0.001, "model.0.conv.filters": 32, ...}.

    An empty list or mapping is a value.

    Raises:
        RunError: the file is missing or is no config.
    """
    from cnncli.config.yaml_reader import MAX_BYTES, read_yaml
    from cnncli.errors import ConfigError

    with storing(path, "read"):
        try:
            with open(path, "rb") as file:
                text = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            raise RunError(f"{path} is missing") from None
    try:
        document, _ = read_yaml(text, lambda line: f"{path}:{line}")
    except ConfigError as error:
        raise RunError(error.message, error.hint) from None
    return dict(flat(document))


def flat(value: object, key: str = "") -> Iterator[tuple[str, object]]:
    """Yield every value inside mappings and lists with its dotted key.

    Example:
        >>> dict(flat({"seed": 1, "model": [{"linear": 10}]}))
        {'seed': 1, 'model.0.linear': 10}
    """
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from flat(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and value:
        for position, inner in enumerate(value):
            yield from flat(inner, f"{key}.{position}" if key else str(position))
    else:
        yield key, value
