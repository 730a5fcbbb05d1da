"""`cnn export` writes files for other programs, says how they were checked, and explains what it cannot do."""

import json
from pathlib import Path

import pytest

from cnncli.export.formats import FORMATS
from cnncli.runs import create_run
from cnncli.training.bundled import BUNDLED_PATH


@pytest.fixture(autouse=True)
def _stand_in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def unfinished() -> None:
    """A run that has a checkpoint and is still marked as running by another process."""
    run = create_run(name="first")
    run.best_path.write_bytes(BUNDLED_PATH.read_bytes())
    run.write_info(status="interrupted")


def test_the_bundled_model_goes_into_the_working_folder(cnn) -> None:
    result = cnn("export", "bundled", "--to", "npz")
    assert result.exit_code == 0, result.stderr
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert lines["file"] == "bundled.npz" and lines["checked"] == "1,000 drawn digits, with NumPy"
    assert lines["difference"] == "at most 0 in a logit" and lines["answers"] == "100.00 % equal"
    assert Path("bundled.npz").is_file() and "wrote bundled.npz" in result.stderr


def test_an_unfinished_run_is_exported_with_a_warning(cnn, unfinished) -> None:
    result = cnn("export", "first", "--to", "npz", "--json")
    assert result.exit_code == 0, result.stderr
    assert "warning: first is not finished, its status is interrupted" in result.stderr
    document = json.loads(result.stdout)
    assert (document["run"], document["checkpoint"]) == ("first", "best")
    (only,) = document["exported"]
    assert only["files"] == ["runs/first/export/first.npz"] and only["comparison"]["equal_answers"] == 1


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["bundled", "--to", "npzz"], 2, "there is no format 'npzz'"),
        (["bundled"], 2, "missing option '--to'"),
        (["nobody", "--to", "npz"], 1, "there is no run 'nobody'"),
        (["empty", "--to", "npz"], 1, "has no checkpoint"),
        (["bundled", "--to", "npz", "-o", "missing/x.npz"], 1, "cannot write missing/x.npz"),
        (["bundled", "--to", "npz", "-o", "runs"], 1, "cannot write runs: it is a folder"),
        (["bundled", "--to", "npz", "--input", "uint8"], 2, "the format npz has no choice of"),
        (["bundled", "--to", "npz", "--input", "int4"], 2, "'int4' is not one of"),
    ],
)
def test_what_cannot_be_done_is_said_with_the_right_exit_code(cnn, args, code, message) -> None:
    create_run(name="empty")
    result = cnn("export", *args)
    assert result.exit_code == code and message in result.stderr
    assert not list(Path().glob("*.npz")) and result.stdout == ""


def test_the_help_names_every_format(cnn) -> None:
    shown = " ".join(cnn("export", "--help").stdout.split())
    assert f"--to FORMAT {', '.join(FORMATS)}. May be repeated." in shown


def test_a_program_in_c_says_how_much_memory_it_needs(cnn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnncli.export.c.compile.find_compiler", lambda: None)
    result = cnn("export", "bundled", "--to", "c")
    assert result.exit_code == 0, result.stderr
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert lines["checked"] == "no: no C compiler is on the PATH (cc, gcc, clang)"
    header = Path("bundled.h").read_text()
    for name in ("flash", "ram"):
        size = int(lines[name].removesuffix(" bytes").replace(",", ""))
        assert f"#define BUNDLED_{name.upper()}_BYTES {size}\n" in header
    # the weights alone
    assert int(lines["flash"].removesuffix(" bytes").replace(",", "")) > 4 * 69_000


def test_several_formats_are_one_document(cnn) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed (extra onnx)")
    result = cnn("export", "bundled", "--to", "npz", "--to", "onnx", "--json")
    assert result.exit_code == 0, result.stderr
    assert [each["files"] for each in json.loads(result.stdout)["exported"]] == [
        ["bundled.npz"],
        ["bundled.onnx"],
    ]
    refused = cnn("export", "bundled", "--to", "npz", "--to", "onnx", "-o", "one")
    assert refused.exit_code == 2 and "--to names 2 formats" in refused.stderr
