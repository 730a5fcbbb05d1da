"""Lines are broken between words, and what is copied from the terminal is in one piece."""

import io

import pytest
from rich.console import Console
from rich.text import Text

import cnncli.cli.app
from cnncli.cli import console as console_module
from cnncli.cli.console import note, print_error, print_facts
from cnncli.cli.line_breaks import COMMANDS, break_lines

PATH = "/home/somebody/pictures/of/digits/page-17.png"


def broken(text: str, width: int, indent: int = 2) -> list[str]:
    return break_lines(Text(text), width, indent).plain.split("\n")


def test_all_commands_are_known() -> None:
    assert set(COMMANDS) == set(cnncli.cli.app.COMMANDS)


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
def test_words_are_kept_whole_and_in_order(width: int) -> None:
    text = "warning: the classes have other names than in training: Sneaker, Ankle boot, 10 others"
    lines = broken(text, width)
    assert max(map(len, lines)) <= width
    assert " ".join(line.strip() for line in lines) == text
    assert all(line.startswith("  ") for line in lines[1:])


def test_a_text_that_fits_stays_as_it_is() -> None:
    assert broken("two  words", 10) == ["two  words"]
    assert broken("", 10) == [""]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "stopped in epoch 2; go on with: cnn train --resume run-1",
            ["stopped in epoch 2; go on with:", "  cnn train --resume run-1"],
        ),
        (
            "replace it, or go on with it: cnn train --resume t, or not",
            ["replace it, or go on with it:", "  cnn train --resume t, or not"],
        ),
        (
            "hint: write `cnn eval run-3 --split val --json` now",
            ["hint: write", "  `cnn eval run-3 --split val --json`", "  now"],
        ),
        ("next           cnn eval a --runs-dir scratch", ["next", "  cnn eval a --runs-dir scratch"]),
        (f"warning: {PATH}: it is blank", [f"warning: {PATH}:", "  it is blank"]),
        (f"wrote {PATH}", [f"wrote {PATH}"]),
        (
            "the model that ships with cnn, for the digits",
            ["the model that ships with cnn, for the", "  digits"],
        ),
    ],
)
def test_commands_and_paths_are_not_broken(text: str, lines: list[str]) -> None:
    assert broken(text, 40, indent=15 if text.startswith("next") else 2) == lines


def test_wide_characters_count_twice() -> None:
    assert broken("digit 漢漢漢漢 four", 14) == ["digit 漢漢漢漢", "  four"]


def test_each_line_of_a_message_is_broken_on_its_own_and_keeps_its_style() -> None:
    text = Text("one two\nthree four")
    text.stylize("bold", 4, 7)
    made = break_lines(text, 7, 1)
    assert made.plain == "one two\nthree\n four"
    assert [made.plain[span.start : span.end] for span in made.spans] == ["two"]


@pytest.fixture
def screen(monkeypatch) -> io.StringIO:
    """What is printed on a terminal of 40 columns."""
    file = io.StringIO()
    made = Console(file=file, force_terminal=True, width=40, color_system=None, markup=False, highlight=False)
    monkeypatch.setattr(console_module, "_console", lambda stream: made)
    return file


def test_a_terminal_gets_broken_lines(screen) -> None:
    print_error("the folder has no checkpoint that can be read", "train it first: cnn train --name run-1")
    note("a line of more than forty columns on stderr")
    print_facts([("speed", "825 images/s in training, 11.8 s in all")], 15)
    assert screen.getvalue().splitlines() == [
        "error: the folder has no checkpoint that",
        "  can be read",
        "hint: train it first:",
        "  cnn train --name run-1",
        "a line of more than forty columns on",
        "  stderr",
        "speed          825 images/s in training,",
        "               11.8 s in all",
    ]
