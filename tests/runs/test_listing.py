"""A runs folder is listed whatever is in it, from small files alone."""

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from cnncli.runs import Group, create_run
from cnncli.runs.listing import Listed, list_folder, look_at, sort_runs
from tests.runs.sample import finished_run, run_code


def listed(runs_dir: Path) -> dict[str, Listed]:
    return {each.name: each for each in list_folder(runs_dir)}


def test_a_run_is_listed_with_its_figures(tmp_path: Path) -> None:
    run = finished_run(tmp_path, "wide")
    figures: dict[str, Any] = {"epochs_done": 3, "epochs": 5, "val_accuracy": 0.98, "test_accuracy": 0.97}
    run.write_info(config="configs/mnist.yaml", seconds=12.5, parameters=10, seed=7, **figures)
    (found,) = list_folder(tmp_path)
    assert (found.name, found.kind, found.status, found.config) == ("wide", "run", "done", "mnist.yaml")
    assert (found.epochs, found.epochs_wanted, found.val_accuracy, found.seed) == (3, 5, 0.98, 7)
    files = [path for path in run.path.rglob("*") if path.is_file()]
    assert found.bytes == sum(path.stat().st_size for path in files)
    assert found.created is not None and run.read_info()["created"].startswith(found.created.isoformat()[:19])
    json.dumps(found.to_json())


def test_what_is_broken_or_foreign_is_listed_as_that(tmp_path: Path) -> None:
    for name in ("damaged", "list", "strange", "deep"):
        finished_run(tmp_path, name)
    (tmp_path / "damaged/run.json").write_text('{"status": "do')
    (tmp_path / "list/run.json").write_text("[]")
    (tmp_path / "strange/run.json").write_text('{"status": 3}')
    (tmp_path / "deep/run.json").write_text("[" * 100_000)
    (tmp_path / "empty").mkdir()
    (tmp_path / "begun/checkpoints").mkdir(parents=True)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    found = listed(tmp_path)
    assert {name: each.status for name, each in found.items()} == {
        **dict.fromkeys(("damaged", "list", "strange", "deep", "empty", "begun"), "broken"),
        "photos": "no run",
    }
    assert "run.json is damaged" in str(found["damaged"].problem)


@pytest.mark.parametrize(
    "value", [True, "0.9", None, [], {}, math.nan, math.inf, 10**400, -(10**400), {"mean": 1}]
)
def test_a_figure_of_another_type_is_none(tmp_path: Path, value: Any) -> None:
    run = finished_run(tmp_path)
    keys = ("config", "epochs_done", "val_accuracy", "seconds", "seed", "created")
    run.write_info(**dict.fromkeys(keys, value))
    (found,) = list_folder(tmp_path)
    assert found.status == "done"
    assert (found.val_accuracy, found.seconds, found.epochs, found.seed) == (None, None, None, None)
    assert found.config == (value if isinstance(value, str) else None)
    json.dumps(found.to_json(), allow_nan=False)


def test_a_text_of_a_run_cannot_move_the_cursor(tmp_path: Path) -> None:
    finished_run(tmp_path).write_info(config="a\x1b[2Jb\nc")
    (found,) = list_folder(tmp_path)
    assert found.config == "a [2Jb c"


def test_a_killed_run_is_told_from_one_that_goes_on(tmp_path: Path) -> None:
    create_run(tmp_path, "going")
    run_code("import sys; from cnncli.runs import create_run; create_run(sys.argv[1], 'killed')", tmp_path)
    assert {name: each.status for name, each in listed(tmp_path).items()} == {
        "going": "running",
        "killed": "killed",
    }


def test_a_group_is_one_line_and_its_runs_are_listed_by_its_name(tmp_path: Path) -> None:
    group = Group(tmp_path / "five")
    group.path.mkdir()
    spread = {"mean": 0.98, "std": 0.001}
    group.write_info(kind="seeds", status="done", members=2, val_accuracy=spread, config="m.yaml")
    for seed in (10, 9):
        finished_run(group.path, f"seed-{seed}")
    (found,) = list_folder(tmp_path)
    assert (found.kind, found.members, found.val_accuracy, found.val_std) == ("seeds", 2, 0.98, 0.001)
    assert {each.name for each in list_folder(tmp_path, "five")} == {"five/seed-9", "five/seed-10"}
    assert [run.path.name for run in group.runs()] == ["seed-9", "seed-10"]


def test_the_best_come_first_and_those_without_a_figure_last(tmp_path: Path) -> None:
    for name, value in (("b", 0.5), ("a", None), ("c", 0.9), ("d10", 0.7), ("d9", 0.7)):
        finished_run(tmp_path, name).write_info(val_accuracy=value, val_loss=value)
    runs = list(list_folder(tmp_path))
    assert [each.name for each in sort_runs(runs, "val")] == ["c", "d9", "d10", "b", "a"]
    assert [each.name for each in sort_runs(runs, "val_loss")] == ["b", "d9", "d10", "c", "a"]
    assert [each.name for each in sort_runs(runs, "val", reverse=True)] == ["b", "d9", "d10", "c", "a"]
    assert sort_runs(runs, "when")[0].name == "d9"


def test_a_folder_that_may_not_be_read_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> list[str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "listdir", refuse)
    found = look_at(tmp_path, "closed")
    assert (found.status, found.problem) == ("broken", "permission denied")


def test_no_arrays_are_loaded_for_a_list(tmp_path: Path) -> None:
    code = "import sys, cnncli.runs.filters, cnncli.runs.change; print('numpy' in sys.modules, 'yaml' in sys.modules)"
    assert run_code(code).stdout == "False False\n"
