"""How many cores there are, what kind of workers suits them, and how many shards.

The calling process runs all lines of this file.
"""

import multiprocessing
import os
import sys
from functools import cache

from cnncli.processors import available_processors

_MOST_SHARDS = 8


def default_workers() -> int:
    """Return the number of workers that "auto" means: the available cores, or OMP_NUM_THREADS if that is lower."""
    # "4,2" has a number for each level
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    limit = int(asked) if asked.isascii() and asked.isdigit() else 0
    return min(available_processors(), limit) if limit > 0 else available_processors()


def can_fork() -> bool:
    """Return whether forked processes are better workers than threads.

    Fork is safe on Linux, and threads are slower wherever Python has a global lock.
    """
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    return sys.platform == "linux" and bool(gil)


def obstacle_to_processes() -> str | None:
    """Return why this process cannot have processes as workers, or None if it can."""
    if multiprocessing.current_process().daemon:
        return "this process is daemonic, and Python lets such a process start no others"
    if not has_semaphores():
        return "this system offers no semaphores to processes (on Linux they need a writable /dev/shm)"
    return None


@cache
def has_semaphores() -> bool:
    """Return whether semaphores between processes can be created here; AWS Lambda, for one, has none."""
    try:
        multiprocessing.Semaphore(0)
    except (ImportError, OSError):
        return False
    return True


def default_shards() -> int:
    """Return the default number of shards of a batch: 2, or the largest power of two up to the cores and to 8."""
    shards = 2
    while shards * 2 <= min(available_processors(), _MOST_SHARDS):
        shards *= 2
    return shards
