"""Pictures look the same, and can be drawn, whatever the environment says about matplotlib."""

import contextlib
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

ROOT = Path(__file__).parents[2]

DRAW = """
import sys, pathlib
import cnncli.report as report
rows = [{"epoch": n, "train_loss": 1 / n, "train_accuracy": 1 - 0.1 / n, "val_loss": 1 / n, "val_accuracy": 0.9}
        for n in (1, 2, 3)]
path = pathlib.Path("out.png")
report.save_png(report.draw_curves(rows, title="run-1 a$b$", best_epoch=2), path)
AFTER
"""

SETTINGS = """
text.usetex: True
font.size: 30
lines.linewidth: 9
savefig.bbox: tight
savefig.dpi: 20
axes.facecolor: black
backend: TkAgg
this is no setting
"""


def drawn(folder: Path, after: str = "", **environment: str) -> tuple[str, str]:
    """Draw curves in a process of its own; return the hash of the picture and what was printed."""
    script = DRAW.replace("AFTER", after)
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MPL", "MATPLOTLIB"))}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return hashlib.sha256((folder / "out.png").read_bytes()).hexdigest(), done.stdout + done.stderr


def drawn_here(folder: Path) -> str:
    """Draw the same curves in this process, and return the hash of the picture."""
    with contextlib.chdir(folder):
        exec(DRAW.replace("AFTER", ""), {})
    return hashlib.sha256((folder / "out.png").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> str:
    return drawn_here(tmp_path_factory.mktemp("usual"))


@pytest.mark.parametrize(
    "environment",
    [
        {"MPLBACKEND": "nonsense", "MATPLOTLIBRC": "settings"},
        {"MPLCONFIGDIR": "/proc/none", "HOME": "/proc/none"},
        *(
            pytest.param(environment, marks=pytest.mark.slow)
            for environment in (
                {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
                {"MPLBACKEND": "nonsense"},
                {"MATPLOTLIBRC": "settings"},
            )
        ),
    ],
    ids=" ".join,
)
def test_the_environment_changes_nothing(usual: str, tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "settings").write_text(SETTINGS)
    assert drawn(tmp_path, **environment) == (usual, "")


def test_a_file_of_settings_here_changes_nothing(usual: str, tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text(SETTINGS)
    assert drawn(tmp_path) == (usual, "")


def test_settings_of_the_program_change_nothing_and_stay(usual: str, tmp_path: Path) -> None:
    own = {"font.size": 30.0, "savefig.dpi": 20.0}
    with matplotlib.rc_context(own):
        assert drawn_here(tmp_path) == usual
        assert {name: matplotlib.rcParams[name] for name in own} == own


def test_the_backend_that_the_environment_names_is_that_of_the_program(usual: str, tmp_path: Path) -> None:
    after = "import matplotlib, os; print(matplotlib.get_backend(), os.environ['MPLBACKEND'])"
    assert drawn(tmp_path, after=after, MPLBACKEND="svg") == (usual, "svg svg\n")
