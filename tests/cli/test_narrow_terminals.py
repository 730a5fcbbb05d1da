"""At 40, 60, 80 and 120 columns nothing that a command prints is wider than the terminal, but for what is copied."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.cells import cell_len
from rich.console import Console
from typer.testing import CliRunner

from cnncli.cli import console as console_module
from cnncli.cli.app import COMMANDS, app
from cnncli.data.download.fetch import DATASETS
from tests.cli.conftest import CONFIG, write_tiny_set
from tests.cli.test_progress import without_codes

WIDTHS = [40, 60, 80, 120]

TO_COPY = ("/", "cnn ")
"""What is in a line that may be too wide: a path or a command."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with a trained run and a picture."""
    folder = tmp_path_factory.mktemp("narrow")
    write_tiny_set(folder / "tiny")
    (folder / "tiny.yaml").write_text(CONFIG)
    keys = (
        "train.optimizer.lr",
        "train.epochs",
        "model.0.conv.filters",
        "train.label_smoothing",
        "train.batch_size",
    )
    grid = ", ".join(f"{key}: [{value}]" for key, value in zip(keys, (0.01, 1, 4, 0.05, 20), strict=True))
    (folder / "s.yaml").write_text(f"config: tiny.yaml\ngrid: {{{grid}}}\n")
    page = np.full((80, 240), 255, np.uint8)
    for left in (20, 90, 160):
        page[20:60, left + 8 : left + 12] = 0
    Image.fromarray(page).save(folder / "page.png")
    Image.fromarray(page[:, :80]).save(folder / "one.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done = CliRunner().invoke(app, ["train", "-c", "tiny.yaml", "--no-plots"], prog_name="cnn")
    assert done.exit_code == 0, done.stderr
    return folder


@pytest.fixture(params=WIDTHS)
def terminal(request, trained, monkeypatch):
    """Run a command in that folder on a terminal, and return its code and lines; also how wide the terminal is."""

    def console(file) -> Console:
        stream = sys.stderr if isinstance(file, console_module._Expendable) else sys.stdout
        return Console(
            file=stream, force_terminal=True, width=request.param, color_system=None, highlight=False
        )

    monkeypatch.chdir(trained)
    monkeypatch.setenv("COLUMNS", str(request.param))
    monkeypatch.setattr(console_module, "_console", console)

    def run(*args: str) -> tuple[int, list[str]]:
        done = CliRunner().invoke(app, list(args), prog_name="cnn")
        return done.exit_code, [line.rstrip() for line in without_codes(done.output).splitlines()]

    run.width = request.param
    return run


def too_wide(lines: list[str], width: int) -> list[str]:
    return [line for line in lines if cell_len(line) > width and not any(part in line for part in TO_COPY)]


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ("eval run-1 --no-plots", 0, ["accuracy", "precision"]),
        ("eval run-1 --dataset folder:nowhere", 1, ["error:"]),
        ("inspect run-1", 0, ["validation", "parameters", "val acc", "metrics.csv"]),
        ("inspect tiny.yaml", 0, ["parameters", "cnn train --config tiny.yaml"]),
        ("inspect tiny", 0, ["train", "test", "total"]),
        ("inspect page.png", 0, ["3 digits"]),
        ("predict page.png --run bundled", 0, ["111"]),
        ("predict one.png --run bundled", 0, ["100.0 %"]),
        ("predict one.png page.png one.png page.png one.png --run bundled", 0, ["one.png", "page.png"]),
        ("download --list --data-dir .", 0, [*DATASETS, "60,000"]),
        ("runs", 0, ["run-1", "done"]),
        ("runs rm run-1", 2, ["--yes"]),
        ("sweep s.yaml --dry-run", 0, ["trial", "lr"]),
        ("train --config nowhere", 2, ["hint:"]),
        ("train -c tiny.yaml --set train.optimizer.lrr=1 --set model=3", 2, ["lrr", "model=3"]),
    ],
)
def test_what_a_command_prints_fits(terminal, args: str, code: int, words: list[str]) -> None:
    exit_code, lines = terminal(*args.split())
    assert exit_code == code, lines
    assert too_wide(lines, terminal.width) == []
    text = "\n".join(lines)
    assert [word for word in words if word not in text] == []
    assert not any(line.endswith("…") for line in lines)


def test_a_training_run_fits(terminal) -> None:
    exit_code, lines = terminal("train", "-c", "tiny.yaml", "--name", f"at-{terminal.width}", "--no-plots")
    shutil.rmtree("runs/" + f"at-{terminal.width}")
    assert exit_code == 0, lines
    assert too_wide(lines, terminal.width) == []
    (header,) = (line for line in lines if "val acc" in line and "so far" not in line)
    rows = [line for line in lines if line.strip().startswith(("1/2", "2/2")) and "%" in line]
    assert len(rows) == 2 and {len(row.rstrip(" *")) for row in rows} == {len(header.rstrip(" *"))}


def test_a_comparison_of_several_runs_fits(terminal) -> None:
    for number in (2, 3, 4):
        shutil.copytree("runs/run-1", f"runs/run-1-with-a-long-name-{number}")
    exit_code, lines = terminal(
        "runs", "compare", "run-1", *(f"run-1-with-a-long-name-{n}" for n in (2, 3, 4))
    )
    for number in (2, 3, 4):
        shutil.rmtree(f"runs/run-1-with-a-long-name-{number}")
    assert exit_code == 0 and "their configs are the same" in lines
    assert too_wide(lines, terminal.width) == []


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_a_help_page_fits(terminal, command: str | None) -> None:
    exit_code, lines = terminal(*([command] if command else []), "--help")
    assert exit_code == 0
    assert too_wide(lines, terminal.width) == []
