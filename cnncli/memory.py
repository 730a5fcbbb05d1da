"""The memory that this process may still allocate, so that too large a model is refused before it is killed."""

import os
import sys
from pathlib import Path


def available_bytes(root: Path = Path("/")) -> int:
    """Return how many bytes can be allocated before the machine swaps or a container kills the process.

    This is the smallest of the kernel's estimate and of what is left in each control group of the process. A system
    with neither reports its physical memory. If that is unknown too, the result is larger than any model.

    Args:
        root: the folder where `proc` and `sys` are mounted.
    """
    figures = [figure for figure in (_kernel(root), *_control_groups(root)) if figure is not None]
    if not figures:
        figures = [_physical()]
    return max(0, min(figures))


def _kernel(root: Path) -> int | None:
    """Return MemAvailable of /proc/meminfo, which includes caches that the kernel can free."""
    for line in _read(root / "proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return None


def _control_groups(root: Path) -> list[int | None]:
    """Return what is left in each memory control group of this process, from its own to the root (versions 1 and 2)."""
    left: list[int | None] = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            top = root / "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        group = top / path.strip("/")
        # In a container this may be a path of the host, which does not exist here. Then its parents are tried.
        left += [_left_in(folder, *names) for folder in (group, *group.parents) if folder.is_relative_to(top)]
    return left


def _left_in(group: Path, limit_name: str, usage_name: str, cache_name: str) -> int | None:
    """Return limit minus usage. File pages that the kernel can drop do not count as used."""
    limit, usage = _read(group / limit_name).strip(), _read(group / usage_name).strip()
    if not (limit.isdigit() and usage.isdigit()):  # no such group, or "max", which means no limit
        return None
    droppable = 0
    for line in _read(group / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name == cache_name:
            droppable = int(value)
    return int(limit) - (int(usage) - droppable)


def _physical() -> int:
    """Return the physical memory of the machine, or the largest integer when it is unknown."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return sys.maxsize


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
