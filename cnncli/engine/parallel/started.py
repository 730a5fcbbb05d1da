"""Starts processes for workers, without Python's `multiprocessing`: that would run the main script of the caller again.

A process imports what a worker needs and waits for its order; see `worker.py`.
"""

import os
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from contextlib import suppress
from multiprocessing.spawn import get_executable
from typing import Any

from cnncli.engine.parallel.group_signals import blocked_signals
from cnncli.engine.parallel.order import Order, send_order

_PROGRAM = (
    "import sys; sys.path[:] = {path!r}; from cnncli.engine.parallel import worker; worker.{function}()"
)

_ONE_THREAD = {name: "1" for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
"""A worker has one core. BLAS reads these when it is loaded."""


class StartError(Exception):
    """A worker cannot be a process of its own; the text says why."""


class StartedProcess(ABC):
    """A process that was started for a worker.

    Attributes:
        pid: its number.
    """

    pid: int
    _control: Any

    def send(self, order: Order, descriptors: list[int]) -> None:
        """Send the order; see `send_order`."""
        send_order(self._control, order, descriptors)

    @abstractmethod
    def is_alive(self) -> bool:
        """Return whether the process is still there."""

    @abstractmethod
    def join(self, timeout: float | None = None) -> None:
        """Wait until the process has ended, at most so many seconds."""

    @abstractmethod
    def kill(self) -> None:
        """End the process at once."""

    def close(self) -> None:
        """Close the caller's end, which ends the process if it is still there."""
        with suppress(OSError):
            self._control.close()


class SpawnedProcess(StartedProcess):
    """A new interpreter.

    Raises:
        StartError: it cannot be started.
    """

    def __init__(self) -> None:
        self._process, self._control = start_interpreter("main")
        self.pid = self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def join(self, timeout: float | None = None) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)

    def kill(self) -> None:
        self._process.kill()

    def forget(self) -> None:
        """Close this copy of the caller's end, in a process that was forked from the caller."""
        self.close()
        self._process.returncode = 0  # it is not a child of this process, so there is nothing to wait for


def start_interpreter(function: str) -> tuple["subprocess.Popen[bytes]", Any]:
    """Start an interpreter that calls a function of `worker.py`; return it and the other end of its standard input.

    Raises:
        StartError: it cannot be started.
    """
    executable = get_executable()
    if not executable or getattr(sys, "frozen", False):
        raise StartError("this program is not run by a Python interpreter that could be started again")
    program = _PROGRAM.format(path=[os.path.abspath(folder) for folder in sys.path], function=function)
    arguments = [os.fsdecode(executable), "-c", program]
    environment = {**os.environ, **_ONE_THREAD}
    try:
        if sys.platform == "win32":
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env=environment,
                # Ctrl-C in the console of the caller is not for the worker
                creationflags=subprocess.CREATE_NO_WINDOW,
            )
            return process, process.stdin
        ours, theirs = socket.socketpair()
        with theirs, blocked_signals():
            try:
                process = subprocess.Popen(
                    arguments, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, env=environment
                )
            except BaseException:
                ours.close()
                raise
        return process, ours
    except OSError as error:
        raise StartError(f"{arguments[0]} cannot be started: {error}") from error
