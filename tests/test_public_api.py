"""The names that others may rely on: all there, all documented, typed as they are at run time."""

import ast
import inspect
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import cnncli

NAMES = [name for name in cnncli.__all__ if name != "__version__"]


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_there_and_documented(name) -> None:
    value = getattr(cnncli, name)
    assert value is getattr(import_module(f"cnncli.{cnncli._HOMES[name]}"), name)
    assert inspect.getdoc(value)


def test_the_list_the_table_and_the_types_agree() -> None:
    tree = ast.parse(Path(cnncli.__file__).read_text("utf-8"))
    (typed,) = [node for node in tree.body if isinstance(node, ast.If)]
    imported = {
        alias.name: statement.module
        for statement in typed.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert imported == {name: f"cnncli.{home}" for name, home in cnncli._HOMES.items()}
    assert sorted(NAMES) == sorted(cnncli._HOMES)
    assert cnncli.__all__ == sorted(cnncli.__all__)


def test_dir_lists_what_is_not_imported_yet() -> None:
    assert set(cnncli.__all__) <= set(dir(cnncli))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        cnncli.trian  # noqa: B018


def test_the_names_work_together() -> None:
    layers = [
        ("conv", {"filters": 4, "kernel": 3, "stride": 2}),
        ("relu", {}),
        ("flatten", {}),
        ("linear", {"units": 3}),
    ]
    network = cnncli.build_network(layers, (1, 8, 8), rng=np.random.default_rng(0))
    images = np.random.default_rng(1).integers(0, 256, (12, 8, 8), dtype=np.uint8)
    with cnncli.compile(network, "plain") as executor:
        found = cnncli.evaluate(executor, images, np.arange(12) % 3)
    assert found.count == 12
    assert found.confusion.sum() == 12
