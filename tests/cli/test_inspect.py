"""`cnn inspect` explains whatever it is pointed at, for people and as JSON."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cnncli.checkpoint import load_meta
from cnncli.cli.app import app
from cnncli.runs import create_run
from cnncli.training.bundled import BUNDLED_PATH
from cnncli.training.model import load_model

CONFIG = """
data: {dataset: synthetic}
model: [{conv: {filters: 4, kernel: 3, stride: 2, padding: same}}, relu, {maxpool: 2}, flatten, {linear: 10}]
"""


@pytest.fixture(autouse=True)
def _stand_in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)  # pytest-xdist sets it


def cnn(*args: str):
    return CliRunner().invoke(app, ["inspect", *args], prog_name="cnn")


def document(*args: str) -> dict:
    result = cnn(*args, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_without_a_target_it_is_the_reference_network() -> None:
    found = document()
    assert found["kind"] == "config"
    assert found["parameters"] == 421_642
    assert found["input_shape"] == [1, 28, 28]
    assert [layer["parameters"] for layer in found["layers"] if layer["parameters"]] == [
        320,
        18_496,
        401_536,
        1_290,
    ]


def test_a_layer_tells_shape_work_and_receptive_field() -> None:
    Path("mine.yaml").write_text(CONFIG)
    conv, relu, pool, flatten, linear = document("mine.yaml")["layers"]
    assert conv == {
        "name": "conv1",
        "type": "conv",
        "output_shape": [4, 14, 14],
        "parameters": 40,
        "multiply_adds": 14 * 14 * 4 * 9,
        "activation_bytes": 4 * 14 * 14 * 4,
        "receptive_field": [3, 3],
    }
    assert (relu["receptive_field"], pool["receptive_field"]) == ([3, 3], [5, 5])
    assert (flatten["output_shape"], linear["receptive_field"]) == ([196], None)


def test_the_table_has_the_totals() -> None:
    Path("mine.yaml").write_text(CONFIG)
    result = cnn("mine.yaml")
    assert result.exit_code == 0
    rows = {line.split()[0]: line.split() for line in result.stdout.splitlines() if line.strip()}
    assert rows["conv1"] == "conv1 4, 14, 14 40 2.0 % 7,056 3.1 KiB 3x3".split()
    assert rows["total"] == "total 2,010 100.0 % 9,016 7.7 KiB".split()
    assert "config mine.yaml" in result.stderr


def test_a_folder_of_runs_lists_them_and_says_how_to_look_at_one() -> None:
    assert "holds none yet; train one: cnn train" in cnn("runs").stdout
    create_run(name="first").write_info(
        status="done", dataset="mnist", val_accuracy=0.5, epochs_done=2, epochs=2
    )
    create_run(name="second").write_info(status="interrupted")
    lines = cnn("runs").stdout.splitlines()
    assert lines[3].split() == "first done mnist 2 of 2 50.00 % -".split()
    assert lines[4].split()[:2] == ["second", "interrupted"]
    assert lines[5] == "look at one: cnn inspect runs/second"
    found = document("runs")
    assert found["kind"] == "runs" and [run["run"] for run in found["runs"]] == ["first", "second"]


def test_a_checkpoint_tells_what_it_holds_and_its_run() -> None:
    run = create_run(name="first")
    shutil.copy(BUNDLED_PATH, run.best_path)
    shutil.copy(BUNDLED_PATH, "alone.npz")
    meta = load_meta(BUNDLED_PATH)
    inside, alone = document("runs/first/checkpoints/best.npz"), document("alone.npz")
    assert (inside["kind"], inside["run"], alone["run"]) == ("checkpoint", "first", None)
    assert [alone[key] for key in ("sha256", "epoch")] == [meta["sha256"], meta["epoch"]]
    assert alone["parameters"] == load_model("alone.npz").network.get_num_parameters()
    text = cnn("runs/first/checkpoints/best.npz").stdout
    assert "see it: cnn inspect runs/first" in text
    assert f"after epoch {meta['epoch'] - 1}" in text and "format version 1" in text
    assert "see it" not in cnn("alone.npz").stdout


def test_a_model_that_cannot_be_built_names_the_line() -> None:
    Path("mine.yaml").write_text(CONFIG.replace("maxpool: 2", "maxpool: 20"))
    result = cnn("mine.yaml")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[1].startswith("error: mine.yaml:3: ")


def test_a_set_tells_its_counts() -> None:
    found = document("synthetic")
    assert found["kind"] == "dataset"
    assert (found["train"], found["test"]) == (6000, 1000)
    assert sum(found["counts"]["train"]) == 6000
    assert len(found["counts"]["test"]) == len(found["classes"]) == 10


def test_a_set_is_drawn_in_the_terminal_and_as_a_sheet() -> None:
    result = cnn("synthetic", "--save", "sheet.png")
    assert result.exit_code == 0
    assert "wrote sheet.png" in result.stderr
    assert "█" in result.stdout
    with Image.open("sheet.png") as sheet:
        assert sheet.format == "PNG" and min(sheet.size) > 300


def test_a_folder_of_pictures_is_a_set() -> None:
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        for index in range(10):
            path = Path("pets", name, f"{index}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (28, 28), dtype=np.uint8)).save(path)
    found = document("pets")
    assert (found["kind"], found["classes"], found["train"] + found["test"]) == (
        "dataset",
        ["cat", "dog"],
        20,
    )


def test_what_nothing_is_called_is_a_usage_error_with_a_guess() -> None:
    result = cnn("fashon-mnist")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "error: fashon-mnist is no config, run, data set or picture",
        "hint: did you mean 'fashion-mnist'?",
    ]


def test_a_set_that_is_not_here_says_how_to_get_it() -> None:
    result = cnn("kmnist")
    assert result.exit_code == 1
    assert "cnn download kmnist" in result.stderr


@pytest.mark.parametrize("target", ["folder:set", "set"])
def test_a_sheet_never_replaces_a_picture_of_the_set(target: str) -> None:
    for name in ("a", "b"):
        Path("set", name).mkdir(parents=True)
        for number in range(12):
            Image.new("L", (28, 28), 20 * number).save(f"set/{name}/{number}.png")
    before = Path("set/a/3.png").read_bytes()
    result = cnn(target, "--save", "set/a/3.png")
    assert result.exit_code == 2 and "would destroy" in result.stderr
    assert Path("set/a/3.png").read_bytes() == before


def test_a_sheet_never_replaces_a_file_of_a_published_set() -> None:
    Path("data/mnist").mkdir(parents=True)
    file = Path("data/mnist/train-images-idx3-ubyte.gz")
    file.write_bytes(b"the only copy")
    Path("sheet.png").hardlink_to(file)
    assert cnn("mnist", "--save", "sheet.png").exit_code == 2
    assert file.read_bytes() == b"the only copy"


def test_the_images_of_a_picture_never_replace_it() -> None:
    Image.new("L", (28, 28)).save("a.png")
    before = Path("a.png").read_bytes()
    result = cnn("a.png", "--save", "./a.png")
    assert result.exit_code == 2 and "would destroy" in result.stderr
    assert Path("a.png").read_bytes() == before


def test_only_pictures_can_be_saved() -> None:
    result = cnn("mnist.yaml", "--save", "x.png")
    assert result.exit_code == 2
    assert not Path("x.png").exists()


def write_set(classes: list[str]) -> None:
    for position, name in enumerate(classes):
        folder = Path("set") / name
        folder.mkdir(parents=True)
        for number in range(4):
            pixels = np.zeros((28, 28), np.uint8)
            pixels[4:24, 4 + position % 20 : 8 + position % 20] = 255 - number
            Image.fromarray(pixels).save(folder / f"{number}.png")


@pytest.mark.parametrize("count", [2, 10, 26, 47])
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_every_class_of_a_set_is_drawn_below_its_name_within_the_width(
    count: int, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes = [f"{number:02d}-a-name-of-a-class-{number:02d}" for number in range(count)]
    write_set(classes)
    monkeypatch.setenv("COLUMNS", str(columns))
    result = cnn("folder:set")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= columns
    rows = lines[next(at for at, line in enumerate(lines) if line.startswith("images ")) :]
    shown = [word for line in rows for word in line.split() if word.startswith(tuple("0123456789"))]
    shown = [word for word in shown if "-" in word]
    wide = count * 30 <= min(columns, 80) + 2
    assert len(shown) == count
    assert [word[:2] for word in shown] == [word[-2:] for word in shown] == [name[:2] for name in classes]
    assert all(len(word) == (len(classes[0]) if wide else 14) for word in shown)


def test_the_images_of_a_pipe_are_80_columns_wide_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    write_set([str(digit) for digit in range(10)])
    lines = cnn("folder:set").stdout.splitlines()
    drawn = [line for line in lines if set(line) <= set(" ▄▀█") and line.strip()]
    assert 60 < max(map(len, drawn)) <= 80
