"""Reads the small, strict part of YAML that a config needs, keeping the line of each key, and writes it back.

What is read: mappings with text keys, lists, and scalars by the YAML 1.2 core rules (so `1e-3` is a number,
and `yes` is text). What is refused, with its line: aliases, anchors, tags, duplicate keys, a second document,
deep nesting, large files, and bytes that are not UTF-8 text.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, TypeGuard

import yaml

from cnncli.errors import ConfigError

MAX_BYTES = 64 * 1024
MAX_DEPTH = 20
MAX_INTEGER = 2**63 - 1

Place = tuple[str | int, ...]
"""Where a value stands: ("train", "batch_size"), ("model", 3, "linear"); () is the whole document."""

_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NULL = re.compile(r"null|Null|NULL|~|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_DECIMAL = re.compile(r"[-+]?[0-9]+")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"([-+]?)\.(inf|Inf|INF)")
_NAN = re.compile(r"\.(nan|NaN|NAN)")
_PLAIN_TEXT = re.compile(r"[A-Za-z_./][A-Za-z0-9_./-]*")


def read_yaml(text: str | bytes, locate: Callable[[int], str]) -> tuple[object, dict[Place, int]]:
    """Return the document's value and the line (from 1) of every place in it.

    Args:
        text: the document; bytes must be UTF-8, a byte order mark is tolerated.
        locate: turns a line number into what an error starts with, such as `mnist.yaml:12`.

    Raises:
        ConfigError: anything that is not the strict part of YAML this module reads.
    """
    text = _checked_text(text, locate)
    return _DocumentReader(text, locate).read()


def _checked_text(text: str | bytes, locate: Callable[[int], str]) -> str:
    """Decode and bound the text, so that the YAML scanner only ever sees printable characters."""
    size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise ConfigError(f"{locate(1)}: too large for a config: more than {MAX_BYTES // 1024} KB")
    if isinstance(text, bytes):
        text = _decoded(text, locate)
    text = text.removeprefix("\ufeff")
    if (bad := _UNPRINTABLE.search(text)) is not None:
        line = text.count("\n", 0, bad.start()) + 1
        raise ConfigError(f"{locate(line)}: not a text file: found the character {bad.group()!a}")
    return text


def _decoded(content: bytes, locate: Callable[[int], str]) -> str:
    save = "save the file as UTF-8"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ConfigError(f"{locate(1)}: the text is UTF-16", hint=save)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"0x{content[error.start]:02x}"
        raise ConfigError(f"{locate(line)}: not UTF-8 text: found the byte {found}", hint=save) from None


def _line(mark: object) -> int:
    """Return a mark's line, from 1."""
    return int(getattr(mark, "line", 0)) + 1


class _DocumentReader:
    """Builds plain values from the parser's events; no YAML constructor is ever run."""

    def __init__(self, text: str, locate: Callable[[int], str]) -> None:
        self._loader = yaml.SafeLoader(text)
        self._locate = locate
        self._lines: dict[Place, int] = {(): 1}

    def read(self) -> tuple[object, dict[Place, int]]:
        self._next()  # the start of the stream
        if isinstance(self._next(), yaml.StreamEndEvent):
            return None, self._lines
        value = self._value((), self._next())
        self._next()  # the end of the document
        if not isinstance(event := self._next(), yaml.StreamEndEvent):
            self._refuse(event, "a second document starts here; a config is one document")
        return value, self._lines

    def _next(self) -> yaml.Event:
        try:
            event: yaml.Event = self._loader.get_event()  # type: ignore[no-untyped-call]
            return event
        except yaml.MarkedYAMLError as error:
            raise self._syntax_error(error) from None
        except (yaml.YAMLError, ValueError, OverflowError):
            # PyYAML lets chr() and int() fail on escapes such as "\UFFFFFFFF" and on giant version numbers.
            line = _line(self._loader.get_mark())
            raise ConfigError(
                f"{self._locate(line)}: not valid YAML: a character that does not exist"
            ) from None

    def _syntax_error(self, error: yaml.MarkedYAMLError) -> ConfigError:
        mark = error.problem_mark or error.context_mark
        line = _line(mark)
        problem = error.problem or "cannot be read"
        if "'\\t'" in problem:
            return ConfigError(
                f"{self._locate(line)}: a tab where YAML wants spaces", hint="indent with spaces, two a level"
            )
        start = _line(error.context_mark or mark)
        since = f" (in what starts on line {start})" if start != line else ""
        return ConfigError(f"{self._locate(line)}: not valid YAML: {problem}{since}")

    def _refuse(self, event: yaml.Event, why: str, hint: str | None = None) -> NoReturn:
        raise ConfigError(f"{self._locate(_line(event.start_mark))}: {why}", hint=hint)

    def _value(self, place: Place, event: yaml.Event) -> object:
        self._lines.setdefault(place, _line(event.start_mark))
        if isinstance(event, yaml.AliasEvent):
            self._refuse(event, f"the alias *{event.anchor}; a config has no anchors and aliases")
        assert isinstance(event, yaml.NodeEvent)
        if event.anchor is not None:
            self._refuse(event, f"the anchor &{event.anchor}; a config has no anchors and aliases")
        if (tag := getattr(event, "tag", None)) is not None:
            short = _on_one_line(str(tag).replace("tag:yaml.org,2002:", "!!"))
            self._refuse(event, f"the tag {short}; a config has plain values only")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if len(place) >= MAX_DEPTH:
            self._refuse(event, f"nested more than {MAX_DEPTH} levels deep")
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(place)
        return self._mapping(place)

    def _sequence(self, place: Place) -> list[object]:
        items: list[object] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._value((*place, len(items)), event))
        return items

    def _mapping(self, place: Place) -> dict[str, object]:
        entries: dict[str, object] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._value((*place, ""), event)
            self._lines.pop((*place, ""))
            if not isinstance(key, str):
                self._refuse(event, f"a key must be text, found {describe(key)}")
            here = (*place, key)
            if key in entries:
                first = self._lines[here]
                self._refuse(event, f"{dotted(here)}: this key is here twice, first on line {first}")
            self._lines[here] = _line(event.start_mark)
            entries[key] = self._value(here, self._next())
        return entries

    def _scalar(self, event: yaml.ScalarEvent) -> object:
        text: str = event.value
        if event.style is None:  # plain, neither quoted nor a block of text
            value = resolve(text)
            if isinstance(value, int) and not -MAX_INTEGER <= value <= MAX_INTEGER:
                self._refuse(
                    event, f"a whole number too large to use: {text[:24]}{'...' if text[24:] else ''}"
                )
            return value
        if (bad := _UNPRINTABLE.search(text)) is not None:
            self._refuse(event, f"text with the character {bad.group()!a} in it")
        return text


def resolve(text: str) -> bool | int | float | str | None:
    """Return what an unquoted scalar means under the YAML 1.2 core rules.

    Example:
        >>> resolve("1e-3"), resolve("yes"), resolve("true")
        (0.001, 'yes', True)
    """
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    if _DECIMAL.fullmatch(text):
        # Python refuses to convert thousands of digits; any number that long is out of range just the same.
        return int(text) if len(text) <= 40 else MAX_INTEGER + 1
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if infinite := _INFINITE.fullmatch(text):
        return -math.inf if infinite.group(1) == "-" else math.inf
    if _NAN.fullmatch(text):
        return math.nan
    return text


def write_yaml(document: Mapping[str, object]) -> str:
    """Return what `read_yaml` reads back exactly: a line for each key and each layer, the rest inline.

    Example:
        >>> print(write_yaml({"seed": 1, "train": {"optimizer": {"name": "adam", "lr": 0.001}}}), end="")
        seed: 1
        train:
          optimizer: {name: adam, lr: 0.001}
    """
    return "".join(line + "\n" for line in _block(document, indent=""))


def _block(mapping: Mapping[str, object], indent: str) -> list[str]:
    lines: list[str] = []
    for key, value in mapping.items():
        name = f"{indent}{inline(key)}:"
        if isinstance(value, Mapping) and value and not indent:
            lines += [name, *_block(value, "  ")]
        elif is_list(value) and value:
            lines += [name, *(f"{indent}  - {_item(item)}" for item in value)]
        else:
            lines.append(f"{name} {inline(value)}")
    return lines


def _item(item: object) -> str:
    """A one-key mapping needs no braces in a list of its own lines."""
    if isinstance(item, Mapping) and len(item) == 1:
        ((key, value),) = item.items()
        return f"{inline(key)}: {inline(value)}"
    return inline(item)


def inline(value: object) -> str:
    """Return a value as YAML on one line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        if _PLAIN_TEXT.fullmatch(value) and resolve(value) == value and value not in (".", "..."):
            return value
        return _quoted(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{inline(key)}: {inline(entry)}" for key, entry in value.items()) + "}"
    if is_list(value):
        return "[" + ", ".join(map(inline, value)) + "]"
    return repr(value)


def _quoted(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)


def is_list(value: object) -> TypeGuard[Sequence[object]]:
    """True of a list or a tuple: the two shapes a YAML list has here."""
    return isinstance(value, list | tuple)


def dotted(place: Place) -> str:
    """Return a place as `--set` spells it: `model.3.linear`."""
    return ".".join(map(_on_one_line, place))


def _on_one_line(name: object) -> str:
    """Return a name as it is, or with its control characters escaped: they have no business on a terminal."""
    text = str(name)
    return text if text.isprintable() else ascii(text)


def describe(value: object) -> str:
    """Return a value as an error shows it: short, on one line, in YAML's words."""
    if isinstance(value, Mapping):
        return (
            "a mapping of " + ", ".join(map(_on_one_line, list(value)[:4])) if value else "an empty mapping"
        )
    if is_list(value):
        return f"a list of {len(value)}" if value else "an empty list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value)
    return text if len(text) <= 60 else text[:56] + "...'"
