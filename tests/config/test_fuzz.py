"""Whatever bytes a config file holds, reading it ends in a config or in an error with file and line."""

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnncli.config.load import parse_config
from cnncli.errors import ConfigError

SHIPPED = [path.read_bytes() for path in sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))]
LOCATED = re.compile(r"fuzz\.yaml:[1-9][0-9]*: \S.*|and [0-9]+ more")


PIECES = (
    *(b"null", b"true", b".nan", b"-.inf", b"1e999", b"9" * 20, b"!!x ", b"&a ", b"*a", b"<<: ", b"---\n"),
    *(b"...\n", b"\n\t", b"\xef\xbb\xbf", b"\xc2\x85", b"[[[[[", b"{a: {a: ", b"? "),
    *(b'"\\x00"', b'"\\UFFFFFFFF"', b'"\\ud800"'),
)


def read(content: str | bytes) -> bool:
    """Read it and check how that ends; tell whether it was a config."""
    try:
        config = parse_config(content, "fuzz.yaml")
    except ConfigError as error:
        assert error.exit_code == 2
        assert all(LOCATED.fullmatch(line) for line in error.message.split("\n")), error.message
        return False
    assert parse_config(config.to_yaml()) == config
    return True


def mutated(content: bytes, draw: random.Random) -> bytes:
    """Change a few bytes, or move, double, drop or cut pieces, at random places."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 5, 20))):
        at = draw.randrange(len(data) + 1)
        to = min(len(data), at + draw.choice((1, 1, 2, 10, 100)))
        changes: tuple[Callable[[], bytes], ...] = (
            lambda: draw.randbytes(1),
            lambda: draw.choice(b":-[]{},#&*!|>'\"%@`?~\t\n\r .0123456789eE").to_bytes(),
            lambda: b"",
            lambda at=at, to=to: bytes(data[at:to]) * 2,  # type: ignore[misc]
            lambda: draw.choice(PIECES),
        )  # fmt: skip
        data[at:to] = draw.choice(changes)()
    return bytes(data[: draw.randrange(len(data) + 1)] if draw.random() < 0.05 else data)


def mutate_and_read(count: int, seed: int) -> int:
    draw = random.Random(seed)
    return sum(read(mutated(draw.choice(SHIPPED), draw)) for _ in range(count))


def test_shipped_configs_with_random_damage_are_read_or_refused_with_a_line() -> None:
    good = mutate_and_read(150, seed=1)
    assert 0 < good < 150  # else the damage would be too heavy or too light to find anything


@pytest.mark.slow
def test_ten_thousand_damaged_configs_are_read_or_refused_with_a_line() -> None:
    good = mutate_and_read(10_000, seed=2)
    assert 0 < good < 10_000


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=200))
def test_random_bytes_are_refused_with_a_line(content: bytes) -> None:
    assert not read(content)


SIGNS = (
    *(
        "seed",
        "model",
        "train",
        "relu",
        "conv",
        "1",
        "1e-3",
        "a",
        "\n",
        "\n  ",
        "\n    ",
        ": ",
        ":",
        "- ",
        ", ",
    ),
    *(
        "[",
        "]",
        "{",
        "}",
        "'",
        '"',
        "#",
        "&a",
        "*a",
        "!!int",
        "|",
        ">",
        "?",
        "%",
        "@",
        "~",
        "---",
        "\\",
        "\t",
    ),
    *("\x85", "\u2028", "\ufeff", "\U0001f600", "\0", "\ud800"),
)
YAMLISH = st.lists(st.sampled_from(SIGNS), max_size=40).map("".join)


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_text_made_of_yaml_signs_is_refused_with_a_line(count: int) -> None:
    @settings(max_examples=count, deadline=None, derandomize=True)
    @given(YAMLISH)
    def check(text: str) -> None:
        read(text)

    check()


SHORT = "model: [relu, linear: 10]\ntrain: {optimizer: adam}\n"


@pytest.mark.parametrize("count", [50, pytest.param(500, marks=pytest.mark.slow)])
def test_a_random_override_is_applied_or_refused(count: int) -> None:
    @settings(max_examples=count, deadline=None, derandomize=True)
    @given(st.text(max_size=30), st.text(max_size=30) | YAMLISH)
    def check(key: str, value: str) -> None:
        override_or_refuse(key, value)

    check()


def override_or_refuse(key: str, value: str) -> None:
    for override in (
        f"{key}={value}",
        f"train.{key}={value}",
        f"train.optimizer={value}",
        f"model.1={value}",
    ):
        try:
            config = parse_config(SHORT, "fuzz.yaml", [override])
        except ConfigError as error:
            assert error.message.startswith("override "), error.message
        else:
            assert parse_config(config.to_yaml()) == config
