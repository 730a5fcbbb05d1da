"""Tells whether the process of a run still exists, also after its number was given to another process."""

import os
import socket
from functools import cache
from pathlib import Path
from typing import Any

from cnncli.control_groups import read

_PROC = Path("/proc")

_ENDED = -1
"""Takes the place of the start of a process that has ended."""


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
