"""The code of docs/interop.md runs as it is written, each block in a folder with the files that it reads."""

import re
from pathlib import Path

import pytest

from cnncli.export.formats import FORMATS
from cnncli.export.write import export_model
from cnncli.training.model import load_model

PAGE = (Path(__file__).parents[2] / "docs/interop.md").read_text(encoding="utf-8")
SECTIONS = {part.partition("\n")[0]: part for part in PAGE.split("\n## ")[1:]}


def code_of(section: str) -> str:
    return "\n".join(re.findall(r"```python\n(.*?)```", SECTIONS[section], re.DOTALL))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_numpy_reads_the_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export_model(load_model("bundled"), "npz", "run-3.npz")
    exec(code_of("NumPy"), {})
    assert "'conv1.weight': (16, 1, 3, 3)" in capsys.readouterr().out


def test_the_table_has_every_format() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", PAGE, re.M))
    assert {name: {f"`{suffix}`" for suffix in each.suffixes} for name, each in FORMATS.items()} == {
        name: set(files.split(", ")) for name, files in rows.items() if name in FORMATS
    }
