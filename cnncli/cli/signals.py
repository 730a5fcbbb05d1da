"""What Ctrl-C and SIGTERM do: the first asks a training to save and stop, the second ends the process."""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

STOPPING = (signal.SIGINT, signal.SIGTERM)

Handler = Callable[[int, FrameType | None], Any] | int | None


def leave_on_terminate() -> None:
    """Make SIGTERM end the process with exit code 143 through the same clean-up as any other exception."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)


class StopRequest:
    """Inside the `with` block a signal is remembered instead of raised, so that a training can poll it.

    Calling the object returns the number of the signal that came, or None: it is the `stop` argument of a
    training. A second signal does not wait for anything: the cursor is shown again and the process ends.

    Args:
        on_request: called once, from the signal handler, when the first signal comes.

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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._number is not None:
            end_at_once(number)
        self._number = number
        self._on_request()


def end_at_once(number: int) -> NoReturn:
    """Leave without any clean-up but the cursor's: threads, buffers and files stay as they are."""
    if sys.__stderr__ is not None and sys.__stderr__.isatty():
        os.write(sys.__stderr__.fileno(), b"\x1b[?25h\n")
    os._exit(128 + number)
