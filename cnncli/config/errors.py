"""Turns what is wrong with a config into sentences that start with file and line."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cnncli.config.overrides import spelled
from cnncli.config.yaml_reader import Place, describe, dotted
from cnncli.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from pydantic import BaseModel

_MOST_SHOWN = 20


class Problem(ValueError):
    """One thing wrong with one value, raised inside a check.

    Args:
        message: what was expected and what was found.
        place: where, seen from the value under check.
        hint: what to do about it, or None.
    """

    def __init__(self, message: str, *, place: Place = (), hint: str | None = None) -> None:
        super().__init__(message)
        self.place = place
        self.hint = hint


@dataclass(frozen=True)
class Origin:
    """Where each value of a config was set.

    Args:
        source: the file's name as the user would type it.
        places: for each place the line in that file (from 1), or the override that set it.
    """

    source: str = "config"
    places: Mapping[Place, int | str] = field(default_factory=dict)

    def found(self, place: Place) -> int | str | None:
        """Return the line or override of the place, or of the nearest thing around it."""
        for length in range(len(place), -1, -1):
            if (spot := self.places.get(place[:length])) is not None:
                return spot
        return None

    def located(self, place: Place) -> str:
        """Return `mnist.yaml:12`, `--set train.epochs=3`, or the source alone where no line is known."""
        match self.found(place):
            case None:
                return self.source
            case int(line):
                return f"{self.source}:{line}"
            case override:
                return spelled(override)

    def message(self, place: Place, problem: str) -> str:
        """Return `mnist.yaml:12: train.batch_size: problem`; an override of that very key names it once."""
        spot = self.found(place)
        if not place or (isinstance(spot, str) and spot.partition("=")[0].strip() == dotted(place)):
            return f"{self.located(place)}: {problem}"
        return f"{self.located(place)}: {dotted(place)}: {problem}"

    def overridden(self, place: Place, override: str) -> "Origin":
        """Return the origin after an override set a place, with all inside it and all created around it."""
        around = {place[:length]: override for length in range(1, len(place))}
        kept = {old: spot for old, spot in self.places.items() if old[: len(place)] != place}
        return Origin(self.source, {**around, **kept, place: override})


def explain(found: Iterable[Mapping[str, Any]], schema: "type[BaseModel]", origin: Origin) -> ConfigError:
    """Return one error that tells all the problems pydantic found, in the order of the file.

    Args:
        found: `ValidationError.errors()`.
        schema: the outermost model, whose fields say in their descriptions what they expect.
        origin: where the values came from.
    """
    problems = []
    for error in found:
        place, message, hint = _problem(error, schema)
        spot = origin.found(place)
        order = (0, spot) if isinstance(spot, int) else (1, 0)
        problems.append((order, origin.message(place, message), hint))
    problems.sort(key=lambda problem: problem[0])
    if len(problems) == 1:
        return ConfigError(problems[0][1], problems[0][2])
    lines = [text + (f" ({hint})" if hint else "") for _, text, hint in problems[:_MOST_SHOWN]]
    if len(problems) > _MOST_SHOWN:
        lines.append(f"and {len(problems) - _MOST_SHOWN} more")
    return ConfigError("\n".join(lines))


def _problem(error: Mapping[str, Any], schema: "type[BaseModel]") -> tuple[Place, str, str | None]:
    """Return place, message and hint of one of pydantic's errors."""
    place: Place = tuple(error["loc"])
    reason = error.get("ctx", {}).get("error")
    if isinstance(reason, Problem):
        return (*place, *reason.place), str(reason), reason.hint
    if error["type"] == "extra_forbidden":
        return place, "unknown key", _hint_for_key(str(place[-1]), place[:-1], schema)
    expected = _description(place, schema)
    if error["type"] == "missing":
        return place, f"missing; expected {expected}", None
    return place, f"expected {expected}, found {describe(error['input'])}", None


def _description(place: Place, schema: "type[BaseModel]") -> str:
    """Return what the field at a place expects, as its description says."""
    section = section_at(place[:-1], schema)
    named = section.model_fields.get(str(place[-1])) if section and place else None
    return named.description if named and named.description else "a mapping of keys and values"


def section_at(place: Place, schema: "type[BaseModel]") -> "type[BaseModel] | None":
    """Return the model of the section at a place, or None where there is none."""
    section = schema
    for part in place:
        named = section.model_fields.get(str(part))
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


def _hint_for_key(key: str, place: Place, schema: "type[BaseModel]") -> str | None:
    """Suggest a key that is spelled alike here, or the section where this very key belongs."""
    section = section_at(place, schema)
    here = list(section.model_fields) if section else []
    hint = did_you_mean(key, here)
    if hint and hint.startswith("did you mean"):
        return hint
    for name in schema.model_fields:
        inner = section_at((name,), schema)
        if inner and key in inner.model_fields and (name,) != place:
            return f"did you mean '{name}.{key}'?"
    if place and key in schema.model_fields:
        return f"'{key}' stands at the left margin, outside '{dotted(place)}'"
    return hint
