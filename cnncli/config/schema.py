"""Says what a config may contain; a checked config is an immutable `Config`.

Only the form is checked here. The code that builds a layer, optimizer, schedule or augmentation checks its options,
so that adding one changes one place. `Config.model_error` adds file and line to the errors of that code.
"""

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, Field, PrivateAttr, ValidationError

from cnncli.config.errors import Origin, Problem, join_problems, to_problem
from cnncli.config.field_values import refuse_no_layers
from cnncli.config.list_entries import ListEntry, write_entry
from cnncli.config.overrides import apply_override
from cnncli.config.sections import DataConfig, EngineConfig, Entries, Section, TrainConfig
from cnncli.config.set_entries import write_set
from cnncli.config.values import KeyPath, is_list
from cnncli.config.yaml_reader import MAX_INTEGER
from cnncli.config.yaml_writer import write_yaml
from cnncli.data.dataset import SetEntry
from cnncli.errors import ConfigError, ModelError
from cnncli.options import MAIN_OPTION


class Config(Section):
    """A whole config, checked. Two configs with the same values are equal, wherever they were read from."""

    seed: int = Field(default=42, ge=0, le=MAX_INTEGER, description="a whole number from 0 to 2^63 - 1")
    data: DataConfig = Field(default=DataConfig(), description="a mapping: what is trained on")
    model: Annotated[Entries, AfterValidator(refuse_no_layers)] = Field(
        strict=False, description="a list of layers"
    )
    train: TrainConfig = Field(default=TrainConfig(), description="a mapping: how it is trained")
    engine: EngineConfig = Field(default=EngineConfig(), description="a mapping: how it is computed")
    _origin: Origin = PrivateAttr(default_factory=Origin)

    @classmethod
    def from_data(
        cls,
        data: object,
        origin: Origin,
        overrides: Iterable[str] = (),
        find_more: Callable[[object], Iterable[Problem]] = lambda data: (),
    ) -> Self:
        """Apply overrides to the values of a config, and check the result.

        Args:
            data: plain mappings, lists and scalars, such as `read_yaml` returns.
            origin: where they came from.
            overrides: such as `["train.epochs=3"]`; a later one wins.
            find_more: finds what is wrong beside the form of the values, in the plain values.

        Raises:
            ConfigError: all that is wrong with it, each problem as `FILE:LINE: key: what was expected`.
        """
        for override in overrides:
            data, key_path = apply_override(data, override)
            origin = origin.overridden(key_path, override)
        problems: list[Problem] = []
        try:
            config = cls.model_validate(data)
        except ValidationError as error:
            problems += [to_problem(each, cls) for each in error.errors(include_url=False)]
        told = [problem.key_path for problem in problems]
        problems += [
            problem
            for problem in find_more(data)
            if not any(problem.key_path[: len(key_path)] == key_path for key_path in told)
        ]
        if problems:
            raise join_problems(problems, origin)
        config._origin = origin
        return config

    @property
    def origin(self) -> Origin:
        """The file of this config (`origin.source`), and the line of each of its keys."""
        return self._origin

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Config) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(self.to_yaml())

    def to_dict(self) -> dict[str, object]:
        """Return the config as plain mappings, lists and scalars, with every default filled in."""
        return {name: _to_plain(value) for name, value in _entries(self)}

    def to_yaml(self) -> str:
        """Return YAML that reads back as an equal config."""
        return write_yaml(self.to_dict())

    def fingerprint(self) -> str:
        """Return a SHA-256 that is the same for two configs exactly when they are equal."""
        return sha256(self.to_yaml().encode()).hexdigest()

    def with_overrides(self, overrides: Iterable[str]) -> "Config":
        """Return a copy changed by overrides, such as `["train.epochs=3"]`."""
        return self.from_data(self.to_dict(), self._origin, overrides)

    def located(self, key_path: KeyPath) -> str:
        """Return where a value was set: `mnist.yaml:12` or `override train.epochs=3`."""
        return self._origin.located(key_path)

    def error(self, key_path: KeyPath, message: str, hint: str | None = None) -> ConfigError:
        """Return an error about the value at a key path, such as ("data", "dataset")."""
        return ConfigError(self._origin.message(key_path, message), hint)

    def model_error(self, error: ModelError, section: str = "model") -> ConfigError:
        """Return the error with the file and line of the entry or option it is about.

        Args:
            error: from building the network, the augmentations, the optimizer, the schedule or the average.
            section: the part of the config that was built: "model", "data.augment", "train.optimizer", ...
        """
        key_path: KeyPath = (*section.split("."), *error.key_path)
        entries = {"model": self.model, "data.augment": self.data.augment}.get(section)
        if entries is None:
            return self.error(key_path, error.message, error.hint)
        match error.key_path:
            case (int(position), *options) if 0 <= position < len(entries):
                inside = [option for option in options if option != MAIN_OPTION]
                key_path = (*section.split("."), position, entries[position].kind, *inside)
        # The message already names the layer in words, so the key path is left out.
        return ConfigError(f"{self.located(key_path)}: {error.message}", error.hint)


def _entries(section: BaseModel) -> Iterator[tuple[str, object]]:
    for name in type(section).model_fields:
        yield name, getattr(section, name)
    yield from (section.__pydantic_extra__ or {}).items()


def _to_plain(value: object) -> object:
    if isinstance(value, ListEntry):
        return write_entry(value)
    if isinstance(value, BaseModel):
        return {name: _to_plain(entry) for name, entry in _entries(value)}
    if isinstance(value, SetEntry):
        return write_set(value)
    return [_to_plain(entry) for entry in value] if is_list(value) else value
