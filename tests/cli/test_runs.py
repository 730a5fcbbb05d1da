"""`cnn runs` lists, compares, removes and renames runs, whatever is in the folder."""

import csv
import io
import json
import os
from pathlib import Path

import pytest

from cnncli.runs import Group
from tests.runs.sample import finished_run, row


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with four runs, a group of two, a broken run and a foreign folder."""
    monkeypatch.chdir(tmp_path)
    runs_dir = Path("runs")
    for number, value in enumerate((0.91, 0.99, 0.95)):
        run = finished_run(runs_dir, f"run-{number}")
        run.write_info(val_accuracy=value, epochs=5, epochs_done=5, config="tiny.yaml", seconds=70.0)
        run.config_path.write_text(f"seed: {number}\ntrain: {{epochs: 5}}\n")
        run.rewrite_metrics([row(epoch, val_accuracy=value - 0.1 / epoch) for epoch in range(1, 6)])
    finished_run(runs_dir, "stopped", status="interrupted")
    for seed in (1, 2):
        finished_run(runs_dir / "five", f"seed-{seed}").rewrite_metrics([row(1, val_accuracy=0.5)])
    spread = {"mean": 0.98, "std": 0.0015}
    Group(runs_dir / "five").write_info(kind="seeds", status="done", members=2, val_accuracy=spread)
    (runs_dir / "half/checkpoints").mkdir(parents=True)
    (runs_dir / "photos").mkdir()
    (runs_dir / "photos/a.jpg").touch()
    return runs_dir


def names(output: str) -> list[str]:
    return [line.split()[0] for line in output.splitlines()[1:]]


def test_all_is_listed_with_the_newest_first(runs, cnn) -> None:
    done = cnn("runs")
    assert done.exit_code == 0
    # the newest first
    assert names(done.stdout)[-4:] == ["stopped", "run-2", "run-1", "run-0"]
    assert set(names(done.stdout)) == {"run-0", "run-1", "run-2", "stopped", "five/", "half", "photos"}
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "98.00 ± 0.15 %" in lines["five/"] and "2 runs" in lines["five/"]
    assert " broken " in lines["half"] and " no run " in lines["photos"]
    assert " 99.00 % " in lines["run-1"] and " 5/5 " in lines["run-1"] and " 1:10 min" in lines["run-1"]
    assert "half/run.json is missing" in done.stderr
    assert cnn("runs", "list").stdout == done.stdout


def test_the_list_is_sorted_filtered_and_cut(runs, cnn) -> None:
    assert names(cnn("runs", "--sort", "val", "-n", "2").stdout) == ["run-1", "five/"]
    assert names(cnn("runs", "--sort", "-val", "-n", "1").stdout) == ["run-0"]
    assert names(cnn("runs", "-f", "val>=95 %", "-f", "name=run*", "--sort", "name").stdout) == [
        "run-1",
        "run-2",
    ]
    assert names(cnn("runs", "--status", "interrupted,broken", "--sort", "name").stdout) == [
        "half",
        "stopped",
    ]
    assert names(cnn("runs", "-f", "train.epochs=5", "-f", "seed!=3", "--sort", "name").stdout) == [
        "run-0",
        "run-1",
        "run-2",
    ]
    assert "no run meets these conditions" in cnn("runs", "-f", "val>1").stdout
    assert names(cnn("runs", "--group", "five", "--sort", "name").stdout) == ["five/seed-1", "five/seed-2"]
    assert "five/seed-2" in names(cnn("runs", "--all").stdout)


def test_scripts_get_json_and_csv(runs, cnn) -> None:
    document = json.loads(cnn("runs", "--json", "--sort", "val").stdout)
    assert document["runs_dir"] == "runs" and len(document["runs"]) == 7
    best = document["runs"][0]
    assert (best["name"], best["val_accuracy"], best["path"]) == (
        "run-1",
        0.99,
        os.path.join("runs", "run-1"),
    )
    rows = list(csv.DictReader(io.StringIO(cnn("runs", "--csv", "-", "--sort", "val").stdout)))
    assert [each["name"] for each in rows][:2] == ["run-1", "five"] and rows[0]["val_accuracy"] == "0.99"
    done = cnn("runs", "--csv", "list.csv")
    assert "wrote list.csv, 7 runs" in done.stderr and not done.stdout
    assert len(Path("list.csv").read_text().splitlines()) == 8


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["--sort", "vall"], 2, "did you mean 'val'?"),
        (["--status", "dead"], 2, "there is no status 'dead'"),
        (["--filter", "valu>1"], 2, "there is no key 'valu'"),
        (["--group", "none"], 1, "there is no group 'none'"),
        (["remove"], 2, "did you mean 'rm'?"),
        (["run-1"], 2, "there is no command 'run-1'"),
        (["--runs-dir", "x", "rm", "run-1"], 2, "the options of cnn runs rm stand after it"),
        (["rm"], 2, "which runs?"),
        (["rm", "none", "-y"], 1, "there is no run 'none'"),
        (["rm", "n*", "-y"], 1, "no run in runs matches 'n*'"),
        (["rm", "run-1"], 2, "--yes"),
        (["rename", "run-1", "x"], 2, "--yes"),
        (["rename", "run-1", "run-2", "-y"], 1, "exists already"),
        (["rename", "run-1", "a/b", "-y"], 2, "cannot be the name of a run"),
        (["rm", "photos", "-y"], 1, "is no run"),
        (["compare", "run-1"], 2, "there is nothing to compare run-1 with"),
        (["compare", "run-1", "none"], 1, "there is no run 'none'"),
    ],
)
def test_a_mistake_is_explained_and_changes_nothing(runs, cnn, args, code, message) -> None:
    done = cnn("runs", *args)
    assert done.exit_code == code, done.output
    assert message in done.stderr
    assert len(list(runs.iterdir())) == 7


def test_an_empty_folder_says_how_to_start(tmp_path, monkeypatch, cnn) -> None:
    monkeypatch.chdir(tmp_path)
    done = cnn("runs")
    assert done.exit_code == 0 and "train one: cnn train" in done.stdout
    assert json.loads(cnn("runs", "--json").stdout)["runs"] == []


def test_runs_are_removed_by_pattern_and_by_condition(runs, cnn) -> None:
    done = cnn("runs", "rm", "run-[01]", "--yes")
    assert done.stdout.splitlines() == ["removed run-0", "removed run-1"]
    done = cnn("runs", "rm", "--status", "broken,interrupted,no run", "--yes")
    assert done.stdout.splitlines() == ["removed half", "removed stopped"]
    assert {path.name for path in runs.iterdir()} == {"run-2", "five", "photos"}
    assert "nothing is removed" in cnn("runs", "rm", "--status", "failed").stderr


def test_a_run_gets_another_name(runs, cnn) -> None:
    assert cnn("runs", "rename", "run-1", "wide", "-y").stdout == f"run-1 is now {runs / 'wide'}\n"
    assert "wide" in names(cnn("runs").stdout)


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, False), ("n\n", 1, True), ("", 1, True)])
def test_on_a_terminal_it_asks(runs, cnn, monkeypatch, answer, code, left) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    import cnncli.cli.runs as command

    monkeypatch.setattr(command, "_stdin", lambda: Terminal(answer))
    done = cnn("runs", "rm", "run-1")
    assert done.exit_code == code
    assert "remove run-1, " in done.stderr and "[y/N]" in done.stderr
    assert (runs / "run-1").exists() == left


def test_runs_are_compared_side_by_side(runs, cnn, monkeypatch) -> None:
    done = cnn("runs", "compare", "run-0", "run-1", "--save", "curves.png")
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["seed", "0", "1"] in lines and ["validation", "91.00", "%", "99.00", "%"] in lines
    assert not any(line[:1] == ["train.epochs"] for line in lines)
    assert Path("curves.png").read_bytes().startswith(b"\x89PNG")
    document = json.loads(cnn("runs", "compare", "run-0", "run-1", "--json").stdout)
    assert document["config"] == {"seed": [0, 1]}
    assert len(document["curves"]["run-1"]) == 5
    groups = json.loads(cnn("runs", "compare", "five", "run-1", "--json").stdout)
    assert groups["runs"] == ["five/seed-1", "five/seed-2", "run-1"]


def test_a_run_of_a_group_is_found_by_the_name_of_both(runs, cnn) -> None:
    assert "no checkpoint" not in cnn("eval", "five/seed-1").stderr
    assert "none of them is finished" in cnn("eval", "five").stderr


def test_the_curves_need_an_epoch(runs, cnn) -> None:
    done = cnn("runs", "compare", "stopped", "half", "--save", "curves.png")
    assert done.exit_code == 1 and "there are no curves to draw" in done.stderr
