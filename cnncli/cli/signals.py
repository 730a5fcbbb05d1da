"""Handles Ctrl-C and SIGTERM: the first asks the training run to save and stop, the second ends the process."""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn, Self

STOPPING = (signal.SIGINT, signal.SIGTERM)

Handler = Callable[[int, FrameType | None], Any] | int | None


def leave_on_terminate() -> None:
    """Make SIGTERM raise SystemExit with code 143, so that the process cleans up before it ends."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)


class StopRequest:
    """Inside the `with` block a signal is stored instead of raised, so that a training run can poll for it.

    Calling the object returns the number of the signal, or None if there was none; it is the `stop` argument of
    `train_run`. A second signal ends the process at once, after the cursor is shown again.

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
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._number is not None:
            end_at_once(number)
        self._number = number
        self._on_request()


def end_at_once(number: int) -> NoReturn:
    """End the process without cleaning up; only the cursor is shown again."""
    if sys.__stderr__ is not None and sys.__stderr__.isatty():
        os.write(sys.__stderr__.fileno(), b"\x1b[?25h\n")
    os._exit(128 + number)
