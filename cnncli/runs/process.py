"""Tells whether the process of a run still exists, also after its number was given to another process."""

import os
import socket
import sys
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
    number now belongs to another process, no longer runs. macOS and other systems without /proc know the number alone.
    """
    pid = identity.get("pid")
    if identity.get("host") != socket.gethostname() or not isinstance(pid, int) or pid <= 0:
        return True
    if _differ(identity.get("boot"), _boot_id()):
        return False
    if sys.platform != "win32":  # there os.kill(pid, 0) would end the process
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


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _QUERY_LIMITED_INFORMATION, _INVALID_PARAMETER, _STILL_ACTIVE = 0x1000, 87, 259

    def _start_time(pid: int) -> int | None:
        """Return a process's start in units of 100 ns since 1601, _ENDED, or None when it is unknown.

        Source: https://learn.microsoft.com/windows/win32/api/processthreadsapi/nf-processthreadsapi-getprocesstimes
        """
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = wintypes.HANDLE
        kernel.OpenProcess.argtypes = (wintypes.DWORD, wintypes.BOOL, wintypes.DWORD)
        kernel.GetExitCodeProcess.argtypes = (wintypes.HANDLE, ctypes.POINTER(wintypes.DWORD))
        kernel.GetProcessTimes.argtypes = (wintypes.HANDLE, *4 * (ctypes.POINTER(wintypes.FILETIME),))
        kernel.CloseHandle.argtypes = (wintypes.HANDLE,)
        process = kernel.OpenProcess(_QUERY_LIMITED_INFORMATION, False, pid)
        if not process:
            return _ENDED if ctypes.get_last_error() == _INVALID_PARAMETER else None
        try:
            code = wintypes.DWORD()
            if kernel.GetExitCodeProcess(process, ctypes.byref(code)) and code.value != _STILL_ACTIVE:
                return _ENDED
            times = [wintypes.FILETIME() for _ in range(4)]
            if not kernel.GetProcessTimes(process, *(ctypes.byref(each) for each in times)):
                return None
            return int(times[0].dwHighDateTime) << 32 | int(times[0].dwLowDateTime)
        finally:
            kernel.CloseHandle(process)

else:

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
