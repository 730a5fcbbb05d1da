"""The processors that this process may use, so that it starts no more workers than can run at once."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from cnncli.control_groups import group_folders, number, read


def available_processors(root: Path = Path("/")) -> int:
    """Return how many processors this process may use: by its affinity, and by a container's quota if there is one.

    Args:
        root: the folder where `proc` and `sys` are mounted.
    """
    processors = _by_affinity()
    for version, folder in group_folders("cpu", root):
        if version == 2:
            quota, _, period = read(folder / "cpu.max").strip().partition(" ")
        else:
            quota, period = (read(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        limit, unit = number(quota), number(period)
        if limit is not None and unit:
            processors = min(processors, max(1, limit // unit))
    return processors


def _by_affinity() -> int:
    if sys.platform != "win32" and sys.platform != "darwin":
        with suppress(AttributeError, OSError):  # not every system has it, and a sandbox may forbid it
            return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
