"""The semaphores with which the caller and its workers wait for each other.

Threads and forked processes share those of the system. Processes that are started by themselves share pipes on POSIX:
they need no name, and the system closes them with the process. On Windows they share semaphores under a name, which the
system removes with the last handle.
"""

import os
import select
import sys
import threading
from typing import TYPE_CHECKING, Protocol

from cnncli.engine.parallel.cores import has_semaphores, semaphore_context

if TYPE_CHECKING:
    from multiprocessing.synchronize import Semaphore as SystemSemaphore  # it fails where the system has none

_POLL = 0.5  # seconds between two looks whether the other side is still there


class Semaphore(Protocol):
    """Counts how often it was released and not yet acquired."""

    def acquire(self, block: bool = True, timeout: float | None = None, /) -> bool:
        """Take one, or return False if there is none within the time in seconds."""

    def release(self) -> None:
        """Add one."""


def system_semaphore() -> "SystemSemaphore | threading.Semaphore":
    """Return a semaphore of the system, which forked processes share and which is faster between threads too."""
    if not has_semaphores():
        return threading.Semaphore(0)
    return semaphore_context().Semaphore(0)


class PassedSemaphore(Semaphore, Protocol):
    """A semaphore between two processes, each of which was given a handle of it."""

    acquiring: int | str | None
    """What the process that acquires is given: a file descriptor, or on Windows a name."""

    releasing: int | str | None
    """What the process that releases is given."""

    def close(self) -> None:
        """Close all handles; a second call does nothing."""

    def close_releasing(self) -> None:
        """Leave it to the other process to release; then the end of that process wakes who acquires, on POSIX."""


if sys.platform == "win32":
    import ctypes
    import secrets
    from ctypes import wintypes

    _kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    _kernel.CreateSemaphoreW.restype = wintypes.HANDLE
    _kernel.CreateSemaphoreW.argtypes = (
        wintypes.LPVOID,
        wintypes.LONG,
        wintypes.LONG,
        wintypes.LPCWSTR,
    )
    _kernel.WaitForSingleObject.restype = wintypes.DWORD
    _kernel.WaitForSingleObject.argtypes = (wintypes.HANDLE, wintypes.DWORD)
    _kernel.ReleaseSemaphore.restype = wintypes.BOOL
    _kernel.ReleaseSemaphore.argtypes = (wintypes.HANDLE, wintypes.LONG, wintypes.LPVOID)
    _kernel.CloseHandle.restype = wintypes.BOOL
    _kernel.CloseHandle.argtypes = (wintypes.HANDLE,)
    _INFINITE, _SIGNALED = 0xFFFFFFFF, 0

    class NamedSemaphore:
        """A semaphore of Windows, which the first process creates and the second one opens by its name.

        Source: https://learn.microsoft.com/windows/win32/api/synchapi/nf-synchapi-createsemaphorew
        """

        def __init__(self, name: str) -> None:
            self.acquiring: int | str | None = name
            self.releasing: int | str | None = name
            self._handle = _kernel.CreateSemaphoreW(None, 0, 2**31 - 1, name)
            if not self._handle:
                raise ctypes.WinError(ctypes.get_last_error())

        def acquire(self, block: bool = True, timeout: float | None = None, /) -> bool:
            """Take one, or return False if there is none within the time in seconds."""
            limit = 0 if not block else _INFINITE if timeout is None else round(1000 * timeout)
            return bool(_kernel.WaitForSingleObject(self._handle, limit) == _SIGNALED)

        def release(self) -> None:
            """Add one."""
            if not _kernel.ReleaseSemaphore(self._handle, 1, None):
                raise ctypes.WinError(ctypes.get_last_error())

        def close_releasing(self) -> None:
            """Do nothing: one handle is for both."""

        def close(self) -> None:
            """Close the handle; a second call does nothing."""
            if self._handle:
                _kernel.CloseHandle(self._handle)
            self._handle = None

    def create_semaphore() -> PassedSemaphore:
        """Return a new semaphore for this process and another one."""
        return NamedSemaphore(f"cnn-{os.getpid()}-{secrets.token_hex(8)}")

    def open_semaphore(
        acquiring: int | str | None = None, releasing: int | str | None = None
    ) -> PassedSemaphore:
        """Return the semaphore of a handle that another process gave."""
        return NamedSemaphore(str(acquiring or releasing))

else:

    class PipeSemaphore:
        """A semaphore of POSIX systems: one byte in a pipe for each release.

        Args:
            acquiring: the end of the pipe that `acquire` reads from; None on the side that only releases.
            releasing: the end that `release` writes to; None on the side that only acquires.
        """

        def __init__(self, acquiring: int | None, releasing: int | None) -> None:
            self.acquiring: int | str | None = acquiring
            self.releasing: int | str | None = releasing
            if acquiring is not None:
                self._reading = acquiring
                os.set_blocking(acquiring, False)
                self._poll = select.poll()
                self._poll.register(acquiring, select.POLLIN)
            if releasing is not None:
                self._writing = releasing

        def acquire(self, block: bool = True, timeout: float | None = None, /) -> bool:
            """Take one byte; False if there is none within the time, or never again because the other side is gone."""
            if self._read():
                return True
            if not block:
                return False
            self._poll.poll(None if timeout is None else 1000 * timeout)
            return self._read()

        def release(self) -> None:
            """Add one byte."""
            os.write(self._writing, b"\0")

        def close_releasing(self) -> None:
            """Close the end for `release`; a second call does nothing."""
            if self.releasing is not None:
                os.close(self._writing)
            self.releasing = None

        def close(self) -> None:
            """Close both ends; a second call does nothing."""
            self.close_releasing()
            if self.acquiring is not None:
                os.close(self._reading)
            self.acquiring = None

        def _read(self) -> bool:
            try:
                return bool(os.read(self._reading, 1))
            except BlockingIOError:
                return False

    def create_semaphore() -> PassedSemaphore:
        """Return a new semaphore for this process and another one."""
        return PipeSemaphore(*os.pipe())

    def open_semaphore(
        acquiring: int | str | None = None, releasing: int | str | None = None
    ) -> PassedSemaphore:
        """Return the semaphore of a handle that another process gave."""
        return PipeSemaphore(*(None if end is None else int(end) for end in (acquiring, releasing)))


def acquire(semaphore: Semaphore, spins: int) -> bool:
    """Take a semaphore, at first without sleeping; return False after half a second without it."""
    for _ in range(spins):
        if semaphore.acquire(False):
            return True
    return semaphore.acquire(True, _POLL)
