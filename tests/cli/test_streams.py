"""Commands work on streams that are closed, in pipes that nobody reads, and on terminals of any size."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

import cnncli
from cnncli.cli.app import app
from cnncli.cli.console import ignore_unusable_sizes

ROOT = str(Path(cnncli.__file__).parents[1])


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of the shell in which `cnn` is this program."""
    command = f'cnn() {{ "{sys.executable}" -m cnncli "$@"; }}; {line}'
    found = {**os.environ, "PYTHONPATH": ROOT, **environment}
    return subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        env=found,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize(
    ("closed", "printed"), [(">&-", False), ("2>&-", True), ("<&-", True), (">&- 2>&- <&-", False)]
)
def test_a_closed_stream_is_no_error(closed, printed):
    done = shell(f"cnn --version {closed}")
    expected = f"cnn {cnncli.__version__}\n" if printed else ""
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")


def test_an_error_with_stderr_closed_has_its_exit_code():
    done = shell("cnn eval no-such-run 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


@pytest.mark.parametrize(("name", "value"), [("COLUMNS", "0"), ("LINES", "0")])
def test_a_senseless_size_of_the_terminal_hides_nothing(name, value, place):
    done = shell("cnn inspect tiny.yaml", **{name: value})
    assert done.returncode == 0
    assert "conv1" in done.stdout and "parameters" in done.stdout


@pytest.mark.parametrize(
    ("value", "kept"), [("0", False), ("9", False), ("²", False), ("40", True), ("200", True)]
)
def test_a_number_of_columns_is_kept_if_something_can_be_read_in_it(value, kept, monkeypatch):
    monkeypatch.setenv("COLUMNS", value)
    ignore_unusable_sizes()
    assert ("COLUMNS" in os.environ) == kept


def test_a_pipe_gets_plain_lines_whatever_the_environment_says(place):
    wishes = dict.fromkeys(["FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "CLICOLOR_FORCE"], "1")
    done = shell("cnn train -c tiny.yaml --no-plots --epochs 1", **wishes)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
    assert "epoch 1/1 train_loss=" in done.stderr


def test_a_training_run_goes_on_when_nobody_reads_what_it_says(place):
    shell("cnn train -c tiny.yaml --no-plots --name piped 2>&1 | head -1")
    info = json.loads((place / "runs/piped/run.json").read_text())
    assert (info["status"], info["epochs_done"]) == ("done", 2)


def test_nothing_is_lost_when_nobody_reads_the_output(place, monkeypatch):
    def unread(*args: str) -> int:
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "w") as stdout, pytest.raises(SystemExit) as ended:
            monkeypatch.setattr(sys, "stdout", stdout)
            app(list(args), prog_name="cnn")
        return ended.value.code

    assert unread("train", "tiny.yaml", "--name", "x", "--no-plots") == 1
    assert json.loads(Path("runs/x/run.json").read_text())["status"] == "done"
    Path("runs/x/eval/test.json").unlink()
    assert unread("eval", "x", "--no-plots") == 1
    assert json.loads(Path("runs/x/eval/test.json").read_text())["count"] == 30
    for name in "ab":
        Image.new("L", (8, 8), 90).save(f"{name}.png")
    read = ["predict", "a.png", "b.png", "--run", "x", "--raw"]
    assert unread(*read, "--csv", "out.csv", "--save-input", "seen") == 1
    assert [line[:5] for line in Path("out.csv").read_text().splitlines()[1:]] == ["a.png", "b.png"]
    assert sorted(path.name for path in Path("seen").iterdir()) == ["a.png", "b.png"]


def test_a_training_run_goes_on_when_its_terminal_is_gone(place):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cnncli", "train", "-c", "tiny.yaml", "--name", "gone"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "PYTHONPATH": ROOT, "TERM": "xterm"},
        start_new_session=True,
    )
    os.close(theirs)
    os.read(ours, 10)
    os.close(ours)  # no SIGHUP, because it is not the terminal of the process's session
    process.wait(60)
    assert json.loads((place / "runs/gone/run.json").read_text())["status"] == "done"


ON_ITS_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "cnncli", *sys.argv[1:]])
"""
"""Runs a command on the terminal that its stdin is, as a terminal window does."""


def test_a_training_run_saves_and_stops_when_its_terminal_is_closed(place):
    ours, theirs = pty.openpty()
    long = ("train", "-c", "tiny.yaml", "--name", "closed", "--epochs", "100000")
    process = subprocess.Popen(
        [sys.executable, "-c", ON_ITS_TERMINAL, *long],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "PYTHONPATH": ROOT, "TERM": "xterm"},
    )
    os.close(theirs)
    seen = b""
    while b"2/100000" not in seen:
        seen += os.read(ours, 1000)
    began = time.monotonic()
    os.close(ours)
    assert process.wait(20) == 128 + signal.SIGHUP
    info = json.loads((place / "runs/closed/run.json").read_text())
    assert info["status"] == "interrupted" and info["epochs_done"] >= 1
    assert (place / "runs/closed/checkpoints/last.npz").is_file()
    assert time.monotonic() - began < 10  # 0.3 s on an idle machine


def test_a_tilde_is_the_home_folder(place):
    done = shell(
        "cnn train -c tiny.yaml --no-plots --epochs 1 -q --runs-dir=~/elsewhere", HOME=str(place / "home")
    )
    assert done.returncode == 0, done.stderr
    assert (place / "home/elsewhere/run-1/run.json").is_file()
    assert not (place / "~").exists()


def test_a_tilde_in_a_config_is_the_home_folder(place, monkeypatch):
    monkeypatch.setenv("HOME", str(place / "home"))
    assert cnncli.parse_config("data: {dir: ~/sets}\nmodel: [flatten, {linear: 3}]").data.dir == str(
        place / "home/sets"
    )
    assert cnncli.parse_config("data: {dir: sets/~}\nmodel: [flatten, {linear: 3}]").data.dir == "sets/~"
