"""The strict reader keeps lines and refuses everything a config has no use for; the writer is its inverse."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnncli.config.yaml_reader import MAX_BYTES, MAX_INTEGER, read_scalar, read_yaml
from cnncli.config.yaml_writer import write_yaml
from cnncli.errors import ConfigError


def at(line: int) -> str:
    return f"here:{line}"


def value_of(text: str | bytes) -> object:
    return read_yaml(text, at)[0]


def error_of(text: str | bytes) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read_yaml(text, at)
    return caught.value


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("-0.25", -0.25),
        ("+3", 3),
        ("010", 10),
        ("0x1f", 31),
        ("0o17", 15),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("nan", "nan"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2026-01-01", "2026-01-01"),
        ("1e", "1e"),
        (".", "."),
        ("-", "-"),
    ],
)
def test_plain_scalars_follow_yaml_1_2(text: str, meaning: object) -> None:
    assert read_scalar(text) == meaning
    assert type(read_scalar(text)) is type(meaning)


def test_infinity_and_nan_are_read_as_numbers_so_that_they_can_be_refused_as_numbers() -> None:
    assert value_of("[.inf, -.inf, 1e999]") == [math.inf, -math.inf, math.inf]
    assert math.isnan(value_of("{x: .nan}")["x"])  # type: ignore[index]


def test_quotes_make_text_of_anything() -> None:
    assert value_of("['1', \"true\", 'null', \"1e-3\"]") == ["1", "true", "null", "1e-3"]


def test_every_key_and_list_entry_knows_its_line() -> None:
    text = "# head\nseed: 1\n\nmodel:\n  - conv: {filters: 2,\n      kernel: 3}\n  - relu\n"
    _, lines = read_yaml(text, at)
    assert lines == {
        (): 1,
        ("seed",): 2,
        ("model",): 4,
        ("model", 0): 5,
        ("model", 0, "conv"): 5,
        ("model", 0, "conv", "filters"): 5,
        ("model", 0, "conv", "kernel"): 6,
        ("model", 1): 7,
    }


def test_a_byte_order_mark_and_windows_line_ends_are_tolerated() -> None:
    value, lines = read_yaml(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", at)
    assert value == {"a": 1, "b": 2}
    assert lines["b",] == 2


def test_an_empty_document_is_nothing() -> None:
    assert value_of("") is None
    assert value_of("# only a comment\n") is None
    assert value_of("---\n...\n") is None


REFUSED = {
    "an anchor": ("a: 1\nb: &x 2", "here:2: the anchor &x"),
    "an alias": ("a: 1\nb: *x", "here:2: the alias *x"),
    "an anchored list": ("a: &x [1]", "here:1: the anchor &x"),
    "a tag": ("a: !!int 3", "here:1: the tag !!int"),
    "a python tag": ("a: !!python/object/apply:os.system [ls]", "here:1: the tag !!python/object"),
    "a local tag": ("a: !x y", "here:1: the tag !x"),
    "a merge that needs an alias": ("a: {b: 1}\n<<: *a", "here:2: the alias *a"),
    "a duplicate key": ("a: 1\nb: 2\na: 3", "here:3: a: this key is here twice, first on line 1"),
    "a nested duplicate": ("t:\n  x: 1\n  x: 1", "here:3: t.x: this key is here twice, first on line 2"),
    "a second document": ("a: 1\n---\nb: 2", "here:2: a second document"),
    "a number as a key": ("1: 2", "here:1: a key must be text, found 1"),
    "a boolean as a key": ("true: 2", "here:1: a key must be text, found true"),
    "no key at all": ("?\n: 2", "here:1: a key must be text, found nothing"),
    "a mapping as a key": ("? {a: 1}\n: 2", "here:1: a key must be text, found a mapping"),
    "a tab": ("a:\n\tb: 1", "here:2: a tab where YAML wants spaces"),
    "an open bracket": ("a: 1\nb: [1,\n", "here:3: not valid YAML: "),
    "an open quote": ("a: 'b", "here:1: not valid YAML: "),
    "two colons": ("a: b: c", "here:1: not valid YAML: mapping values are not allowed here"),
    "a bad indent": ("a:\n    b: 1\n  c: 2", "here:3: not valid YAML: "),
    "an escape beyond Unicode": ('a: "\\UFFFFFFFF"', "here:1: not valid YAML: "),
    "an escaped surrogate": ('a: "\\ud800"', "here:1: text with the character '\\ud800'"),
    "an escaped NUL": ('a: "\\0"', "here:1: text with the character '\\x00'"),
    "a NUL": ("a: 1\nb: \0", "here:2: not a text file: found the character '\\x00'"),
    "a control character": ("a: \x1b[31m", "here:1: not a text file: found the character '\\x1b'"),
    "a lone surrogate": ("a: \ud800", "here:1: not a text file"),
    "bytes of another encoding": (
        "a: 1\nb: é".encode("latin-1"),
        "here:2: not UTF-8 text: found the byte 0xe9",
    ),
    "UTF-16": ("a: 1".encode("utf-16"), "here:1: the text is UTF-16"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0", "here:1: not a text file, but binary data"),
    "a zip": (b"PK\x03\x04", "here:1: not a text file"),
    "a whole number beyond 64 bits": (f"a: {MAX_INTEGER + 1}", "here:1: a whole number too large"),
    "thousands of digits": ("a: " + "9" * 5000, "here:1: a whole number too large"),
    "a giant version": (f"%YAML {'9' * 5000}.1\n---\na: 1", "here:1: not valid YAML"),
    "another YAML": ("%YAML 2.0\n---\na: 1", "here:1: not valid YAML"),
    "a Mac line end then a NUL": ("a: 1\n\n\0", "here:3: not a text file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_config_has_no_use_for_is_refused_with_its_line(case: str) -> None:
    text, start = REFUSED[case]
    error = error_of(text)
    assert error.message.startswith(start)
    assert error.exit_code == 2


def test_twenty_levels_are_read_and_twenty_one_refused() -> None:
    assert value_of("[" * 20 + "]" * 20) is not None
    assert "nested more than 20 levels" in error_of("[" * 21 + "]" * 21).message
    assert "nested more than 20 levels" in error_of("{a: " * 21 + "1" + "}" * 21).message


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "{? "])
def test_a_file_full_of_openings_does_not_exhaust_the_stack(opening: str) -> None:
    assert error_of(opening * (MAX_BYTES // len(opening))).message.startswith("here:1: ")


def test_a_file_of_64_kilobytes_is_read_and_one_byte_more_refused() -> None:
    fitting = "a: 1\n#" + "x" * (MAX_BYTES - 6)
    assert value_of(fitting) == {"a": 1}
    assert "too large" in error_of(fitting + "x").message
    assert "too large" in error_of((fitting + "x").encode()).message
    assert "too large" in error_of("a: 1\n#" + "é" * (MAX_BYTES // 2)).message


def test_the_largest_integers_are_read() -> None:
    assert value_of(f"[{MAX_INTEGER}, -{MAX_INTEGER}]") == [MAX_INTEGER, -MAX_INTEGER]


def test_sections_are_blocks_and_what_is_in_them_is_inline() -> None:
    document = {
        "seed": 1,
        "data": {"dir": "a b", "augment": [], "on": "yes", "no": "null"},
        "model": ["relu", {"conv": {"filters": 2, "pad": [1, 2]}}, {"linear": 10}],
    }
    assert write_yaml(document) == (
        "seed: 1\n"
        "data:\n"
        '  dir: "a b"\n'
        "  augment: []\n"
        "  on: yes\n"
        '  no: "null"\n'
        "model:\n"
        "  - relu\n"
        "  - conv: {filters: 2, pad: [1, 2]}\n"
        "  - linear: 10\n"
    )


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-MAX_INTEGER, MAX_INTEGER),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40),
    st.sampled_from(
        ["yes", "1e-3", "null", "~", "", "-", ".", "...", "a: b", "#", "a #b", "0x1", "'", '"', "\\"]
    ),
)
KEYS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize("count", [70, pytest.param(700, marks=pytest.mark.slow)])
def test_what_is_written_reads_back_as_the_same(count: int) -> None:
    @settings(max_examples=count, deadline=None, derandomize=True)
    @given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=4))
    def check(document: dict[str, object]) -> None:
        value = value_of(write_yaml(document))
        assert value == document
        assert repr(value) == repr(document)  # 1 stays 1 and 1.0 stays 1.0

    check()
