"""Measures whole processes: their wall time, and the memory of a process with all its children."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
    return found


def proportional_memory(pid: int) -> int:
    """Return the memory in bytes of a process and its descendants, with shared pages counted once (PSS)."""
    total = 0
    for member in family(pid):
        try:
            for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except (OSError, ProcessLookupError):
            continue
    return total


def run(command: Sequence[str], *, every: float = 0.02, cwd: str | None = None) -> tuple[float, int, int]:
    """Run a command to its end.

    Args:
        command: the program and its arguments.
        every: seconds between two measurements of the memory.
        cwd: the working directory.

    Returns:
        wall seconds, peak bytes of all its processes together, and its exit code.
    """
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=cwd)
    peak = 0
    while process.poll() is None:
        peak = max(peak, proportional_memory(process.pid))
        time.sleep(every)
    return time.perf_counter() - start, peak, process.returncode


def wall(command: Sequence[str], *, cwd: str | None = None) -> float:
    """Return the wall seconds of one run, without measuring its memory."""
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=cwd, check=True)
    return time.perf_counter() - start
