"""How much memory this process may still take, so that a model too large is refused instead of killed."""

import os
import sys
from pathlib import Path


def available_bytes(root: Path = Path("/")) -> int:
    """Return how many bytes can be allocated before the machine swaps or a container ends the process.

    The smallest of what the kernel calls available and of what each control group around this process
    leaves; where a system tells neither, its physical memory; where it tells nothing at all, a number no
    model reaches.

    Args:
        root: where `proc` and `sys` are mounted.
    """
    figures = [figure for figure in (_kernel(root), *_control_groups(root)) if figure is not None]
    if not figures:
        figures = [_physical()]
    return max(0, min(figures))


def _kernel(root: Path) -> int | None:
    """MemAvailable of /proc/meminfo, which counts the caches the kernel would give back."""
    for line in _read(root / "proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return None


def _control_groups(root: Path) -> list[int | None]:
    """What is left in every memory group from this process's own up to the root, for versions 2 and 1."""
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
        # inside a container the path may be the host's, which does not exist here: then its parents are tried
        left += [_left_in(folder, *names) for folder in (group, *group.parents) if folder.is_relative_to(top)]
    return left


def _left_in(group: Path, limit_name: str, usage_name: str, cache_name: str) -> int | None:
    """Limit minus use, where file pages that would simply be dropped do not count as used."""
    limit, usage = _read(group / limit_name).strip(), _read(group / usage_name).strip()
    if not (limit.isdigit() and usage.isdigit()):  # no such group, or "max": no limit
        return None
    droppable = 0
    for line in _read(group / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name == cache_name:
            droppable = int(value)
    return int(limit) - (int(usage) - droppable)


def _physical() -> int:
    """The machine's whole memory, or a number no model reaches where even that is unknown."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return sys.maxsize


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
