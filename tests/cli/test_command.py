"""Our commands read values as Typer reads them, without the import of pydantic that Typer needs for it."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from typer.testing import CliRunner

from cnncli.cli.command import QuickCommand


def parsed(*words: str, cls: type | None = QuickCommand) -> tuple[int, dict[str, Any]]:
    """Return the exit code and the values of a command with one option of each type."""
    app = typer.Typer(pretty_exceptions_enable=False)
    got: dict[str, Any] = {}

    @app.command(cls=cls)
    def command(
        names: Annotated[list[str] | None, typer.Argument()] = None,
        text: Annotated[str | None, typer.Option()] = None,
        many: Annotated[list[str] | None, typer.Option()] = None,
        count: Annotated[int, typer.Option(min=1)] = 3,
        share: Annotated[float | None, typer.Option(min=0, max=1)] = None,
        folder: Annotated[Path, typer.Option()] = Path("runs"),
        kind: Annotated[Literal["a", "b"], typer.Option()] = "a",
        on: Annotated[bool, typer.Option("--on")] = False,
        draw: Annotated[bool, typer.Option("--draw/--no-draw")] = True,
        date: Annotated[tuple[int, str] | None, typer.Option()] = None,
    ) -> None:
        got.update(locals())
        del got["got"]

    return CliRunner().invoke(app, list(words)).exit_code, got


@pytest.mark.parametrize(
    "line",
    [
        "",
        "x y z",
        "--text hello --many 1 --many 2",
        "--count 7 --share 0.25 --folder out/here --kind b",
        "--on --no-draw -- --text",
        "--share 1 --share 0",
        "--date 3 may",
        "--count 0",
        "--count 1.5",
        "--share 1.01",
        "--share -0.01",
        "--share many",
        "--kind c",
        "--unknown",
        "--text",
    ],
)
def test_every_value_is_what_typer_makes_of_it(line) -> None:
    code, values = parsed(*line.split())
    code_of_typer, values_of_typer = parsed(*line.split(), cls=None)
    assert code == code_of_typer
    assert {name: value or None for name, value in values.items()} == {
        name: value or None for name, value in values_of_typer.items()
    }


def test_reading_options_loads_no_data_models() -> None:
    script = """
import sys
from cnncli.cli.app import app
try:
    app(["predict", "x.png", "--top", "3", "--invert", "yes", "--runs-dir", "nowhere", "--json"])
except SystemExit as stop:
    print(stop.code, "pydantic" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.endswith("\n1 False\n"), done.stderr
