"""How many cores there are, what kind of workers suits them, and how many shards.

The calling process runs all lines of this file.
"""

import multiprocessing
import os
import sys
from functools import cache
from typing import Literal

from cnncli.launcher import launcher_variable
from cnncli.processors import available_processors

_MOST_SHARDS = 8


def default_workers() -> int:
    """Return the number of workers that "auto" means: the available cores, or OMP_NUM_THREADS if that is lower."""
    # "4,2" has a number for each level
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    limit = int(asked) if asked.isascii() and asked.isdigit() else 0
    return min(available_processors(), limit) if limit > 0 else available_processors()


StartMethod = Literal["fork", "spawn", "forkserver"]
"""How a worker comes to be a process: a copy of the caller, a new interpreter, or a copy of a new interpreter."""


def processes_are_faster() -> bool:
    """Return whether processes are better workers than threads: they are wherever Python has a global lock."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


def can_fork() -> bool:
    """Return whether forked processes are better workers than threads; a fork is safe on Linux."""
    return sys.platform == "linux" and processes_are_faster()


def choose_start_method(asked: Literal["auto"] | StartMethod) -> StartMethod:
    """Return how processes are started on this system: as asked, where that is possible.

    "auto" is fork where it is safe. Python's own default is another one in each version, so it plays no part.
    """
    if asked == "auto":
        return "fork" if sys.platform == "linux" else "spawn"
    # Windows has neither fork nor a server that forks
    return asked if hasattr(os, "fork") else "spawn"


def count_workers(workers: int | Literal["auto"], shards: int | None) -> int:
    """Return how many workers run a number of shards, the caller included; None is the default number of shards."""
    most = default_shards() if shards is None else shards
    return min(default_workers() if workers == "auto" else workers, most)


def obstacle_to_processes(method: StartMethod) -> str | None:
    """Return why this process cannot have processes as workers, or None if it can."""
    if multiprocessing.current_process().daemon:
        return "this process is daemonic, and Python lets such a process start no others"
    if variable := launcher_variable():
        return f"this process was started by an MPI launcher, as {variable} tells"
    if method == "fork" and not has_semaphores():
        return "this system offers no semaphores to processes (on Linux they need a writable /dev/shm)"
    return None


def semaphore_context() -> multiprocessing.context.BaseContext:
    """Return what makes semaphores that lose their name at once.

    Those of other start methods keep it, and start a process that watches over it.
    """
    return multiprocessing.get_context("fork" if hasattr(os, "fork") else "spawn")


@cache
def has_semaphores() -> bool:
    """Return whether semaphores between processes can be created here; AWS Lambda, for one, has none."""
    try:
        semaphore_context().Semaphore(0)
    except (ImportError, OSError):
        return False
    return True


def default_shards() -> int:
    """Return the default number of shards of a batch: 2, or the largest power of two up to the cores and to 8."""
    shards = 2
    while shards * 2 <= min(available_processors(), _MOST_SHARDS):
        shards *= 2
    return shards
