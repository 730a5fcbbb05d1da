"""docs/inside.md shows what its commands print and draw, and says of the network what is true."""

import importlib.util
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from cnncli.cli.app import app
from cnncli.inside import class_maps, layer_outputs
from cnncli.training.model import load_model
from cnncli.training.predict import predict_pictures

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "inside.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each command of the page prints, run in order in a folder with the sample picture and a digit."""
    place = tmp_path_factory.mktemp("inside")
    (place / "docs").mkdir()
    shutil.copy(DOCS / "digits.jpg", place / "docs")
    picture = Image.new("L", (300, 300), 255)
    ImageDraw.Draw(picture).line([(150, 60), (150, 240)], fill=0, width=16)
    picture.save(place / "digit.png")
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("COLUMNS", "80")
        for line in re.findall(r"^cnn .*", PAGE, re.MULTILINE):
            done = CliRunner().invoke(app, shlex.split(line)[1:], prog_name="cnn")
            assert done.exit_code == 0, f"{line}\n{done.stderr}"
            found[line] = done.stdout
    found["folder"] = str(place)
    return found


def words(text: str) -> list[Any]:
    """Return the words of a text, with numbers as such, and any line of dashes as one."""
    found: list[Any] = []
    for word in text.split():
        try:
            found.append(float(word.rstrip(":,")))
        except ValueError:
            found.append("-" if set(word) == {"-"} else word)
    return found


def test_each_output_on_the_page_is_the_one_of_the_command_above_it(outputs: dict[str, str]) -> None:
    pairs = re.findall(r"```sh\n(cnn [^\n]*)\n```\n\n```text\n(.*?)```", PAGE, re.DOTALL)
    assert len(pairs) == 4
    for command, shown in pairs:
        printed, expected = words(outputs[command]), words(shown)
        assert len(printed) == len(expected), command
        for a, b in zip(printed, expected, strict=True):
            # another processor adds in another order
            assert a == b or (isinstance(b, float) and a == pytest.approx(b, rel=1e-3, abs=2e-4)), command


def test_each_picture_on_the_page_is_the_one_that_its_command_saves(outputs: dict[str, str]) -> None:
    spec = importlib.util.spec_from_file_location("draw_inside", DOCS / "draw_inside.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    names = list(script.commands())
    shown = re.findall(r"\(inside-([\w.]+)\)", PAGE)
    assert names == shown and len(names) == 3
    for name in names:
        file = DOCS / f"inside-{name}"
        assert file.stat().st_size < 60_000
        with Image.open(Path(outputs["folder"], name)) as saved, Image.open(file) as kept:
            drawn = np.asarray(script.small(saved).convert("L"), float)
            committed = np.asarray(kept.convert("L"), float)
        assert abs(drawn.shape[0] - committed.shape[0]) <= 20  # another matplotlib has other fonts
        rows = min(len(drawn), len(committed))
        assert np.abs(drawn[-rows:] - committed[-rows:]).mean() < 8


def test_grad_cam_of_this_network_is_made_of_rows_of_its_linear_layer() -> None:
    model = load_model("bundled")
    digit = predict_pictures([DOCS / "digits.jpg"], model)[0].digits[4]
    assert digit.label == "4"
    x = digit.pixels[np.newaxis, np.newaxis].astype(np.float32) / 255
    maps = next(each.values for each in layer_outputs(model.network, x) if each.name == "relu5")
    weights = model.network.parameters.named["linear1.weight"].value[4] / 49
    expected = np.maximum(np.einsum("k,kij->ij", weights, maps[0]), 0)
    assert np.allclose(class_maps(model.network, x)[0], expected, atol=1e-5)
    assert maps.shape == (1, 64, 7, 7) and round(float(49 * weights[0]), 6) == 0.819301
    assert "0.819301 / 49" in PAGE


def test_the_options_of_the_page_are_those_of_the_command() -> None:
    help_text = CliRunner().invoke(app, ["inspect", "--help"], prog_name="cnn").stdout
    for option in re.findall(r"^\| `(--[a-z]+)", PAGE, re.MULTILINE):
        assert option in help_text, option
