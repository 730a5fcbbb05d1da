"""Below the command line, errors speak Python; on it, they speak commands and options."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cnncli.cli.hints import OPTIONS, download_command, error_text, hint_of, resume_command
from cnncli.errors import CnnError, DownloadCall, Interrupted, MissingDataError, RunError

PACKAGE = Path(__file__).parents[2] / "cnncli"

COMMAND = re.compile(r"\bcnn (download|train|eval|predict|inspect)\b|(^|[\s`'\"(])--[a-z]")


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each string of a file with its line; not the docstrings, which no user sees."""
    tree = ast.parse(path.read_text("utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def test_no_message_below_the_command_line_names_a_command_or_an_option() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line}: {text!r}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if not path.is_relative_to(PACKAGE / "cli")
        for line, text in texts(path)
        if COMMAND.search(text)
    ]
    assert not wrong, "\n".join(wrong)


def test_every_argument_in_a_hint_has_an_option() -> None:
    code = re.compile(r"`([a-z_]+(?:=(?:True|'[a-z]+'))?)`")
    named = {
        argument
        for path in PACKAGE.rglob("*.py")
        for _, text in texts(path)
        for argument in code.findall(text)
        if not path.is_relative_to(PACKAGE / "cli")
    }
    assert named - {"resume=True"} <= set(OPTIONS), "cnncli/cli/hints.py does not know all of them"
    assert {"exist_ok=True", "runs_dir", "raw=True"} <= named


RUN = Path("runs/run-1")
ELSEWHERE = Path("my runs/wide")


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (
            CnnError("no", "use a smaller batch: `train.batch_size=32`"),
            "use a smaller batch: --batch-size 32",
        ),
        (CnnError("no", "fewer: `data.validation=NUMBER`"), "fewer: --set data.validation=NUMBER"),
        (
            CnnError("no", "write larger; `raw=True` takes it as it is"),
            "write larger; --raw takes it as it is",
        ),
        (CnnError("no", "see `ulimit -n`"), "see `ulimit -n`"),
        (CnnError("no"), None),
        (RunError("no", "train one: `train_run`"), "train one: cnn train"),
        (
            RunError("no", "choose another `name`, `exist_ok=True`, or go on: `resume=True`", run=RUN),
            "choose another --name, --exist-ok, or go on: cnn train --resume run-1",
        ),
        (
            RunError("no", "train it for longer: `train.epochs=6`", run=RUN),
            "train it for longer: cnn train --resume run-1 --epochs 6",
        ),
        (
            RunError("no", "allow it more: `train.patience=4`", run=ELSEWHERE),
            "allow it more: cnn train --resume wide --runs-dir 'my runs' --set train.patience=4",
        ),
        (
            MissingDataError(
                "no", f"fetch: {DownloadCall('mnist', 'data')}", call=DownloadCall("mnist", "data")
            ),
            "fetch: cnn download mnist",
        ),
        (Interrupted("stopped", run=RUN), "go on with: cnn train --resume run-1"),
    ],
)
def test_a_hint_is_spelled_for_the_command_line(error: CnnError, hint: str | None) -> None:
    assert hint_of(error) == hint
    assert error_text(error) == (error.message, hint, error.exit_code)


def test_a_command_is_ready_to_be_copied() -> None:
    assert resume_command(Path("runs/a b")) == "cnn train --resume 'a b'"
    assert download_command(DownloadCall("mnist", "my data", "FOLDER")) == (
        "cnn download mnist --from FOLDER --data-dir 'my data'"
    )
