"""`cnn inspect RUN [IMAGE]` shows what is inside any trained network, in any terminal, and refuses what it cannot."""

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from rich.console import Console
from typer.testing import CliRunner

from cnncli.checkpoint import Checkpoint, save_checkpoint
from cnncli.cli import inspect_inside, inspect_network, predict_output
from cnncli.cli.app import app
from cnncli.inside import explain_value, read_position
from cnncli.nn import build_network
from cnncli.runs import create_run
from cnncli.training.bundled import BUNDLED_PATH
from cnncli.training.model import load_model

COLORFUL: list[Any] = [
    {"conv": {"filters": 3, "kernel": 3, "padding": 1}},
    "relu",
    {"maxpool": 2},
    {"conv": {"filters": 20, "kernel": 3}},
    "batchnorm",
    "tanh",
    "globalavgpool",
    {"linear": 2},
]
DENSE: list[Any] = ["flatten", {"linear": 6}, "relu", {"linear": 2}]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a 7 in a picture, two digits in another, and photographs of two classes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    picture = Image.new("L", (300, 300), 255)
    ImageDraw.Draw(picture).line([(80, 70), (210, 60), (130, 250)], fill=0, width=18)
    picture.save("digit.png")
    both = Image.new("L", (600, 300), 255)
    both.paste(picture, (0, 0))
    ImageDraw.Draw(both).line([(450, 60), (450, 250)], fill=0, width=18)
    both.save("both.png")
    Image.new("L", (300, 300), 255).save("blank.png")
    return tmp_path


def photographs() -> None:
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        Path("pets", name).mkdir(parents=True)
        for number in range(10):
            pixels = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(f"pets/{name}/{number}.png")


def save_network(
    path: str, layers: list[Any], shape: tuple[int, int, int], dataset: str = "folder:pets"
) -> None:
    network = build_network(layers, shape, rng=np.random.default_rng(1))
    classes = [["cat", "dog"], [str(digit) for digit in range(10)]][network.output_shape == (10,)]
    size = list(shape[1:])
    data = {"dataset": dataset, "dir": "data", "size": size, "colour": shape[0] == 3}
    meta: dict[str, Any] = {
        "model": network.spec(),
        "input_shape": list(shape),
        "classes": classes,
        "normalize": [0.4, 0.3],
        "config": {"data": data},
        "dataset": dataset,
        "preparation": {
            "form": "as_is",
            "size": size,
            "colour": shape[0] == 3,
            "background": "mixed",
            "mean": 0.4,
        },
    }
    save_checkpoint(Path(path), Checkpoint(network.state(), meta=meta))


def cnn(*args: str) -> Any:
    return CliRunner().invoke(app, ["inspect", *args], prog_name="cnn")


def document(*args: str) -> dict[str, Any]:
    result = cnn(*args, "--json")
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def colored(monkeypatch: pytest.MonkeyPatch, width: int, *args: str) -> str:
    """Return what a terminal with colors gets."""
    file = io.TextIOWrapper(io.BytesIO(), "utf-8")
    console = Console(file=file, force_terminal=True, color_system="truecolor", width=width, highlight=False)
    for module in (inspect_inside, inspect_network, predict_output):
        monkeypatch.setattr(module, "out", lambda: console)
    assert cnn(*args).exit_code == 0
    file.flush()
    return file.buffer.getvalue().decode()  # type: ignore[attr-defined]


def test_the_bundled_network_is_looked_at_without_any_data_but_its_own(few_drawn_digits: None) -> None:
    result = cnn("bundled")
    assert result.exit_code == 0, result.stderr
    assert "mnist is not looked at: MNIST is not in data/mnist" in result.stderr
    assert "What excites each filter most, in 30 test images of synthetic" in result.stdout
    for line in (
        "conv1: 16 filters of 3x3; gray is 0",
        "conv4: 64 filters, each sees 22x22 pixels; the first 2",
        "linear1: 10 classes, each sees 28x28 pixels; the first 2",
    ):
        assert line in result.stdout.splitlines()
    lines = result.stdout.splitlines()
    drawn = lines[lines.index("conv1: 16 filters of 3x3; gray is 0") :]
    assert max(map(len, drawn)) <= 80 and len(lines) < 160
    assert "receptive field" in result.stdout and "best epoch" in result.stdout


@pytest.fixture
def few_drawn_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw few of the built-in digits, which takes a second."""
    from cnncli.data import load
    from cnncli.data.synthetic.draw import make_synthetic

    few = make_synthetic(train=60, test=30)
    monkeypatch.setattr(load, "_draw_synthetic", lambda: few)


def test_the_document_of_a_network_keeps_its_entries_and_has_filters_and_patches() -> None:
    photographs()
    save_network("pets.npz", COLORFUL, (3, 12, 16))
    found = document("pets.npz")
    assert (found["kind"], found["classes"], len(found["layers"])) == ("checkpoint", ["cat", "dog"], 8)
    assert found["filters"]["layer"] == "conv1"
    assert np.shape(found["filters"]["weights"]) == (3, 3, 3, 3)
    patches = found["patches"]
    assert (patches["dataset"], patches["part"], patches["images"]) == ("folder:pets", "test", 4)
    conv2, linear1 = patches["layers"]
    assert (conv2["layer"], conv2["measured_at"], conv2["window"]) == ("conv2", "batchnorm1", [8, 8])
    assert np.shape(conv2["values"]) == (20, 4) and np.shape(conv2["boxes"]) == (20, 4, 4)
    assert linear1["window"] == [12, 16] and linear1["silent"] == [False, False]
    assert set(np.ravel(conv2["images"])) <= {0, 1, 2, 3}


def test_a_network_whose_data_is_gone_shows_its_filters_alone() -> None:
    save_network("pets.npz", COLORFUL, (3, 12, 16))
    result = cnn("pets.npz")
    assert result.exit_code == 0
    assert "folder:pets is not looked at" in result.stderr
    assert "conv1: 3 filters of 3x3 in color; gray is 0" in result.stdout
    assert "excites" not in result.stdout
    assert document("pets.npz")["patches"] is None


def test_a_run_without_a_checkpoint_shows_the_rest() -> None:
    run = create_run(name="early")
    run.write_info(status="running", dataset="mnist")
    run.config_path.write_text("data: {dataset: synthetic}\nmodel: [flatten, {linear: 10}]\n")
    result = cnn("early")
    assert result.exit_code == 0 and "linear1" in result.stdout
    assert (
        "its filters are not shown: early has no checkpoint" in result.stderr or "checkpoint" in result.stderr
    )
    assert "filters" not in document("early")
    assert cnn("early", "--save", "x.png").exit_code == 1 and not Path("x.png").exists()


@pytest.mark.parametrize("columns", [40, 80])
def test_everything_about_a_picture_fits_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    result = cnn("bundled", "digit.png")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "digit.png: 7 (100.0 %)"
    network = load_model("bundled").network
    shown = [line.split(":")[0] for line in lines if re.match(r"[a-z]+[0-9]+:", line)]
    assert shown == list(network.names)
    text = " ".join(" ".join(lines).split())
    assert "Where it looked for class 7" in text
    assert "Grad-CAM at relu5" in text and "occlusion by 6x6" in text and "integrated gradients" in text
    assert max(map(len, lines)) <= columns
    (off,) = re.findall(r"([0-9.]+) % off", text)
    assert float(off) <= 1


def test_a_terminal_with_colors_gets_orange_for_and_blue_against(monkeypatch: pytest.MonkeyPatch) -> None:
    text = colored(monkeypatch, 80, "bundled", "digit.png")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert max(map(len, plain.splitlines())) <= 80
    assert "orange speaks for it, blue against it" in plain
    assert "\x1b[38;2;255;140;0" in text or "48;2;255;140;0" in text  # the strongest place of each


def test_a_stream_without_unicode_gets_ascii() -> None:
    result = CliRunner(charset="ascii").invoke(app, ["inspect", "bundled", "digit.png"], prog_name="cnn")
    assert result.exit_code == 0
    assert result.stdout.isascii() and "@" in result.stdout and "\\u" not in result.stdout


def test_the_document_of_a_picture_has_the_answer_the_layers_and_where_it_looked() -> None:
    found = document("bundled", "digit.png")
    assert (found["kind"], found["model"], found["text"], found["class"]) == ("inside", "bundled", "7", "7")
    assert np.shape(found["pixels"]) == (28, 28)
    network = load_model("bundled").network
    assert [each["name"] for each in found["layers"]] == list(network.names)
    assert [tuple(each["output_shape"]) for each in found["layers"]] == network.shapes
    assert found["layers"][-1]["means"][7] == pytest.approx(found["logit"], abs=1e-4)
    shares = found["integrated_gradients"]
    assert np.sum(shares["values"]) == pytest.approx(shares["sum"])
    assert shares["gap"] <= 0.01 and shares["change"] == found["logit"] - shares["baseline_logit"]
    assert found["grad_cam"]["layer"] == "relu5"
    for heat in ("grad_cam", "occlusion"):
        assert np.shape(found[heat]["values"]) == (28, 28)


def test_another_class_can_be_explained() -> None:
    found = document("bundled", "digit.png", "--class", "1")
    assert (found["text"], found["class"]) == ("7", "1")
    assert found["logit"] == pytest.approx(found["layers"][-1]["means"][1], abs=1e-4)
    result = cnn("bundled", "digit.png", "--class", "seven")
    assert result.exit_code == 2 and "bundled has no class 'seven'" in result.stderr


def test_of_several_digits_the_first_is_shown_or_the_one_that_is_named() -> None:
    first, second = cnn("bundled", "both.png"), cnn("bundled", "both.png", "--digit", "2")
    assert "both.png has 2 digits, and this is the first; another one: --digit 2" in first.stderr
    assert first.stdout.startswith("both.png, digit 1 of 2: 7")
    assert second.stdout.startswith("both.png, digit 2 of 2: 1") and "first; another" not in second.stderr
    third = cnn("bundled", "both.png", "--digit", "3")
    assert third.exit_code == 2 and "both.png has 2 digits, and no digit 3" in third.stderr


def test_a_color_picture_of_another_size_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    photographs()
    save_network("pets.npz", COLORFUL, (3, 12, 16))
    found = document("pets.npz", "pets/cat/1.png")
    assert np.shape(found["pixels"]) == (12, 16, 3)
    assert np.shape(found["integrated_gradients"]["values"]) == (3, 12, 16)
    result = cnn("pets.npz", "pets/dog/0.png")
    assert result.exit_code == 0 and "Grad-CAM at tanh1" in result.stdout
    assert "in color" in colored(monkeypatch, 80, "pets.npz")


def test_a_network_without_convolutions_says_what_takes_the_place() -> None:
    save_network("dense.npz", DENSE, (1, 9, 9))
    result = cnn("dense.npz", "digit.png")
    assert result.exit_code == 0
    assert "the input gradient takes the place of Grad-CAM" in " ".join(result.stdout.split())
    assert "flatten1: the same 81 numbers in a row" in result.stdout
    assert document("dense.npz", "digit.png")["grad_cam"]["layer"] is None


def test_a_test_image_has_its_label() -> None:
    photographs()
    save_network("pets.npz", COLORFUL, (3, 12, 16))
    assert "the label is dog" in cnn("pets.npz", "folder:pets:3").stdout


@pytest.mark.parametrize(
    "at",
    ["conv1[3,14,10]", "conv2[5,0,13]", "batchnorm1[0,3,3]", "relu2[0,3,3]", "maxpool1[1,5,5]",
     "globalavgpool1[7]", "dropout1[7]", "linear1[7]"],
)  # fmt: skip
@pytest.mark.parametrize("columns", [40, 80])
def test_a_value_is_the_sum_that_is_printed(at: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    result = cnn("bundled", "digit.png", "--at", at)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    name, value = lines[0].split(" = ")
    assert name == at
    found = document("bundled", "digit.png", "--at", at)
    decimals = len(value.partition(".")[2])
    assert float(value) == round(found["value"], decimals) and decimals == found["decimals"]
    assert decimals >= 4
    if any(set(line.strip()) == {"-"} for line in lines) and "divided" not in result.stdout:
        rule = next(at for at, line in enumerate(lines) if set(line.strip()) == {"-"})
        start = max(at for at, line in enumerate(lines[:rule]) if not line) + 1
        printed = [float(line.split()[-1]) for line in lines[start:rule]]
        assert round(sum(printed), decimals) == pytest.approx(float(value), abs=1e-12)
        assert [line.split()[-1] for line in lines[rule + 1 :]] == [value, value]
    if columns == 80:
        assert max(map(len, lines)) <= 80


def test_the_value_is_that_of_the_network() -> None:
    model = load_model("bundled")
    found = document("bundled", "digit.png", "--at", "conv3[3,7,5]")
    pixels = np.array(document("bundled", "digit.png")["pixels"], np.float32) / 255
    expected = explain_value(model.network, pixels[np.newaxis], read_position(model.network, "conv3[3,7,5]"))
    assert found["value"] == pytest.approx(expected.value, rel=1e-5)
    assert found["exact"] == pytest.approx(np.sum(found["products"]), rel=1e-9)
    assert np.shape(found["inputs"]) == np.shape(found["weights"]) == (32, 3, 3)


@pytest.mark.parametrize(
    ("arguments", "code", "message", "hint"),
    [
        (["bundled", "digit.png", "--at", "conv1[99,0,0]"], 2,
         "'conv1[99,0,0]' is outside of conv1, whose output is 16x28x28",
         "conv1 has channel 0 to 15, row 0 to 27, column 0 to 27"),
        (["bundled", "digit.png", "--at", "conv9[0,0,0]"], 2, "the network has no layer 'conv9'", "did you mean"),
        (["bundled", "digit.png", "--at", "input[0,0,0]"], 2, "the input is computed by no layer", "conv1[8,14,14]"),
        (["bundled", "--at", "conv1[0,0,0]"], 2, "--at is about a picture that a network looks at",
         "name both: cnn inspect RUN IMAGE --at ..."),
        (["bundled", "--digit", "2"], 2, "--digit is about a picture", "name both"),
        (["digit.png", "bundled"], 2, "a picture is looked at with a trained network, and digit.png is a picture",
         "the network comes first: cnn inspect bundled digit.png"),
        (["nowhere", "digit.png"], 1, "there is no run 'nowhere'", ""),
        (["mnist.yaml", "digit.png"], 2, "and mnist.yaml is a config", "cnn inspect RUN IMAGE"),
        (["bundled", "digit.png", "--at", "conv1[0,0,0]", "--save", "x.png"], 2,
         "--at prints one value", "leave one out"),
        (["bundled", "digit.png", "--save", "digit.png"], 2, "would destroy", ""),
        (["bundled", "blank.png"], 1, "error: blank.png: there is nothing to read", "cnn predict --raw takes"),
        (["bundled", "nowhere.png"], 1, "nowhere.png", ""),
        (["bundled", "."], 2, "stands for 3 pictures", "name one of them"),
        (["bundled", "https://example.org/7.png"], 2, "is on the web", "curl"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_said(arguments: list[str], code: int, message: str, hint: str) -> None:
    result = cnn(*arguments)
    assert result.exit_code == code and not result.stdout
    error = result.stderr.splitlines()
    assert any(line.startswith("error: ") for line in error)
    assert message in result.stderr and hint in result.stderr
    assert not Path("x.png").exists()


def test_both_figures_are_written_and_never_over_the_weights() -> None:
    photographs()
    save_network("pets.npz", COLORFUL, (3, 12, 16))
    before = Path("pets.npz").read_bytes()
    for arguments in (["pets.npz"], ["pets.npz", "pets/cat/0.png"]):
        result = cnn(*arguments, "--save", "figure.png")
        assert result.exit_code == 0 and "wrote figure.png" in result.stderr
        with Image.open("figure.png") as figure:
            assert figure.format == "PNG" and min(figure.size) > 400
    assert cnn("pets.npz", "--save", "pets.npz").exit_code == 2
    assert Path("pets.npz").read_bytes() == before


def test_a_run_is_looked_at_by_its_name() -> None:
    run = create_run(name="first")
    run.write_info(status="done", dataset="nothing")
    run.config_path.write_text("data: {dataset: synthetic}\nmodel: [flatten, {linear: 10}]\n")
    run.best_path.parent.mkdir(exist_ok=True)
    run.best_path.write_bytes(BUNDLED_PATH.read_bytes())
    assert cnn("first", "digit.png").stdout.startswith("digit.png: 7")


def test_a_layer_that_is_asked_for_is_shown_alone_and_with_more_of_it() -> None:
    photographs()
    save_network("pets.npz", COLORFUL, (3, 12, 16))
    result = cnn("pets.npz", "--layer", "conv2")
    drawn = result.stdout.splitlines()
    assert "conv2: 20 filters, each sees 8x8 pixels; the first 16" in drawn
    assert not any(line.startswith(("conv1:", "linear1:")) for line in drawn)
    assert "conv1: 3 filters of 3x3 in color; gray is 0" in cnn("pets.npz", "--layer", "conv1").stdout
    result = cnn("pets.npz", "pets/cat/1.png", "--layer", "batchnorm1", "--layer", "relu1")
    headings = [line for line in result.stdout.splitlines() if re.match(r"[a-z]+[0-9]:", line)]
    assert [line.split(",")[0] for line in headings] == [
        "relu1: 3 maps of 12x16",
        "batchnorm1: 20 maps of 4x6",
    ]
    assert "first" not in headings[1]
    found = document("pets.npz", "pets/cat/1.png", "--layer", "conv2")
    assert [layer["name"] for layer in found["layers"]] == ["conv2"]


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["bundled", "--layer", "conv9"], "the network has no layer 'conv9'", "did you mean"),
        (["bundled", "digit.png", "--layer", "conv9"], "the network has no layer 'conv9'", "did you mean"),
        (["bundled", "--layer", "relu1"], "relu1 is no convolution or linear layer", "known: conv1, conv2"),
        (
            ["digit.png", "--layer", "conv1"],
            "--layer is about a trained network, and digit.png is a picture",
            "",
        ),
    ],
)
def test_a_layer_that_is_not_there_is_said(arguments: list[str], message: str, hint: str) -> None:
    result = cnn(*arguments, "--data-dir", "nowhere")
    assert result.exit_code == 2 and message in result.stderr and hint in result.stderr


def test_a_large_folder_of_pictures_is_read_only_if_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    photographs()
    save_network("pets.npz", COLORFUL, (3, 12, 16))
    monkeypatch.setattr(inspect_inside, "QUICK_BYTES", 5000)
    result = cnn("pets.npz")
    assert result.exit_code == 0 and "excites" not in result.stdout
    assert "folder:pets is not looked at: to read 0 MB of pictures takes long" in result.stderr
    assert "--layer NAME or --save FILE takes the time" in result.stderr
    assert "conv2: 20 filters" in cnn("pets.npz", "--layer", "conv2").stdout
