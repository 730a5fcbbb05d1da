"""A name is that very name, else the only one that begins so, else a guess."""

import pytest

from cnncli.names import did_you_mean, matching


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("run-1", ["run-1"]),
        ("w", ["wide"]),
        ("run", ["run-1", "run-12"]),
        ("x", []),
    ],
)
def test_the_very_name_comes_before_those_that_begin_with_it(text: str, found: list[str]) -> None:
    assert matching(text, ["run-1", "run-12", "wide"]) == found


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("max_pool", ["conv", "maxpool"], "did you mean 'maxpool'?"),
        ("xyz", ["conv", "maxpool"], "known: conv, maxpool"),
        ("xyz", [], None),
        ("emnist", ["mnist", "emnist-digits"], "did you mean 'emnist-digits'?"),
        ("em", ["mem", "emnist-digits"], "did you mean 'mem'?"),
    ],
)
def test_the_hint_is_the_nearest_name_or_all_names(word: str, known: list[str], hint: str | None) -> None:
    assert did_you_mean(word, known) == hint
