"""Records the machine and the process of a run, so that its results can be interpreted later."""

import os
import platform
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cnncli._version import __version__
from cnncli.control_groups import read
from cnncli.processors import available_processors

_PROC = Path("/proc")

_ENDED = -1
"""Takes the place of the start of a process that has ended."""


def machine_facts() -> dict[str, Any]:
    """Return what run.json stores about software, hardware and command line; takes about 10 ms, because of `git`."""
    return {
        "command_line": list(sys.argv),
        "cnncli": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": blas_name(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
        "cpus_usable": available_processors(),
        "git_commit": git_commit(),
        "host": socket.gethostname(),
    }


def blas_name() -> str:
    """Return the library that NumPy multiplies matrices with, such as "openblas 0.3.30 (Haswell)"."""
    from threadpoolctl import threadpool_info

    for library in threadpool_info():
        if library.get("user_api") == "blas":
            detail = f" ({library['architecture']})" if library.get("architecture") else ""
            return f"{library['internal_api']} {library.get('version') or ''}".rstrip() + detail
    build = np.show_config(mode="dicts") or {}
    return str(build.get("Build Dependencies", {}).get("blas", {}).get("name", "unknown"))


def git_commit(folder: Path | None = None) -> str | None:
    """Return the commit checked out in a folder (default: the working directory), None outside of a git repository."""
    try:
        command = ["git", "rev-parse", "HEAD"]
        answer = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=2, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    commit = answer.stdout.decode("ascii", errors="replace").strip()
    return commit if answer.returncode == 0 and commit else None


def process_identity() -> dict[str, Any]:
    """Return what identifies this process, even when a later process gets the same process number."""
    pid = os.getpid()
    return {"pid": pid, "start": _start_time(pid), "boot": _boot_id(), "host": socket.gethostname()}


def is_alive(identity: dict[str, Any]) -> bool:
    """Tell whether the process of a `process_identity` still runs; True when that is unknown.

    It is unknown for a process of another machine. A process from before the last start of this machine, or one whose
    number now belongs to another process, no longer runs. A system without /proc knows the number alone.
    """
    pid = identity.get("pid")
    if identity.get("host") != socket.gethostname() or not isinstance(pid, int) or pid <= 0:
        return True
    if _differ(identity.get("boot"), _boot_id()):
        return False
    if os.name != "posix":
        return True  # on Windows, os.kill(pid, 0) would end the process
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    start = _start_time(pid)
    return start != _ENDED and not _differ(identity.get("start"), start)


def _differ(recorded: object, now: object) -> bool:
    """Return whether both are known and not the same."""
    return recorded is not None and now is not None and recorded != now


@cache
def _boot_id() -> str | None:
    return read(_PROC / "sys/kernel/random/boot_id").strip() or None


def _start_time(pid: int) -> int | None:
    """Return a process's start in clock ticks since the machine started, or None when it is unknown.

    Source: field 22 of /proc/<pid>/stat, proc_pid_stat(5).
    """
    try:
        text = (_PROC / f"{pid}/stat").read_bytes()
    except OSError:
        return None
    # The name in brackets may itself contain spaces and brackets; field 3 follows the last bracket.
    after_name = text[text.rfind(b")") + 1 :].split()
    if after_name[:1] == [b"Z"]:
        return _ENDED  # a zombie: its parent has not waited for it yet
    return int(after_name[19]) if len(after_name) > 19 and after_name[19].isdigit() else None
