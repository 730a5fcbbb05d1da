"""Runs code in its own process, and measures its time, its exit code and its peak memory."""

import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "COLUMNS": "100"}


class Ended(NamedTuple):
    """The end of a process.

    Attributes:
        code: its exit code; negative for a signal.
        stdout, stderr: what it wrote.
        seconds: wall time.
        megabytes: its peak of resident memory.
    """

    code: int
    stdout: str
    stderr: str
    seconds: float
    megabytes: float


def run(*arguments: str, cwd: Path, timeout: float = 300) -> Ended:
    """Run Python with these arguments to its end."""
    # a process in between, so that the peak of this child is not mixed with that of the ones before
    program = (
        "import resource, subprocess, sys\n"
        "code = subprocess.run([sys.executable, *sys.argv[1:]]).returncode\n"
        "print('\\n' + str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss), file=sys.stderr)\n"
        "sys.exit(code if code >= 0 else 128 - code)\n"
    )
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        cwd=cwd,
        env=ENVIRONMENT,
        timeout=timeout,
        check=False,
    )
    seconds = time.monotonic() - start
    message, _, peak = done.stderr.rstrip("\n").rpartition("\n")
    return Ended(done.returncode, done.stdout, message.rstrip("\n"), seconds, int(peak) * 1024 / 1e6)


def cnn(*arguments: str, cwd: Path, timeout: float = 300) -> Ended:
    """Run a command of the program to its end."""
    return run("-m", "cnncli", *arguments, cwd=cwd, timeout=timeout)


def own_peak() -> float:
    """Return the peak of this process's resident memory, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
