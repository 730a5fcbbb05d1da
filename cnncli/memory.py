"""The memory that this process may still allocate, so that too large a model is refused before it is killed."""

import os
import sys
from pathlib import Path

from cnncli.control_groups import group_folders, number, read

_FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}
"""For each version of control groups: the files of limit and usage, and the key of droppable pages in memory.stat."""


def available_bytes(root: Path = Path("/")) -> int:
    """Return how many bytes can be allocated before the machine swaps or a container kills the process.

    This is the smallest of the kernel's estimate and of what is left in each control group of the process. Windows has
    an estimate of its own. Other systems report their physical memory. If that is unknown too, the result is larger
    than any model.

    Args:
        root: the folder where `proc` and `sys` are mounted.
    """
    figures = [figure for figure in (_kernel(root), *_control_groups(root)) if figure is not None]
    if not figures:
        figures = [_physical()]
    return max(0, min(figures))


def _kernel(root: Path) -> int | None:
    """Return MemAvailable of /proc/meminfo, which includes caches that the kernel can free."""
    for line in read(root / "proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            kibibytes = number(rest.removesuffix("kB"))
            return None if kibibytes is None else kibibytes * 1024
    return None


def _control_groups(root: Path) -> list[int | None]:
    """Return what is left in each memory control group of this process, from its own to the root (versions 1 and 2)."""
    return [_left_in(folder, *_FILES[version]) for version, folder in group_folders("memory", root)]


def _left_in(group: Path, limit_name: str, usage_name: str, cache_name: str) -> int | None:
    """Return limit minus usage. File pages that the kernel can drop do not count as used."""
    limit, usage = number(read(group / limit_name)), number(read(group / usage_name))
    if limit is None or usage is None:  # no such group, or "max", which means no limit
        return None
    droppable = 0
    for line in read(group / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name == cache_name:
            droppable = number(value) or 0
    return limit - (usage - droppable)


if sys.platform == "win32":
    import ctypes

    class _MemoryStatus(ctypes.Structure):
        """MEMORYSTATUSEX: https://learn.microsoft.com/windows/win32/api/sysinfoapi/ns-sysinfoapi-memorystatusex."""

        _fields_ = (
            ("length", ctypes.c_ulong),
            ("percent_in_use", ctypes.c_ulong),
            ("physical", ctypes.c_ulonglong),
            ("available", ctypes.c_ulonglong),
            ("page_file", ctypes.c_ulonglong),
            ("page_file_available", ctypes.c_ulonglong),
            ("address_space", ctypes.c_ulonglong),
            ("address_space_available", ctypes.c_ulonglong),
            ("extended_available", ctypes.c_ulonglong),
        )

    def _physical() -> int:
        """Return the physical memory that is available, or the largest integer when it is unknown."""
        status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
        found = ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
        return int(status.available) if found else sys.maxsize

else:

    def _physical() -> int:
        """Return the physical memory of the machine, or the largest integer when it is unknown."""
        try:
            size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, ValueError, OSError):
            return sys.maxsize
        return size if size > 0 else sys.maxsize  # -1 says that the system does not know
