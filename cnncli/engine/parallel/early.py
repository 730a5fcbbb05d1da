"""Starts processes for workers, also before there is work, so that they import while the caller prepares."""

import atexit
import os
import sys
import threading
from contextlib import suppress
from typing import Literal

from cnncli.engine.parallel.started import SpawnedProcess, StartedProcess, StartError

_early: list[SpawnedProcess] = []
"""Processes that were started before there is an order for them."""

_early_lock = threading.Lock()


def start_early(method: Literal["spawn", "forkserver"], count: int) -> None:
    """Start processes for a pool that will be made soon, so that they import while the caller goes on.

    An error is left to the pool, which tries again.
    """
    with suppress(StartError):
        if method == "forkserver" and sys.platform != "win32":
            from cnncli.engine.parallel.fork_server import ForkServer

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
    if method == "forkserver" and sys.platform != "win32":
        from cnncli.engine.parallel.fork_server import ServedProcess

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


def _forget_in_child() -> None:
    """In a process that was forked: the processes belong to the other one."""
    for process in _early:
        process.forget()
    _early.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)

atexit.register(stop_early)
