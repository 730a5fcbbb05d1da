"""Folders of the user's own pictures, from `cnn train` to `cnn eval`: what is read, and what is said about the rest."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.training.model import load_model

CONFIG = """
data: {dataset: "folder:shapes"}
model: [flatten, {linear: 2}]
train: {epochs: 1, batch_size: 10}
engine: {kind: plain}
"""


def write_pictures(
    folder: Path, classes: str = "ab", count: int = 20, size: tuple[int, int] = (28, 28)
) -> None:
    """Write bright squares on black: "a" has them at the left, "b" at the right, "c" nowhere."""
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            image = np.full((size[1], size[0], 3), number, np.uint8)
            left = {"a": 4, "b": size[0] - 12, "c": size[0]}[name]
            image[4:12, left : left + 8] = (255, 200, 90)
            Image.fromarray(image).save(folder / name / f"{number:02}.png")


@pytest.fixture
def shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a config and a folder of pictures."""
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "shapes")
    (tmp_path / "shapes.yaml").write_text(CONFIG)
    return tmp_path


TRAIN = ("train", "--config", "shapes.yaml", "--no-plots")


def test_a_small_folder_trains_with_the_defaults(cnn, shapes) -> None:
    result = cnn(*TRAIN)
    assert result.exit_code == 0, result.stderr
    assert "data folder:shapes: 29 images to train on, 3 held out for validation" in result.stderr


def test_what_is_left_out_and_unusual_is_said_once_and_kept(cnn, shapes) -> None:
    Path("shapes/readme.txt").write_text("x")
    result = cnn(*TRAIN, "--json", "--set", "data.normalize={mean: 33.3, std: 78.6}")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count("left out: 1 not a picture (readme.txt)") == 1
    assert result.stderr.count("warning: data.normalize has mean 33.3 and std 78.6") == 1
    document = json.loads(result.stdout)
    info = json.loads(Path("runs/run-1/run.json").read_text())
    for found in (document, info):
        assert found["left_out"] == {"not a picture": 1}
        assert "left out: 1 not a picture (readme.txt)" in found["data_notes"]
        assert any("33.3" in note for note in found["data_notes"])


def test_size_and_colour_come_from_the_config(cnn, shapes) -> None:
    config = cnn(*TRAIN, "--set", "data.size=[20, 32]", "--set", "data.colour=true")
    assert config.exit_code == 0, config.stderr
    assert "squeezed to 32x20 color" in config.stderr
    assert load_model("runs/run-1").network.input_shape == (3, 20, 32)
    assert cnn("eval", "run-1", "--no-plots").exit_code == 0
    assert cnn(*TRAIN, "--dry-run", "--set", "data.size=16").exit_code == 0


def test_a_published_set_has_no_other_size(cnn, shapes) -> None:
    for options in (("--dry-run",), ()):
        result = cnn(*TRAIN, *options, "--set", "data.dataset=synthetic", "--set", "data.size=32")
        assert result.exit_code == 2
        assert "the size and the colors of synthetic are fixed" in result.stderr
    assert not Path("runs").exists()


def test_a_validation_folder_chooses_the_epoch_and_is_measured_as_val(cnn, shapes) -> None:
    Path("shapes").rename("moved")
    Path("shapes").mkdir()
    Path("moved").rename("shapes/train")
    write_pictures(Path("shapes/val"), count=4)
    result = cnn(*TRAIN)
    assert "32 images to train on, 8 held out for validation" in result.stderr
    assert "data.validation is not used" in result.stderr
    measured = cnn("eval", "run-1", "--split", "val", "--no-plots", "--json")
    assert measured.exit_code == 0, measured.stderr
    assert json.loads(measured.stdout)["count"] == 8


def test_another_folder_with_some_of_the_classes_is_matched_by_name(cnn, shapes) -> None:
    assert cnn(*TRAIN, "--set", "train.epochs=20").exit_code == 0
    write_pictures(Path("new/test"), classes="b", count=6)
    result = cnn("eval", "run-1", "--dataset", "folder:new", "--no-plots", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert (document["count"], document["accuracy"]) == (6, 1.0)
    assert [entry["support"] for entry in document["per_class"]] == [0, 6]


def test_another_folder_with_an_unknown_class_is_refused_by_its_name(cnn, shapes) -> None:
    assert cnn(*TRAIN).exit_code == 0
    write_pictures(Path("new/test"), classes="bc", count=2)
    result = cnn("eval", "run-1", "--dataset", "folder:new", "--no-plots")
    assert result.exit_code == 1
    assert "folder:new has the class c, and the network knows a, b" in result.stderr


def test_all_pictures_of_another_folder_are_measured_and_said(cnn, shapes) -> None:
    assert cnn(*TRAIN).exit_code == 0
    write_pictures(Path("new"), count=5)
    command = ("eval", "run-1", "--dataset", "folder:new", "--no-plots", "--json")
    result = cnn(*command)
    assert (json.loads(result.stdout)["count"], json.loads(result.stdout)["split"]) == (10, "all")
    assert "test set" not in result.stderr and "are measured" not in result.stderr
    part = cnn(*command, "--split", "test")
    assert json.loads(part.stdout)["count"] == 2
    assert "the test set is 20 % of each class" in part.stderr
    Path("new/b").rename("b")
    alone = cnn(*command)
    assert [entry["support"] for entry in json.loads(alone.stdout)["per_class"]] == [5, 0]
    Path("parts").mkdir()
    Path("new").rename("parts/test")
    write_pictures(Path("parts/train"), count=3)
    whole = cnn(*command[:3], "folder:parts", *command[4:])
    assert json.loads(whole.stdout)["count"] == 11
    assert "all images of folder:parts are measured: 6 training, 5 test\n" in whole.stderr


def test_an_image_of_a_folder_is_read_in_the_form_of_the_run(cnn, shapes) -> None:
    form = ("--set", "data.size=[20, 32]", "--set", "data.colour=true")
    assert cnn(*TRAIN, *form, "--set", "train.epochs=5").exit_code == 0
    write_pictures(Path("new"), count=5, size=(50, 40))
    for number, file in ((3, "new/a/03.png"), (9, "new/b/04.png")):
        document = json.loads(cnn("predict", f"folder:new:all:{number}", file, "--json").stdout)
        image, picture = document["images"]
        assert image["label"] == file[4]
        assert image["digits"] == [{**picture["digits"][0], "box": [0, 0, 32, 20]}]
        shown = json.loads(cnn("inspect", f"folder:new:all:{number}", "--json").stdout)
        assert np.shape(shown["pixels"]) == (40, 50, 3)
    test = json.loads(cnn("eval", "run-1", "--no-plots", "--json").stdout)["count"]
    assert cnn("predict", f"folder:shapes:{test - 1}").exit_code == 0
    missing = cnn("predict", f"folder:shapes:{test}")
    assert missing.exit_code == 1
    assert "hint: all images, whatever their part, are folder:shapes:all:INDEX" in missing.stderr


def test_the_index_of_a_mistake_is_that_of_its_image(cnn, shapes) -> None:
    assert cnn(*TRAIN, "--set", "train.epochs=20").exit_code == 0
    write_pictures(Path("new"), count=4)
    for old, new in (("a", "x"), ("b", "a"), ("x", "b")):
        Path("new", old).rename(Path("new", new))
    Path("new/a/00.png").unlink()
    mistakes = json.loads(cnn("eval", "run-1", "--dataset", "folder:new", "--no-plots", "--json").stdout)[
        "mistakes"
    ]
    assert sorted(mistake["index"] for mistake in mistakes) == list(range(7))
    for mistake in mistakes:
        (image,) = json.loads(cnn("predict", f"folder:new:all:{mistake['index']}", "--json").stdout)["images"]
        assert (image["label"], image["text"]) == (mistake["true"], mistake["predicted"])
        assert image["digits"][0]["probability"] == pytest.approx(mistake["probability"], abs=1e-5)


def test_test_images_alone_cannot_be_trained_on(cnn, shapes) -> None:
    Path("shapes").rename("test")
    Path("shapes").mkdir()
    Path("test").rename("shapes/test")
    result = cnn(*TRAIN)
    assert result.exit_code == 1
    assert "has test images only" in result.stderr
    assert cnn("inspect", "folder:shapes").exit_code == 0


def test_inspect_shows_the_validation_part_and_what_is_left_out(cnn, shapes) -> None:
    write_pictures(Path("set/train"), size=(40, 40))
    write_pictures(Path("set/val"), count=3, size=(40, 40))
    Path("set/notes.txt").write_text("x")
    result = cnn("inspect", "folder:set")
    assert result.exit_code == 0, result.stderr
    assert "left out: 1 not a picture (notes.txt)" in result.stderr
    assert (
        "set: 40x40 color pictures, shown as 40x40 color; a training run takes them as 28x28 gray, unless data.size "
        "and data.colour say otherwise\n"
    ) in result.stderr
    assert "validation" in result.stdout
    document = json.loads(cnn("inspect", "folder:set", "--json").stdout)
    assert document["input_shape"] == [3, 40, 40]
    assert document["counts"]["validation"] == [3, 3]
    assert document["left_out"] == {"not a picture": 1}
