"""The first signal asks, a second Ctrl-C or SIGTERM ends; outside a training run SIGTERM is exit code 143."""

import os
import signal
import subprocess
import sys

import pytest

from cnncli.cli.signals import STOPPING, StopRequest


def test_what_ends_processes_on_clusters_and_terminals_is_handled() -> None:
    expected = {"SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK", "SIGUSR1", "SIGXCPU"} & set(
        signal.Signals.__members__
    )
    assert {number.name for number in STOPPING} == expected


@pytest.mark.parametrize("number", STOPPING)
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


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_a_signal_that_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest(lambda: None) as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop() is None
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", sorted(set(STOPPING) - {signal.SIGINT, signal.SIGTERM}))
def test_what_the_system_repeats_is_one_request(number) -> None:
    told = []
    with StopRequest(lambda: told.append(True)) as stop:
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        assert stop() == number
    assert told == [True]


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
