"""Texts for people write the same thing in the same form everywhere."""

import re
from pathlib import Path

TOP = Path(__file__).parents[1]

SOURCES = sorted(
    [
        *(TOP / "cnncli").rglob("*.py"),
        *(TOP / "benchmarks").glob("*.py"),
        *(TOP / "docs").glob("*.md"),
        *(TOP / "configs").glob("*.yaml"),
        *(TOP / "README.md", TOP / "CHANGELOG.md"),
    ]
)

# Ends a number, a field of an f-string or its format, and is no placeholder of strftime or the like.
PERCENT_WITHOUT_SPACE = re.compile(r"[0-9}]%(?![\w(])")


def test_a_space_stands_before_every_percent_sign() -> None:
    found = [
        f"{path.relative_to(TOP)}:{number}: {line.strip()}"
        for path in SOURCES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if PERCENT_WITHOUT_SPACE.search(line)
    ]
    assert not found, "\n".join(found)


def test_the_search_for_percent_signs_finds_them() -> None:
    for text in ("42% of", 'f"{share:.1%}"', 'f"{100 * share:.0f}%"', "99%"):
        assert PERCENT_WITHOUT_SPACE.search(text), text
    for text in ("42 % of", "%Y%m%d", "a % 2", "%2f%20b"):
        assert not PERCENT_WITHOUT_SPACE.search(text), text
