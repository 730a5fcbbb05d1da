"""Starts processes for workers, without Python's `multiprocessing`: that would run the main script of the caller again.

A process imports what a worker needs and waits for its order; see `worker.py`.
"""

import atexit
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from multiprocessing.spawn import get_executable
from typing import Any, Literal

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

    def kill(self) -> None:
        """End the process at once."""
        if self.is_alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, getattr(signal, "SIGKILL", signal.SIGTERM))

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

    def forget(self) -> None:
        """Close this copy of the caller's end, in a process that was forked from the caller."""
        self.close()
        self._process.returncode = 0  # it is not a child of this process, so there is nothing to wait for


class ServedProcess(StartedProcess):
    """A fork of the server that this process has for that.

    Raises:
        StartError: it cannot be started.
    """

    def __init__(self) -> None:
        self.pid, self._control = ForkServer.of_this_process().fork()

    def is_alive(self) -> bool:
        try:
            # the worker sends nothing over its end, and only the worker has that
            return bool(self._control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def join(self, timeout: float | None = None) -> None:
        if self._control.fileno() < 0:
            return
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.poll(None if timeout is None else 1000 * timeout)


class ForkServer:
    """A process with one thread that has imported what a worker needs, and forks workers.

    Raises:
        StartError: it cannot be started.
    """

    _server: "ForkServer | None" = None
    _lock = threading.Lock()

    def __init__(self) -> None:
        self._caller = os.getpid()
        self._process, self._control = start_interpreter("serve_forks")
        atexit.register(self.close)

    @classmethod
    def of_this_process(cls) -> "ForkServer":
        """Return the server of this process, which is started when it is first asked for."""
        with cls._lock:
            server = cls._server
            if server is None or server._caller != os.getpid() or server._process.poll() is not None:
                server = cls._server = cls()
            return server

    def fork(self) -> tuple[int, socket.socket]:
        """Fork a worker; return its process number and the caller's end of its socket."""
        ours, theirs = socket.socketpair()
        try:
            with self._lock, theirs:
                socket.send_fds(self._control, [b"f"], [theirs.fileno()], getattr(socket, "MSG_NOSIGNAL", 0))
                pid = int.from_bytes(self._control.recv(8, socket.MSG_WAITALL), "little", signed=True)
            if pid <= 0:
                raise StartError("the fork server cannot fork")
        except (OSError, StartError) as error:
            ours.close()
            raise StartError(f"the fork server does not answer: {error}") from error
        return pid, ours

    def close(self) -> None:
        """End the server."""
        if os.getpid() == self._caller:
            self._control.close()
            self._process.wait()


_early: list[SpawnedProcess] = []
"""Processes that were started before there is an order for them."""

_early_lock = threading.Lock()


def start_early(method: Literal["spawn", "forkserver"], count: int) -> None:
    """Start processes for a pool that will be made soon, so that they import while the caller goes on.

    An error is left to the pool, which tries again.
    """
    with suppress(StartError):
        if method == "forkserver":
            ForkServer.of_this_process()
            return
        with _early_lock:
            while len(_early) < count:
                _early.append(SpawnedProcess())


def start(method: Literal["spawn", "forkserver"]) -> StartedProcess:
    """Return a process that waits for its order, or will.

    Raises:
        StartError: it cannot be started.
    """
    if method == "forkserver":
        return ServedProcess()
    with _early_lock:
        while _early:
            process = _early.pop()
            if process.is_alive():
                return process
            process.close()
    return SpawnedProcess()


def stop_early() -> None:
    """End the processes that were started early and that no pool has taken."""
    with _early_lock:
        while _early:
            process = _early.pop()
            process.kill()
            process.join()
            process.close()


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


def _forget_in_child() -> None:
    """In a process that was forked: the processes belong to the other one."""
    for process in _early:
        process.forget()
    _early.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)

atexit.register(stop_early)
