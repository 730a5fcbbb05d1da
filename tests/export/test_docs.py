"""The code of docs/interop.md runs as it is written, each block in a folder with the files that it reads."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli.export.formats import FORMATS
from cnncli.export.images import logits_of
from cnncli.export.write import export_model
from cnncli.training.model import load_model
from tests.export.c.compiled import needs_gcc

from .networks import digits, make_config_subject, make_subject

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/interop.md").read_text(encoding="utf-8")
SECTIONS = {part.partition("\n")[0]: part for part in PAGE.split("\n## ")[1:]}


def code_of(section: str) -> str:
    return "\n".join(re.findall(r"```python\n(.*?)```", SECTIONS[section], re.DOTALL))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_onnxruntime_runs_the_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    export_model(load_model("bundled"), "onnx", "run-3.onnx")
    exec(code_of("ONNX"), {})
    assert "['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'] 0 to 255, gray" in capsys.readouterr().out


def test_pytorch_loads_the_weights(place: Path) -> None:
    for package in ("torch", "safetensors"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    subject = make_config_subject(ROOT / "configs/mnist.yaml")
    network = subject.model.network
    Path("run-3.safetensors").write_bytes(FORMATS["safetensors"].write(subject)[".safetensors"])
    names: dict[str, Any] = {}
    exec(code_of("safetensors"), names)
    assert np.allclose(
        names["logits"].detach(), network.forward(np.zeros((5, 1, 28, 28), np.float32)), atol=1e-5
    )


def test_pytorch_runs_the_program(place: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    for suffix, content in FORMATS["torch"].write(make_subject(["flatten", {"linear": 10}])).items():
        Path(f"run-3{suffix}").write_bytes(content)
    names: dict[str, Any] = {}
    exec(code_of("PyTorch"), names)
    assert names["probabilities"].shape == (5, 10) and names["weights"].keys() == {
        "linear1.weight",
        "linear1.bias",
    }


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_keras_loads_the_model(place: Path) -> None:
    for package in ("h5py", "keras"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    export_model(load_model("bundled"), "keras", "run-3.keras")
    names: dict[str, Any] = {}
    exec(code_of("Keras"), names)
    assert names["probabilities"].shape == (5, 10)


def test_the_table_of_runtimes_is_that_of_the_benchmark() -> None:
    text = (ROOT / "benchmarks/results/exports.json").read_text(encoding="utf-8")
    for name, row in json.loads(text)["runtimes"].items():
        inputs = ", ".join(row["inputs"])
        equal = f"{100 * row['equal_answers']:.2f} %"
        assert f"| {name} | {row['version']} | {inputs} | {row['largest_difference']:.0e} | {equal} |" in PAGE


def test_numpy_reads_the_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export_model(load_model("bundled"), "npz", "run-3.npz")
    exec(code_of("NumPy"), {})
    assert "'conv1.weight': (16, 1, 3, 3)" in capsys.readouterr().out


@needs_gcc
def test_a_program_in_c_names_the_digit(place: Path) -> None:
    model = make_subject([{"maxpool": 4}, "flatten", {"linear": 10}]).model
    export_model(model, "c", "digits.c")
    (program,) = re.findall(r"```c\n(.*?)```", SECTIONS["C"], re.DOTALL)
    Path("main.c").write_text(program, encoding="utf-8")
    command = re.search(r"```sh\n(cc .*?)$", SECTIONS["C"], re.M)[1]
    subprocess.run(command.replace("cc ", "gcc -Wall -Wextra -Werror ", 1), shell=True, check=True)
    image = digits(1)
    done = subprocess.run(["./digits"], input=image.pixels.tobytes(), capture_output=True, check=True)
    expected = logits_of(model.network, model.normalize, image).argmax()
    assert re.fullmatch(rf"{expected} \(\d+\.\d %\)\n", done.stdout.decode())


def test_the_speed_of_programs_in_c_is_that_of_the_benchmark() -> None:
    results = Path(__file__).parents[2] / "benchmarks/results/c_export.json"
    table = json.loads(results.read_text("utf-8"))["microseconds"].values()
    words = " ".join(SECTIONS["C"].split())
    for dtype, form in (("float32", "takes {} times as long"), ("int8", "and {} times in int8")):
        ratios = [each[f"{dtype}, -std=c99 -O3 -march=native"] / each["onnxruntime"] for each in table]
        assert form.format(f"{min(ratios):.1f} to {max(ratios):.1f}") in words


def test_the_table_has_every_format() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", PAGE, re.M))
    assert {name: {f"`{suffix}`" for suffix in each.suffixes} for name, each in FORMATS.items()} == {
        name: set(files.split(", ")) for name, files in rows.items() if name in FORMATS
    }


def test_the_figures_of_the_page_are_those_of_the_benchmark() -> None:
    found = json.loads((ROOT / "benchmarks/results/html_export.json").read_text(encoding="utf-8"))
    for dtype, size in found["bytes"].items():
        right = found["test_images"][dtype]["percent"]
        assert f"| {dtype} | {size / 1000:,.0f} KB | {right:.2f} % |" in SECTIONS["HTML"]
    assert found["bytes"]["int8"] <= 700_000
    assert found["test_images"]["int8"]["percent"] >= found["test_images"]["numpy_percent"] - 0.05
    text = " ".join(SECTIONS["HTML"].split())
    assert f"{found['answers']['ratio_to_predict']:.2f} times the time of `predict_pictures`" in text
