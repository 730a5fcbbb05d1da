"""Reads the small, strict part of YAML that a config needs, and keeps the line of each key.

It reads mappings with text keys, lists, and scalars by the YAML 1.2 core rules: `1e-3` is a number, `yes` is text.
It refuses aliases, anchors, tags, duplicate keys, a second document, deep nesting, large files, and bytes that are
not UTF-8 text. The error names the line.
"""

import math
import re
from collections.abc import Callable
from typing import NoReturn

import yaml

from cnncli.config.values import KeyPath, brief, dotted, on_one_line
from cnncli.errors import ConfigError

MAX_BYTES = 64 * 1024
MAX_DEPTH = 20
MAX_INTEGER = 2**63 - 1

_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("null", "Null", "NULL", "~", "")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
_DECIMAL = re.compile(r"[-+]?[0-9]+")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"([-+]?)\.(inf|Inf|INF)")


def read_yaml(text: str | bytes, locate: Callable[[int], str]) -> tuple[object, dict[KeyPath, int]]:
    """Return the document's value and the line (from 1) of every key path in it.

    Args:
        text: the document; bytes must be UTF-8, a byte order mark is tolerated.
        locate: turns a line number into what an error starts with, such as `mnist.yaml:12`.

    Raises:
        ConfigError: anything that is not the strict part of YAML this module reads.
    """
    text = _checked_text(text, locate)
    return _DocumentReader(text, locate).read()


def _checked_text(text: str | bytes, locate: Callable[[int], str]) -> str:
    """Decode the text and limit its size; the YAML scanner then sees printable characters only."""
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
    if b"\0" in content[:1000]:
        raise ConfigError(
            f"{locate(1)}: not a text file, but binary data",
            hint="a config is a YAML file, such as mnist.yaml",
        )
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
    """Builds plain values from the parser's events, without any YAML constructor."""

    def __init__(self, text: str, locate: Callable[[int], str]) -> None:
        self._loader = yaml.SafeLoader(text)
        self._locate = locate
        self._lines: dict[KeyPath, int] = {(): 1}

    def read(self) -> tuple[object, dict[KeyPath, int]]:
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
            # PyYAML does not catch the errors of chr() and int() on "\UFFFFFFFF" and on huge version numbers.
            line = _line(self._loader.get_mark())
            where = self._locate(line)
            raise ConfigError(f"{where}: not valid YAML: a character that does not exist") from None

    def _syntax_error(self, error: yaml.MarkedYAMLError) -> ConfigError:
        mark = error.problem_mark or error.context_mark
        line = _line(mark)
        problem = error.problem or "cannot be read"
        if "'\\t'" in problem:
            return ConfigError(
                f"{self._locate(line)}: a tab where YAML wants spaces",
                hint="indent with spaces, two per level",
            )
        start = _line(error.context_mark or mark)
        since = f" (in the part that starts on line {start})" if start != line else ""
        return ConfigError(f"{self._locate(line)}: not valid YAML: {problem}{since}")

    def _refuse(self, event: yaml.Event, why: str, hint: str | None = None) -> NoReturn:
        raise ConfigError(f"{self._locate(_line(event.start_mark))}: {why}", hint=hint)

    def _value(self, key_path: KeyPath, event: yaml.Event) -> object:
        self._lines.setdefault(key_path, _line(event.start_mark))
        if isinstance(event, yaml.AliasEvent):
            self._refuse(event, f"the alias *{event.anchor}; a config has no anchors and aliases")
        assert isinstance(event, yaml.NodeEvent)
        if event.anchor is not None:
            self._refuse(event, f"the anchor &{event.anchor}; a config has no anchors and aliases")
        if (tag := getattr(event, "tag", None)) is not None:
            short = on_one_line(str(tag).replace("tag:yaml.org,2002:", "!!"))
            self._refuse(event, f"the tag {short}; a config has plain values only")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if len(key_path) >= MAX_DEPTH:
            self._refuse(event, f"nested more than {MAX_DEPTH} levels deep")
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(key_path)
        return self._mapping(key_path)

    def _sequence(self, key_path: KeyPath) -> list[object]:
        items: list[object] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._value((*key_path, len(items)), event))
        return items

    def _mapping(self, key_path: KeyPath) -> dict[str, object]:
        entries: dict[str, object] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._value((*key_path, ""), event)
            self._lines.pop((*key_path, ""))
            if not isinstance(key, str):
                self._refuse(event, f"a key must be text, found {brief(key)}")
            here = (*key_path, key)
            if key in entries:
                first = self._lines[here]
                self._refuse(event, f"{dotted(here)}: this key is here twice, first on line {first}")
            self._lines[here] = _line(event.start_mark)
            entries[key] = self._value(here, self._next())
        return entries

    def _scalar(self, event: yaml.ScalarEvent) -> object:
        text: str = event.value
        if event.style is None:  # plain: neither quoted nor a block of text
            value = read_scalar(text)
            if isinstance(value, int) and not -MAX_INTEGER <= value <= MAX_INTEGER:
                shown = text[:24] + ("..." if text[24:] else "")
                self._refuse(event, f"a whole number too large to use: {shown}")
            return value
        if (bad := _UNPRINTABLE.search(text)) is not None:
            self._refuse(event, f"text with the character {bad.group()!a} in it")
        return text


def read_scalar(text: str) -> bool | int | float | str | None:
    """Return what an unquoted scalar means under the YAML 1.2 core rules.

    Example:
        >>> read_scalar("1e-3"), read_scalar("yes"), read_scalar("true")
        (0.001, 'yes', True)
    """
    if text in _WORDS:
        return _WORDS[text]
    if _DECIMAL.fullmatch(text):
        # Python refuses to convert thousands of digits, and any number that long is out of range.
        return int(text) if len(text) <= 40 else MAX_INTEGER + 1
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if infinite := _INFINITE.fullmatch(text):
        return -math.inf if infinite.group(1) == "-" else math.inf
    return text
