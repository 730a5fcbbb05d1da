"""The docstrings have examples, and the test runner runs every one of them."""

import ast
import doctest
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "cnncli"


@cache
def examples() -> dict[str, list[doctest.Example]]:
    """The examples of each module, found in its text."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        texts = [
            ast.get_docstring(node) or ""
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        ]
        found[str(path)] = [one for text in texts for one in doctest.DocTestParser().get_examples(text)]
    return found


def test_every_part_of_the_package_has_examples() -> None:
    parts = {Path(name).relative_to(PACKAGE).parts[0] for name, found in examples().items() if found}
    assert parts >= {"batches", "cli", "config", "data", "nn", "optim", "pictures", "report", "training"}
    assert sum(map(len, examples().values())) >= 60


def test_no_example_is_skipped() -> None:
    skipped = [
        f"{name}: {one.source.strip()}"
        for name, found in examples().items()
        for one in found
        if one.options.get(doctest.SKIP)
    ]
    assert not skipped


def test_the_test_runner_collects_them(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.getoption("doctestmodules")
    assert PACKAGE.name in pytestconfig.getini("testpaths")
