"""`cnn eval`: the figures, the gate, ensembles, other sets, and what stays in the run folder."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from cnncli.cli.eval import confusion_table, worst_pairs

TRAIN = ("train", "-c", "tiny.yaml", "-q", "--no-plots")


@pytest.fixture
def run(place: Path, cnn) -> str:
    result = cnn(*TRAIN)
    assert result.exit_code == 0, result.stderr
    return "run-1"


def test_the_figures_are_those_of_the_training(cnn, run) -> None:
    result = cnn("eval", run, "--no-plots", "--json")
    document = json.loads(result.stdout)
    at_the_end = json.loads(Path("runs/run-1/run.json").read_text())
    assert document["accuracy"] == at_the_end["test_accuracy"]
    assert document["loss"] == pytest.approx(at_the_end["test_loss"], rel=1e-5)
    assert (document["run"], document["checkpoint"], document["dataset"], document["split"]) == (
        *("run-1", "best", "tiny", "test"),
    )
    assert document["count"] == 30 == np.sum(document["confusion"])
    assert [each["support"] for each in document["per_class"]] == [10, 10, 10]
    assert json.loads(Path("runs/run-1/eval/test.json").read_text()) == document


def test_the_validation_images_are_those_held_out_of_the_training(cnn, run) -> None:
    document = json.loads(cnn("eval", run, "--split", "val", "--no-plots", "--json").stdout)
    assert document["count"] == 30
    assert document["accuracy"] == json.loads(Path("runs/run-1/run.json").read_text())["val_accuracy"]
    assert json.loads(cnn("eval", run, "--split", "train", "--no-plots", "--json").stdout)["count"] == 120


def test_tables_and_pictures(cnn, run) -> None:
    result = cnn("eval", "latest")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "run       run-1, best checkpoint"
    assert [line.split()[0] for line in lines if line.startswith(("class", "true"))] == ["class", "true"]
    made = {path.name for path in Path("runs/run-1/eval").iterdir()}
    assert made == {"test.json", "test-confusion.png", "test-mistakes.png"}


@pytest.mark.parametrize(("gate", "code"), [("0", 0), ("1", 3)])
def test_the_gate(cnn, run, gate, code) -> None:
    flipped = np.random.default_rng(0).permutation(30).astype(np.uint8) % 3
    from cnncli.data.readers.idx import write_idx

    write_idx(Path("tiny/t10k-labels-idx1-ubyte"), flipped)  # nobody reads these right
    result = cnn("eval", run, "--no-plots", "--min-accuracy", gate)
    assert result.exit_code == code
    assert ("below the 100 % asked for" in result.stderr) == (code == 3)
    assert "accuracy" in result.stdout


def test_several_runs_are_an_ensemble(cnn, run) -> None:
    assert cnn(*TRAIN, "--set", "train.batch_size=30").exit_code == 0
    result = cnn("eval", "run-1", "run-2", "--json")
    document = json.loads(result.stdout)
    assert document["run"] == "run-1+run-2"
    assert document["count"] == 30
    assert not Path("runs/run-1/eval/test-confusion.png").exists()


def test_an_ensemble_has_to_agree_on_what_it_held_out(cnn, run) -> None:
    assert cnn(*TRAIN, "--seed", "1").exit_code == 0
    result = cnn("eval", "run-1", "run-2", "--split", "val")
    assert result.exit_code == 2
    assert "run-1: 42, run-2: 1" in result.stderr
    assert cnn("eval", "run-1", "run-2", "--split", "test", "--json").exit_code == 0


def test_another_set_is_kept_apart_from_its_own(cnn, run) -> None:
    shutil.copytree("tiny", "other")
    result = cnn("eval", run, "--dataset", "other", "--no-plots", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(Path("runs/run-1/eval/other/test.json").read_text())["dataset"] == "other"
    assert json.loads(Path("runs/run-1/eval/test.json").read_text())["dataset"] == "tiny"
    refused = cnn("eval", run, "--dataset", "other", "--split", "val")
    assert refused.exit_code == 2


def test_the_last_checkpoint_is_kept_apart_from_the_best(cnn, run) -> None:
    result = cnn("eval", run, "--checkpoint", "last", "--no-plots", "--json")
    assert json.loads(result.stdout)["checkpoint"] == "last"
    assert Path("runs/run-1/eval/last/test.json").exists()


def test_a_checkpoint_file_can_be_named(cnn, run) -> None:
    shutil.copy("runs/run-1/checkpoints/best.npz", "taken-home.npz")
    document = json.loads(cnn("eval", "taken-home.npz", "--json").stdout)
    assert (document["run"], document["checkpoint"]) == ("run-1", "taken-home")


def test_a_set_of_other_images_is_refused(cnn, run) -> None:
    result = cnn("eval", run, "--dataset", "synthetic")
    assert result.exit_code == 1
    assert "(1, 8, 8)" in result.stderr and "(1, 28, 28)" in result.stderr


def test_a_run_folder_that_cannot_be_written_costs_a_warning_only(cnn, run) -> None:
    shutil.rmtree("runs/run-1/eval")
    Path("runs/run-1/eval").write_text("in the way")
    result = cnn("eval", run, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["count"] == 30
    assert "warning: the result is not kept" in result.stderr


def test_a_run_that_is_not_there(cnn, place) -> None:
    result = cnn("eval", "run-9")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")


def rows_of(made) -> list[list[str]]:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(made)
    return [line.split() for line in captured.get().splitlines()[2:]]


def test_long_class_names_are_numbered_in_the_matrix() -> None:
    rows = rows_of(confusion_table(np.array([[7, 0], [1, 2000]]), ["Sneaker", "Ankle boot"]))
    assert rows == [["0", "Sneaker", "7", "."], ["1", "Ankle", "boot", "1", "2,000"]]


def test_the_worst_pairs_come_first() -> None:
    confusion = np.array([[5, 1, 0], [3, 5, 0], [0, 0, 5]])
    assert rows_of(worst_pairs(confusion, ["a", "b", "c"])) == [["b", "a", "3", "8"], ["a", "b", "1", "6"]]
