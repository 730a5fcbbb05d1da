"""The examples in the docstrings of optim, training and report give what they say."""

import doctest
import importlib
from pathlib import Path

import numpy as np
import pytest

import cnncli

ROOT = Path(cnncli.__file__).parent
MODULES = sorted(
    f"cnncli.{part}.{path.stem}"
    for part in ("optim", "training", "report")
    for path in (ROOT / part).glob("*.py")
    if path.stem != "__init__"
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name: str) -> None:
    module = importlib.import_module(name)
    outcome = doctest.testmod(module, extraglobs={"np": np})
    assert outcome.failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    counts = [sum(len(t.examples) for t in finder.find(importlib.import_module(name))) for name in MODULES]
    assert sum(counts) > 10
