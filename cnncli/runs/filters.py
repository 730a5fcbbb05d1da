"""Reads conditions such as `val>=0.99` or `config=mnist*`, and tells whether a run meets them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from operator import ge, gt, le, lt
from typing import Any

from cnncli.errors import RunError, StorageError, UsageError
from cnncli.names import did_you_mean
from cnncli.runs.config_values import read_config_values
from cnncli.runs.listing import Listed

TEXTS: dict[str, Callable[[Listed], str | None]] = {
    "name": lambda each: each.name,
    "status": lambda each: each.status,
    "config": lambda each: each.config,
    "dataset": lambda each: each.dataset,
    "kind": lambda each: each.kind,
}
"""What is compared with a pattern."""

NUMBERS: dict[str, Callable[[Listed], float | None]] = {
    "val": lambda each: each.val_accuracy,
    "test": lambda each: each.test_accuracy,
    "val_loss": lambda each: each.val_loss,
    "test_loss": lambda each: each.test_loss,
    "epochs": lambda each: each.epochs,
    "best_epoch": lambda each: each.best_epoch,
    "seconds": lambda each: each.seconds,
    "size": lambda each: each.bytes,
    "parameters": lambda each: each.parameters,
    "seed": lambda each: each.seed,
}
"""What is compared with a number."""

_WHEN = "when"
_FORM = re.compile(r"\s*([A-Za-z_][\w.]*?)\s*(<=|>=|!=|==|=|<|>)\s*(.*?)\s*", re.DOTALL)
_ORDER: dict[str, Callable[[Any, Any], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}
_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(%|k|kB|MB|GB)?")
_UNITS = {"": 1.0, "k": 1e3, "kB": 1e3, "MB": 1e6, "GB": 1e9}


@dataclass(frozen=True)
class Filter:
    """A condition on a run.

    Attributes:
        text: as the user wrote it.
        key: a key of TEXTS or NUMBERS, "when", or a dotted key of the config.
        operator: one of < <= > >= = !=.
        value: what it is compared with: a number, a time, or a pattern with * and ?.
    """

    text: str
    key: str
    operator: str
    value: float | datetime | str

    @property
    def reads_config(self) -> bool:
        """Whether config.yaml has to be read for it."""
        return self.key not in TEXTS and self.key not in NUMBERS and self.key != _WHEN

    def accepts(self, listed: Listed) -> bool:
        """Return whether a run meets the condition; one without such a value meets only `!=`."""
        found: object
        if self.key in TEXTS:
            found = TEXTS[self.key](listed)
        elif self.key in NUMBERS:
            found = NUMBERS[self.key](listed)
        elif self.key == _WHEN:
            found = listed.created
        else:
            try:
                found = read_config_values(listed.path / "config.yaml").get(self.key)
            except (RunError, StorageError):
                found = None
        if isinstance(found, bool):
            found = str(found).lower()
        if self.operator in ("=", "!="):
            return self._equals(found) == (self.operator == "=")
        if found is None or isinstance(found, str) != isinstance(self.value, str):
            return False
        return _ORDER[self.operator](found, self.value)

    def _equals(self, found: object) -> bool:
        if isinstance(self.value, datetime):  # a day, and not its first moment
            return isinstance(found, datetime) and found.astimezone().date() == self.value.date()
        if isinstance(self.value, str):
            text = "null" if found is None and self.reads_config else found
            return isinstance(text, str) and any(fnmatchcase(text, each) for each in self.value.split(","))
        return found == self.value


def read_filter(text: str) -> Filter:
    """Return the condition in a text.

    Raises:
        UsageError: it has another form, or there is no such key.

    Example:
        >>> read_filter("val >= 99 %").value
        0.99
    """
    match = _FORM.fullmatch(text)
    if match is None or not match[3]:
        raise UsageError(
            f"{text!r} is no filter: expected KEY OPERATOR VALUE, such as 'val>=0.99'",
            f"keys: {', '.join(known_keys())}, or one of the config such as train.batch_size",
        )
    key, operator, value = match[1], match[2].replace("==", "="), match[3]
    if key in TEXTS:
        if operator in _ORDER:
            raise UsageError(f"{text!r}: {key} is a text, so use = or !=, with * for any characters")
        return Filter(text, key, operator, value)
    if key == _WHEN:
        try:
            when = datetime.fromisoformat(value)
        except ValueError:
            raise UsageError(f"{text!r}: expected a date such as 2026-11-28, found {value!r}") from None
        return Filter(text, key, operator, when.astimezone(when.tzinfo or None))
    number = _read_number(value)
    if key in NUMBERS:
        if number is None:
            raise UsageError(f"{text!r}: expected a number such as 0.99 or 99 %, found {value!r}")
        return Filter(text, key, operator, number)
    if "." not in key:
        raise UsageError(f"{text!r}: there is no key {key!r}", did_you_mean(key, known_keys()))
    if number is None and operator in _ORDER:
        raise UsageError(f"{text!r}: expected a number after {operator}, found {value!r}")
    return Filter(text, key, operator, value if number is None else number)


def known_keys() -> list[str]:
    """Return the keys that are not those of the config."""
    return [*TEXTS, *NUMBERS, _WHEN]


def _read_number(text: str) -> float | None:
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    # a division, because 95 * 0.01 is not 0.95
    return float(match[1]) / 100 if match[2] == "%" else float(match[1]) * _UNITS[match[2] or ""]
