"""Handles the signals that end a process: the first asks the training run to save and stop.

A second Ctrl-C or SIGTERM ends the process at once.
"""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn, Self

STOPPING = tuple(
    signal.Signals[name]
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK", "SIGUSR1", "SIGXCPU")
    if name in signal.Signals.__members__
)
"""SIGHUP comes when the terminal is closed, SIGUSR1 from cluster schedulers before the time is up, SIGXCPU from the
system when the limit of CPU time is reached. Windows has the first two and SIGBREAK, which comes with Ctrl-Break and
when the window of the console is closed.
"""

REPEATABLE = (signal.SIGINT, signal.SIGTERM)
"""What ends the process at once when it comes second; the system repeats the others by itself."""

Handler = Callable[[int, FrameType | None], Any] | int | None


def leave_on_terminate() -> None:
    """Make SIGTERM, SIGHUP and SIGBREAK raise SystemExit with code 128 + number, so that the process cleans up."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    for number in STOPPING:
        if (
            number.name in ("SIGTERM", "SIGHUP", "SIGBREAK")
            and signal.getsignal(number) is not signal.SIG_IGN
        ):
            signal.signal(number, leave)


class StopRequest:
    """Inside the `with` block a signal is stored instead of raised, so that a training run can poll for it.

    Calling the object returns the number of the signal, or None if there was none; it is the `stop` argument of
    `train_run`. A second Ctrl-C or SIGTERM ends the process at once, after the cursor is shown again. A signal that
    was ignored before stays ignored: `nohup` ignores SIGHUP.

    Args:
        on_request: called once by the signal handler, at the first signal.

    Example:
        >>> with StopRequest(lambda: None) as stop:
        ...     stop() is None
        True
    """

    def __init__(self, on_request: Callable[[], None]) -> None:
        self._on_request = on_request
        self._number: int | None = None
        self._before: dict[signal.Signals, Handler] = {}

    def __call__(self) -> int | None:
        return self._number

    def __enter__(self) -> Self:
        for number in STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._number is not None:
            if number in REPEATABLE:
                end_at_once(number)
            return
        self._number = number
        self._on_request()


def end_at_next() -> None:
    """Make the next Ctrl-C or SIGTERM end the process at once, for one that was asked before and is still busy."""
    for number in REPEATABLE:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, frame: end_at_once(number))


def end_at_once(number: int) -> NoReturn:
    """End the process without cleaning up; only the cursor is shown again."""
    if sys.__stderr__ is not None and sys.__stderr__.isatty():
        os.write(sys.__stderr__.fileno(), b"\x1b[?25h\n")
    os._exit(128 + number)
