"""The first signal asks, the second ends; outside a training SIGTERM is exit code 143."""

import os
import signal
import subprocess
import sys

import pytest

from cnncli.cli.signals import StopRequest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_remembered_and_told_once(number) -> None:
    told = []
    with StopRequest(lambda: told.append(True)) as stop:
        assert stop() is None
        os.kill(os.getpid(), number)
        assert stop() == number
    assert told == [True]


def test_the_old_handlers_come_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(RuntimeError), StopRequest(lambda: None):
        raise RuntimeError
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)


@pytest.mark.parametrize(("second", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_the_second_signal_ends_the_process_at_once(second, code) -> None:
    script = f"""
import os, signal
from cnncli.cli.signals import StopRequest
try:
    with StopRequest(lambda: print("saving", flush=True)):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.{second})
        print("still here", flush=True)
finally:
    print("clean-up", flush=True)
"""
    done = run_python(script)
    assert done.returncode == code
    assert done.stdout == "saving\n"


def test_terminating_outside_a_training_still_cleans_up() -> None:
    script = """
import os, signal
from cnncli.cli.signals import leave_on_terminate
leave_on_terminate()
try:
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()
finally:
    print("clean-up", flush=True)
"""
    done = run_python(script)
    assert done.returncode == 143
    assert done.stdout == "clean-up\n"
    assert done.stderr == ""
