"""`cnn draw` says where its page is, opens it where there is a screen, and ends when it is asked to."""

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest
from typer.testing import CliRunner

from cnncli.cli.app import app
from cnncli.cli.signals import REPEATABLE
from cnncli.web.draw.server import DrawServer


def cnn(*args: str):
    return CliRunner().invoke(app, args, prog_name="cnn")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> "Iterator[SimpleQueue[str]]":
    """Let the server stop as soon as it is ready; the addresses that a browser was asked to open."""
    opened: SimpleQueue[str] = SimpleQueue()

    def run(server: DrawServer, on_ready) -> int:
        on_ready()
        server._listening.close()
        return signal.SIGINT

    monkeypatch.setattr(DrawServer, "run", run)
    monkeypatch.setattr("webbrowser.open", opened.put)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_DISTRO_NAME"):
        monkeypatch.delenv(name, raising=False)
    before = {number: signal.getsignal(number) for number in REPEATABLE}
    yield opened
    for number, handler in before.items():
        signal.signal(number, handler)


def test_it_runs_until_a_signal_and_answers_meanwhile(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cnncli", "draw", "--port", "0", "--no-open"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with urllib.request.urlopen(address, timeout=10) as page:
            assert b"<title>" in page.read()
        process.terminate()
        out, err = process.communicate(timeout=20)
    assert process.returncode == 143
    assert out == ""
    assert err.splitlines() == [
        "model bundled, which ships with cnn, because no run in runs is finished",
        "Ctrl-C ends it",
    ]


def test_without_a_screen_the_address_is_only_printed(
    served: "SimpleQueue[str]", tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = cnn("draw", "--port", "0")
    assert result.exit_code == 130
    assert result.stdout.startswith("http://127.0.0.1:") and result.stdout.count("\n") == 1
    assert result.stderr.splitlines()[-1] == (
        "open the address in a browser; there is no screen here to open one on"
    )
    assert served.empty()


def test_a_second_ctrl_c_ends_it_while_a_picture_is_read() -> None:
    script = """
import os, signal, threading, time
from cnncli.cli.app import app
from cnncli.web.draw.server import DrawServer

def run(server, on_ready):
    # a picture that takes long, and the second Ctrl-C
    server._network.submit(time.sleep, 15)
    threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGINT]).start()
    return signal.SIGINT

DrawServer.run = run
app(["draw", "bundled", "--port", "0"])
"""
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (130, "")
    assert "Traceback" not in done.stderr
    assert time.monotonic() - begin < 14


def test_with_a_screen_the_page_opens_by_itself(served: "SimpleQueue[str]", monkeypatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    result = cnn("draw", "bundled", "--port", "0")
    assert served.get(timeout=10) == result.stdout.strip()
    assert "model bundled, which ships with cnn\n" in result.stderr


def test_no_open_opens_nothing(served: "SimpleQueue[str]", monkeypatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    cnn("draw", "bundled", "--port", "0", "--no-open")
    assert served.empty()


def test_far_from_the_screen_the_way_to_the_page_is_said(served: "SimpleQueue[str]", monkeypatch) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 1 10.0.0.2 22")
    result = cnn("draw", "bundled", "--port", "0")
    port = result.stdout.strip().rstrip("/").rpartition(":")[2]
    assert f"ssh -L {port}:127.0.0.1:{port} HOST" in result.stderr


def test_a_port_that_is_taken_is_an_error_with_a_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = cnn("draw", "bundled", "--port", str(port))
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"error: port {port} cannot be used: address already in use",
        "hint: --port 0 takes a free one",
    ]


@pytest.mark.parametrize("port", ["-1", "65536", "web"])
def test_a_port_is_a_number_that_can_be_one(port: str) -> None:
    assert cnn("draw", "--port", port).exit_code == 2


def test_a_run_that_is_not_there_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = cnn("draw", "run-7", "--port", "0")
    assert result.exit_code == 1 and "run-7" in result.stderr
