"""The examples in the docstrings of the network give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import cnncli.nn

MODULES = ["cnncli.nn", *(module.name for module in pkgutil.walk_packages(cnncli.nn.__path__, "cnncli.nn."))]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = [
        test for name in MODULES for test in finder.find(importlib.import_module(name)) if test.examples
    ]
    assert len(examples) >= 8
