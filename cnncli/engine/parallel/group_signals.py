"""Signals that may come to the whole group of processes, as Ctrl-C does: a worker leaves it to the caller to stop."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_IGNORED = tuple(
    signal.Signals[name]
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGXCPU", "SIGBREAK")
    if name in signal.Signals.__members__
)


@contextmanager
def blocked_signals() -> Iterator[None]:
    """In the caller: a process that is started meanwhile begins with these signals blocked, where there are masks."""
    if sys.platform == "win32":
        yield
    else:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _IGNORED)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_signals() -> None:
    """In a worker's process: ignore these signals from now on, and unblock them."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _IGNORED)
