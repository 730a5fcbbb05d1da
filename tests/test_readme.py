"""The README says what is true: its commands exist, its code runs, its links lead somewhere."""

import contextlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cnncli.cli.app import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line.split("#")[0].split()
    for kind, block in BLOCKS
    if kind == "sh"
    for line in block.splitlines()
    if line.startswith("cnn ")
]


def cnn(*arguments: str, cwd: Path) -> Any:
    """Call a command in this process, in a folder."""
    with contextlib.chdir(cwd):
        return CliRunner().invoke(app, arguments, prog_name="cnn")


def test_the_readme_has_commands_and_code():
    assert len(COMMANDS) >= 6
    assert [kind for kind, _ in BLOCKS].count("python") == 1


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_of_the_readme_has_the_options_it_is_given(command: list[str], tmp_path: Path):
    done = cnn(command[1], "--help", cwd=tmp_path)
    assert done.exit_code == 0
    for option in (word for word in command if word.startswith("-")):
        assert option in re.findall(r"-[\w-]+", done.stdout)


def test_every_other_command_of_the_readme_starts_something_that_is_there():
    lines = [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()]
    rest = [line for line in lines if not line.startswith("cnn ")]
    assert rest == [
        "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/cnn train",
        "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && "
        ".venv/bin/python -m pytest -q -n 2 --dist worksteal",
        "source .venv/bin/activate",
        "python -m cnncli.training.make_bundled latest",
    ]
    inline = re.findall(r"`([^`\n]* [^`\n]*)`", README)
    scripts = [word for command in inline for word in command.split() if word.endswith(".py")]
    assert scripts
    assert all((ROOT / script).is_file() for script in scripts)


@pytest.mark.parametrize("command", re.findall(r"`cnn ([^`]*)`", README))
def test_every_command_in_a_sentence_of_the_readme_has_the_options_it_is_given(command: str, tmp_path: Path):
    name, *words = command.split()
    shown = cnn(*([] if name.startswith("-") else [name]), "--help", cwd=tmp_path).stdout
    for option in (word for word in [name, *words] if word.startswith("-")):
        assert option in re.findall(r"-[\w-]+", shown)


def test_the_readme_names_the_python_that_the_package_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = project["requires-python"].removeprefix(">=")
    assert f"Python {version} or newer" in README
    for extra in re.findall(r"'\.\[(\w+)\]'", README):
        assert extra in project["optional-dependencies"]


@pytest.mark.parametrize("code", [block for kind, block in BLOCKS if kind == "python"])
def test_the_code_of_the_readme_runs(code: str, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_every_recipe_of_the_readme_is_there_and_none_is_left_out():
    named = set(re.findall(r"`([\w-]+\.yaml)`", README))
    assert {path.name for path in (ROOT / "configs").glob("*.yaml")} == named


def test_every_link_of_the_readme_leads_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


def test_inspecting_the_reference_network_says_what_the_readme_says(tmp_path: Path):
    done = cnn("inspect", "mnist.yaml", cwd=tmp_path)
    assert done.exit_code == 0
    assert "421,642" in done.stdout and "421,642 parameters" in README


def test_training_on_the_built_in_digits_then_reading_a_picture(tmp_path: Path):
    from PIL import Image, ImageDraw

    options = ["--set", "data.limit=600", "--set", "data.validation=100", "--epochs", "1", "--json"]
    trained = cnn("train", "--config", "synthetic.yaml", *options, cwd=tmp_path)
    assert trained.exit_code == 0, trained.stderr
    picture = Image.new("L", (300, 300), 255)
    ImageDraw.Draw(picture).line([(190, 40), (190, 170)], fill=0, width=14)  # a one, off center
    picture.save(tmp_path / "digit.png")
    done = cnn("predict", "digit.png", cwd=tmp_path)
    assert done.exit_code == 0, done.stderr
    assert cnn("eval", "latest", "--json", cwd=tmp_path).exit_code == 0


def test_the_sample_picture_is_read_right(tmp_path: Path):
    (sample,) = re.findall(r"cnn predict (docs/\S+)", README)
    done = cnn("predict", str(ROOT / sample), "--run", "bundled", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["images"][0]["text"] == "30754"


def test_the_ratios_are_those_of_the_benchmarks():
    done = subprocess.run([sys.executable, ROOT / "benchmarks/table.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(line in README for line in done.stdout.split("\n"))


def test_the_time_of_an_epoch_is_that_of_the_benchmark():
    page = " ".join((ROOT / "docs/engine.md").read_text(encoding="utf-8").split())
    epoch = json.loads((ROOT / "benchmarks/results/epoch.json").read_text(encoding="utf-8"))
    first, second = f"{epoch['first']:.2f} times", f"{epoch['second']:.2f} times"
    assert (
        f"The first epoch of `cnn train` takes {first} as long as its steps alone, the second {second}."
        in page
    )
