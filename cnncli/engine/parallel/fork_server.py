"""A process with one thread that has imported what a worker needs, and forks workers when the caller asks.

Only the caller runs this file; the server runs `serve_forks` in `worker.py`. Windows has neither.
"""

import atexit
import os
import select
import signal
import socket
import sys
import threading
from contextlib import suppress

from cnncli.engine.parallel.started import StartedProcess, StartError, start_interpreter

assert sys.platform != "win32"


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

    def kill(self) -> None:
        # as long as its end of the socket is open, no other process can have its number
        if self.is_alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


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
