"""Turns what is wrong with a config into messages that start with the file and the line."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cnncli.config.overrides import spelled
from cnncli.config.values import KeyPath, brief, dotted
from cnncli.errors import ConfigError
from cnncli.foreign_words import KEYS, bare
from cnncli.names import did_you_mean

if TYPE_CHECKING:
    from pydantic import BaseModel

_MOST_SHOWN = 20


class Problem(ValueError):
    """One wrong value; checks raise it, and `join_problems` adds where the value was set.

    Args:
        message: what was expected and what was found.
        key_path: where the value is, relative to the value under check.
        hint: what to do about it, or None.
        in_words: whether the message itself says which value it is, so that the key path is left out.
    """

    def __init__(
        self, message: str, *, key_path: KeyPath = (), hint: str | None = None, in_words: bool = False
    ) -> None:
        super().__init__(message)
        self.key_path = key_path
        self.hint = hint
        self.in_words = in_words

    def located(self, origin: "Origin") -> str:
        """Return the message with file and line."""
        if self.in_words:
            return f"{origin.located(self.key_path)}: {self}"
        return origin.message(self.key_path, str(self))


@dataclass(frozen=True)
class Origin:
    """Where each value of a config was set.

    Args:
        source: the file's name as the user would type it.
        spots: for each key path the line in that file (from 1), or the override that set it.
    """

    source: str = "config"
    spots: Mapping[KeyPath, int | str] = field(default_factory=dict)

    def find(self, key_path: KeyPath) -> int | str | None:
        """Return the line or the override of a key path, or of the nearest section around it."""
        for length in range(len(key_path), -1, -1):
            if (spot := self.spots.get(key_path[:length])) is not None:
                return spot
        return None

    def located(self, key_path: KeyPath) -> str:
        """Return `mnist.yaml:12`, `override train.epochs=3`, or the source alone where no line is known."""
        match self.find(key_path):
            case None:
                return self.source
            case int(line):
                return f"{self.source}:{line}"
            case override:
                return spelled(override)

    def message(self, key_path: KeyPath, problem: str) -> str:
        """Return `mnist.yaml:12: train.batch_size: problem`; the key is omitted if the override already shows it."""
        spot = self.find(key_path)
        if not key_path or (isinstance(spot, str) and spot.partition("=")[0].strip() == dotted(key_path)):
            return f"{self.located(key_path)}: {problem}"
        return f"{self.located(key_path)}: {dotted(key_path)}: {problem}"

    def overridden(self, key_path: KeyPath, override: str) -> "Origin":
        """Return the origin after an override set a value, everything inside it, and the sections created for it."""
        around = {key_path[:length]: override for length in range(1, len(key_path))}
        kept = {old: spot for old, spot in self.spots.items() if old[: len(key_path)] != key_path}
        return Origin(self.source, {**around, **kept, key_path: override})


def join_problems(problems: Iterable[Problem], origin: Origin) -> ConfigError:
    """Return one error with all problems, in the order of the file.

    Args:
        problems: what is wrong, each with its key path from the whole document.
        origin: where the values came from.
    """

    def order(problem: Problem) -> tuple[int, int]:
        spot = origin.find(problem.key_path)
        return (0, spot) if isinstance(spot, int) else (1, 0)

    first, *others = problems = sorted(problems, key=order)
    if not others:
        return ConfigError(first.located(origin), first.hint)
    shown = problems[:_MOST_SHOWN]
    lines = [each.located(origin) + (f" ({each.hint})" if each.hint else "") for each in shown]
    if len(problems) > _MOST_SHOWN:
        lines.append(f"and {len(problems) - _MOST_SHOWN} more")
    return ConfigError("\n".join(lines))


def to_problem(error: Mapping[str, Any], schema: "type[BaseModel]") -> Problem:
    """Return one of pydantic's errors as a problem.

    Args:
        error: an entry of `ValidationError.errors()`.
        schema: the outermost model; the descriptions of its fields say what they expect.
    """
    key_path: KeyPath = tuple(error["loc"])
    reason = error.get("ctx", {}).get("error")
    if isinstance(reason, Problem):
        return Problem(str(reason), key_path=(*key_path, *reason.key_path), hint=reason.hint)
    if error["type"] == "extra_forbidden":
        hint = _hint_for_key(str(key_path[-1]), key_path[:-1], schema)
        return Problem("unknown key", key_path=key_path, hint=hint)
    expected = _expected(key_path, schema)
    if error["type"] == "missing":
        return Problem(f"missing; expected {expected}", key_path=key_path)
    return Problem(f"expected {expected}, found {brief(error['input'])}", key_path=key_path)


def _expected(key_path: KeyPath, schema: "type[BaseModel]") -> str:
    """Return what a field expects, as its description says."""
    section = section_at(key_path[:-1], schema)
    named = section.model_fields.get(str(key_path[-1])) if section and key_path else None
    return named.description if named and named.description else "a mapping of keys and values"


def section_at(key_path: KeyPath, schema: "type[BaseModel]") -> "type[BaseModel] | None":
    """Return the model of the section at a key path, or None where there is none."""
    section = schema
    for key in key_path:
        named = section.model_fields.get(str(key))
        inner = _model_of(named.annotation) if named else None
        if inner is None:
            return None
        section = inner
    return section


def _model_of(annotation: Any) -> "type[BaseModel] | None":
    """Return the model in `Model`, `Model | None` or `Annotated[Model, ...]`."""
    if hasattr(annotation, "model_fields"):
        return annotation  # type: ignore[no-any-return]
    for argument in getattr(annotation, "__args__", ()):
        if (inner := _model_of(argument)) is not None:
            return inner
    return None


def _hint_for_key(key: str, key_path: KeyPath, schema: "type[BaseModel]") -> str | None:
    """Suggest a key of this section with a similar name, or the section that has this very key."""
    section = section_at(key_path, schema)
    known = list(section.model_fields) if section else []
    if (foreign := KEYS.get(bare(key))) is not None:
        if " " in foreign:
            return foreign
        here = foreign.removeprefix(f"{dotted(key_path)}.")
        return f"did you mean '{foreign if '.' in here else here}'?"
    hint = did_you_mean(key, known)
    if hint and hint.startswith("did you mean"):
        return hint
    for name in schema.model_fields:
        inner = section_at((name,), schema)
        if inner and key in inner.model_fields and (name,) != key_path:
            return f"did you mean '{name}.{key}'?"
    if key_path and key in schema.model_fields:
        return f"'{key}' is a top-level key: move it out of '{dotted(key_path)}'"
    return hint
