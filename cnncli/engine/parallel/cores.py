"""How many cores there are, what kind of workers suits them, and how many shards.

The calling process runs all lines of this file.
"""

import os
import sys

_MOST_SHARDS = 8


def available_cores() -> int:
    """Return how many cores this process may use: by its affinity, and by a container's quota if there is one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass
    return cores


def can_fork() -> bool:
    """Return whether forked processes are better workers than threads.

    Fork is safe on Linux, and threads are slower wherever Python has a global lock.
    """
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    return sys.platform == "linux" and bool(gil)


def default_shards() -> int:
    """Return the default number of shards of a batch: 2, or the largest power of two up to the cores and to 8."""
    shards = 2
    while shards * 2 <= min(available_cores(), _MOST_SHARDS):
        shards *= 2
    return shards
