"""A training run on several sets: what an epoch is, what is held out, what is measured, and how it is resumed."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.data.load import load_dataset

from .conftest import CONFIG, write_tiny_set

SETS = "dataset: [tiny, other: {share: 0.25}]"


@pytest.fixture
def mixed(place: Path, cnn) -> Path:
    """The folder of a run of two epochs on two sets."""
    write_tiny_set(place / "other", train=90, test=12)
    (place / "mixed.yaml").write_text(CONFIG.replace("dataset: tiny", SETS))
    result = cnn("train", "mixed.yaml", "--name", "r", "--no-plots", "--json")
    assert result.exit_code == 0, result.stderr
    assert re.search(r"^each epoch: 13\d images of tiny, 4\d images of other$", result.stderr, re.M)
    document = json.loads(result.stdout)
    assert document["other_tests"].keys() == {"other"}
    return place / "runs/r"


def test_run_json_lists_the_sets(mixed: Path) -> None:
    info = json.loads((mixed / "run.json").read_text())
    assert info["dataset"] == "tiny + other"
    # 30 of 150 + 90 images are held out; 131 of tiny are in an epoch once, and a quarter is of the other
    sets = {each["name"]: each for each in info["sets"]}
    assert [sets["tiny"]["images"], sets["other"]["images"]] == [150, 90]
    assert sets["other"]["epoch_images"] == round(sets["tiny"]["epoch_images"] / 3)
    assert info["train_images"] == sets["tiny"]["epoch_images"] + sets["other"]["epoch_images"]
    assert info["validation_images"] == 30
    assert info["data_path"] == [str(mixed.parents[1] / name) for name in ("tiny", "other")]


def test_a_resume_ends_with_the_bits_of_the_unbroken_run(mixed: Path, cnn) -> None:
    with np.load(mixed / "checkpoints/last.npz") as file:
        whole = {name: file[name] for name in file.files if name.startswith("network/")}
    shutil.rmtree(mixed)
    short = ["--epochs", "1", "--name", "r", "--no-plots", "-q"]
    assert cnn("train", "mixed.yaml", *short).exit_code == 0
    assert cnn("train", "--resume", "r", "--epochs", "2", "--no-plots", "-q").exit_code == 0
    with np.load(mixed / "checkpoints/last.npz") as file:
        assert all(np.array_equal(array, file[name]) for name, array in whole.items())


def test_a_resume_refuses_another_share(mixed: Path, cnn) -> None:
    result = cnn("train", "--resume", "r", "--epochs", "3", "--set", "data.dataset.1.other.share=0.5")
    assert result.exit_code == 1 and "data.dataset" in result.stderr


def test_evaluation_measures_the_first_set_or_the_one_that_is_named(mixed: Path, cnn) -> None:
    counts = {}
    for options in ([], ["--dataset", "other"], ["--split", "val"], ["--split", "train"]):
        result = cnn("eval", "r", *options, "--json", "--no-plots")
        assert result.exit_code == 0, result.stderr
        document = json.loads(result.stdout)
        counts[(document["dataset"], document["split"])] = document["count"]
    assert counts == {
        ("tiny", "test"): 30,
        ("other", "test"): 12,
        ("tiny + other", "val"): 30,
        ("tiny + other", "train"): 210,
    }
    assert (mixed / "eval/other/test.json").is_file() and (mixed / "eval/val.json").is_file()
    refused = cnn("eval", "r", "--dataset", "other", "--split", "val")
    assert refused.exit_code == 2 and "together" in refused.stderr


def test_a_changed_set_has_no_validation_images_of_the_run(mixed: Path, cnn) -> None:
    write_tiny_set(mixed.parents[1] / "other", train=87, test=12)
    assert cnn("eval", "r", "--json", "--no-plots").exit_code == 0
    result = cnn("eval", "r", "--split", "val", "--no-plots")
    assert result.exit_code == 1 and "not those that r was trained on" in result.stderr


def test_one_set_that_moved_is_found_beside_one_that_did_not(mixed: Path, cnn) -> None:
    place = mixed.parents[1]
    shutil.move(place / "other", place / "new/other")
    arguments = ["eval", "r", "--split", "val", "--no-plots"]
    assert cnn(*arguments).exit_code != 0
    assert cnn(*arguments, "--data-dir", "new").exit_code == 0


def test_what_does_not_fit_is_told_at_once_and_before_any_data_is_read(place: Path, cnn) -> None:
    (place / "bad.yaml").write_text(
        CONFIG.replace("dataset: tiny", "dataset:\n    [mnist,\n    fashion-mnist,\n    mnst]").replace(
            "data: {", "data: {\n    "
        )
    )
    result = cnn("train", "bad.yaml")
    assert result.exit_code == 2
    assert (
        "fashion-mnist has the classes" in result.stderr and "no data set is called 'mnst'" in result.stderr
    )


def test_sets_of_other_sizes_or_classes_are_told_with_their_lines(place: Path, cnn) -> None:
    write_tiny_set(place / "two", train=30)
    lines = "dataset:\n    [tiny,\n    synthetic,\n    nowhere]"
    (place / "bad.yaml").write_text(CONFIG.replace("dataset: tiny", lines))
    result = cnn("train", "bad.yaml")
    assert "bad.yaml:5: data.dataset.2: no data set is called 'nowhere'" in result.stderr
    (place / "bad.yaml").write_text(CONFIG.replace("dataset: tiny", "dataset: [tiny, synthetic]"))
    result = cnn("train", "bad.yaml")
    assert result.exit_code == 2
    assert "as well" in result.stderr and "28x28 gray pixels" in result.stderr


def test_a_dry_run_of_several_sets_is_short(mixed: Path, cnn) -> None:
    result = cnn("train", "mixed.yaml", "--dry-run", "-q")
    assert result.exit_code == 0 and "60 images were trained on" in result.stdout


def test_a_dry_run_tests_few_images_of_every_set(mixed: Path, cnn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnncli.training.dry_run.HELD_OUT", 10)
    result = cnn("train", "mixed.yaml", "--dry-run", "-q")
    assert result.exit_code == 0, result.stderr


def test_a_list_of_one_set_keeps_its_limit_in_an_evaluation(place: Path, cnn) -> None:
    (place / "one.yaml").write_text(CONFIG.replace("dataset: tiny", "dataset: [tiny: {limit: 90}]"))
    assert cnn("train", "one.yaml", "--name", "r", "--no-plots", "-q").exit_code == 0
    for split, count in (("val", 30), ("train", 60), ("test", 30)):
        result = cnn("eval", "r", "--split", split, "--json", "--no-plots")
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["count"] == count


def test_pictures_beside_digits_are_prepared_as_digits(place: Path, cnn) -> None:
    test = load_dataset("synthetic").test
    for number in range(60):
        folder = place / "mine" / str(test.labels[number])
        folder.mkdir(parents=True, exist_ok=True)
        paper = Image.new("L", (60, 80), 255)
        paper.paste(Image.fromarray(255 - test.images[number]), (20, 40))
        paper.save(folder / f"{number}.png")
    digits = CONFIG.replace("dataset: tiny", "dataset: [synthetic: {limit: 100}, folder:mine]")
    (place / "mine.yaml").write_text(digits.replace("linear: 3", "linear: 10"))
    assert cnn("train", "mine.yaml", "--name", "r", "--epochs", "1", "--no-plots", "-q").exit_code == 0
    info = json.loads((place / "runs/r/run.json").read_text())
    assert info["preparation"]["form"] == "digits" and info["preparation"]["background"] == "dark"
    assert any("the digit of each picture is found" in note for note in info["data_notes"])
    for options, count in ((["--dataset", "folder:mine"], None), (["--split", "val"], 30)):
        result = cnn("eval", "r", *options, "--json", "--no-plots")
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["count"] == count or count is None
