"""A table fits into the terminal: columns are left out, gaps shrink, names are cut; no figure ever is."""

import io

import pytest
from rich.console import Console

from cnncli.cli.eval_tables import class_table, worst_pairs
from cnncli.cli.inspect_network import epoch_table
from cnncli.cli.layer_table import layer_table
from cnncli.cli.tables import Column, fitted_table, table
from cnncli.config.load import load_config
from cnncli.training.prepare import build_untrained
from tests.cli.test_eval import measured

WIDTHS = [40, 60, 80, 120]

NAMES = [f"a class with a name as long as number {number}" for number in range(26)]


def console_of(width: int) -> Console:
    return Console(file=io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), width=width)


def printed(made, console: Console) -> list[str]:
    with console.capture() as captured:
        console.print(made)
    return [line.rstrip() for line in captured.get().splitlines()]


def test_a_column_marked_so_is_aligned_to_the_right() -> None:
    made = table("layer", "parameters>")
    assert [column.justify for column in made.columns] == ["left", "right"]
    assert [column.header for column in made.columns] == ["layer", "parameters"]


COLUMNS = [
    Column("class", ["capital letter A", "total"]),
    Column("images>", ["1,200", "1,300"]),
    Column("share>", ["92.3 %", ""], 1),
    Column("remark", ["twelve signs", ""], 2),
]


@pytest.mark.parametrize(
    ("width", "heads", "first"),
    [
        (49, ["class", "images", "share", "remark"], "capital letter A    1,200   92.3 %   twelve signs"),
        (48, ["class", "images", "share"], "capital letter A    1,200   92.3 %"),
        (34, ["class", "images", "share"], "capital letter A    1,200   92.3 %"),
        (33, ["class", "images"], "capital letter A    1,200"),
        (24, ["class", "images"], "capital letter A  1,200"),
        (20, ["class", "images"], "capita~tter A  1,200"),
    ],
)
def test_the_least_important_column_goes_first_and_the_names_are_cut_last(width, heads, first) -> None:
    console = Console(file=io.StringIO(), width=width)
    lines = printed(fitted_table(COLUMNS, console, total=True), console)
    assert lines[0].split() == heads
    assert lines[2] == first
    assert max(map(len, lines)) <= width


def test_names_in_two_columns_are_cut_alike_and_figures_never() -> None:
    columns = [
        Column("true", ["x" * 40], are_names=True),
        Column("predicted", ["y" * 30], are_names=True),
        Column("times>", ["1,234"]),
    ]
    console = console_of(30)
    lines = printed(fitted_table(columns, console), console)
    left, right, times = lines[2].split()
    assert len(left) + len(right) + len(times) + 2 == 30
    assert abs(len(left) - len(right)) <= 1 and times == "1,234"


def test_a_text_that_may_have_several_lines_keeps_its_words() -> None:
    columns = [Column("name", ["conv1"]), Column("what it does", ["a text of more than one line"], 1, 12)]
    console = console_of(25)
    lines = printed(fitted_table(columns, console), console)
    assert max(map(len, lines)) <= 25 and len(lines) > 3
    assert " ".join(line[5:].strip() for line in lines[2:]) == "a text of more than one line"


@pytest.mark.parametrize("width", WIDTHS)
def test_the_table_of_layers_keeps_the_parameters(width: int) -> None:
    network, console = build_untrained(load_config("bundled")), console_of(width)
    lines = printed(layer_table(network, console, details=True), console)
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("layer") and "output shape" in lines[0] and "parameters" in lines[0]
    assert lines[-1].split()[:2] == ["total", "70,314"]
    assert len(lines) == 2 + 1 + len(network.layers) + 2  # no row is broken in two
    assert ("multiply-adds" in lines[0]) == (width >= 60)
    assert ("receptive field" in lines[0]) == (width >= 80)
    assert ("share" in lines[0]) == (width >= 120)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_table_of_epochs_keeps_the_validation_accuracy(width: int) -> None:
    row = {
        "epoch": 7,
        "train_loss": 0.1,
        "train_accuracy": 0.97,
        "val_loss": 0.2,
        "val_accuracy": 0.9912,
        "lr": 1e-3,
    }
    console = console_of(width)
    lines = printed(epoch_table([row], 7, console), console)
    assert max(map(len, lines)) <= width and len(lines) == 3
    assert lines[2].startswith("7 best") and "99.12 %" in lines[2]
    assert ("lr" in lines[0]) == (width >= 80)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_tables_of_an_evaluation_cut_long_names_instead_of_figures(width: int) -> None:
    import numpy as np

    confusion = np.diag(np.arange(1000, 1026))
    confusion[3, 4] = confusion[25, 24] = 12345
    console = console_of(width)
    lines = printed(class_table(measured(confusion), NAMES, console), console)
    assert max(map(len, lines)) <= width
    assert lines[-1].split()[-1] == f"{confusion.sum():,}"
    (last,) = (line for line in lines if "25 " in line and line.startswith("a "))
    assert last.split()[-1] == "13,370"
    pairs = printed(worst_pairs(confusion, NAMES, console), console)
    assert max(map(len, pairs)) <= width and len(pairs) == 4
    assert pairs[2].split()[-2:] == ["12,345", "13,348"] and pairs[3].split()[-2:] == ["12,345", "13,370"]
