"""Words to the right stream, one JSON document, and every exception as text with an exit code."""

import errno
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from cnncli.cli.console import four_decimals, percent, print_json, run_command
from cnncli.cli.hints import error_text
from cnncli.errors import CnnError, ConfigError, GateError, Interrupted


def raising(error: BaseException):
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CnnError("no"), 1),
        (ConfigError("mnist.yaml:3: no"), 2),
        (GateError("too low"), 3),
        (KeyboardInterrupt(), 130),
        (MemoryError(), 1),
        (PermissionError(errno.EACCES, "Permission denied", "out.csv"), 1),
        (ZeroDivisionError("division by zero"), 1),
    ],
)
def test_every_exception_is_one_error_line_and_an_exit_code(error, code, capsys) -> None:
    assert run_command(raising(error), debug=False) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert [
        line for line in printed.err.splitlines() if line.startswith("error: ")
    ] == printed.err.splitlines()[:1]
    assert "Traceback" not in printed.err


@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143)])
def test_an_interruption_is_told_but_is_no_error(number, code, capsys) -> None:
    error = Interrupted("stopped in epoch 2", number, run=Path("runs/run-1"))
    assert run_command(raising(error), debug=False) == code
    assert capsys.readouterr().err == "stopped in epoch 2; go on with: cnn train --resume run-1\n"


def test_a_hint_has_its_own_line(capsys) -> None:
    run_command(raising(CnnError("no such run", "see runs/")), debug=False)
    assert capsys.readouterr().err == "error: no such run\nhint: see runs/\n"


def test_debug_shows_the_traceback_before_the_message(capsys) -> None:
    assert run_command(raising(CnnError("no")), debug=True) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-1] == "error: no"


def test_an_unexpected_exception_is_called_a_bug() -> None:
    message, hint, code = error_text(IndexError("list index out of range"))
    assert message == "this is a bug in cnn: IndexError: list index out of range"
    assert "--debug" in hint
    assert code == 1


def test_an_error_of_the_system_names_the_file() -> None:
    message, hint, _ = error_text(OSError(errno.ENOSPC, "No space left on device", "runs/run-1/run.json"))
    assert message == "runs/run-1/run.json: no space left on device"
    assert hint == "free some space and run it again"


def test_markup_in_a_file_name_is_printed_as_it_is(capsys) -> None:
    run_command(raising(CnnError("cannot read [red]x[/].png :smile:")), debug=False)
    assert capsys.readouterr().err == "error: cannot read [red]x[/].png :smile:\n"


def test_a_long_message_is_not_broken_into_lines(capsys) -> None:
    path = "/".join(["folder"] * 60)
    run_command(raising(CnnError(f"{path}: no")), debug=False)
    assert capsys.readouterr().err == f"error: {path}: no\n"


def test_a_command_may_return_its_exit_code() -> None:
    assert run_command(lambda: 3, debug=False) == 3
    assert run_command(lambda: None, debug=False) == 0


def test_a_reader_that_left_is_not_worth_a_word(capsys) -> None:
    assert run_command(raising(BrokenPipeError()), debug=False) == 1
    assert capsys.readouterr().err == ""


class Full(io.RawIOBase):
    """A file on a disk without space."""

    def writable(self) -> bool:
        return True

    def write(self, content) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_an_output_that_cannot_be_written_is_named_as_the_reason(monkeypatch, capsys) -> None:
    full = io.TextIOWrapper(Full(), encoding="utf-8", write_through=True)
    monkeypatch.setattr("sys.stdout", full)
    assert run_command(lambda: print("result"), debug=False) == 1
    assert capsys.readouterr().err == "error: the output cannot be written: no space left on device\n"
    assert sys.stdout is full


def test_a_stream_without_unicode_prints_escapes_instead_of_failing(monkeypatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    assert run_command(lambda: print("K\u00e4fer \udcff"), debug=True) == 0
    assert raw.getvalue() == b"K\\xe4fer \\udcff\n"


def test_json_knows_numpy_paths_and_numbers_that_are_not_finite(capsys) -> None:
    document = {
        "loss": float("nan"),
        "accuracy": np.float32(0.5),
        "confusion": np.eye(2, dtype=np.int64),
        "path": Path("runs/run-1"),
        "shape": (1, 28, 28),
        "best": None,
        "name": "Käfer",
    }
    print_json(document)
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert json.loads(printed) == {
        "loss": None,
        "accuracy": 0.5,
        "confusion": [[1, 0], [0, 1]],
        "path": "runs/run-1",
        "shape": [1, 28, 28],
        "best": None,
        "name": "Käfer",
    }


def test_numbers_that_are_missing_or_not_finite_are_a_dash() -> None:
    assert percent(0.98765) == "98.77 %"
    assert percent(None) == percent(float("nan")) == four_decimals(None) == four_decimals(float("inf")) == "-"
