"""What the pools of forked and of started processes have in common: how long to wait, and how the workers are stopped.

Only the caller runs this file. Processes do not wait for each other at Python's global lock as threads do. A worker
ends at once when the caller is gone. The caller notices within half a second when a worker is gone.
"""

import atexit
import os
from typing import Protocol

from cnncli.engine.parallel.serving import Memory, WorkerFunction
from cnncli.engine.parallel.worker_pool import SPINS, WorkerPool
from cnncli.processors import available_processors

# Spin longer if every worker has its own core; waking a sleeping process takes longer.
_PATIENT_SPINS = 3_000


class Process(Protocol):
    """A worker's process, as `multiprocessing` has it."""

    def is_alive(self) -> bool:
        """Return whether the process is still there."""

    def join(self, timeout: float | None = None) -> None:
        """Wait until the process has ended, at most so many seconds."""

    def kill(self) -> None:
        """End the process at once."""


class ProcessPool(WorkerPool):
    """Workers in processes of their own; see `WorkerPool` for the arguments."""

    def __init__(self, workers: int, function: WorkerFunction, memory: Memory) -> None:
        self._processes: dict[int, Process] = {}
        self._caller = os.getpid()
        super().__init__(workers, function, memory)
        # Runs before multiprocessing's own exit handler, which would wait for workers that ignore SIGTERM.
        atexit.register(self.close)

    def _patience(self) -> int:
        return _PATIENT_SPINS if available_processors() >= self.workers else SPINS

    def _alive(self, worker: int) -> bool:
        return self._processes[worker].is_alive()

    def close(self) -> None:
        """Stop the workers; one that does not react is killed."""
        if os.getpid() != self._caller:
            return
        # When a worker has died, the others wait for it at a barrier and never react.
        patience = 0 if self._closed else 2
        if any(process.is_alive() for process in self._processes.values()):
            super().close()
        self._closed = True
        atexit.unregister(self.close)
        for process in self._processes.values():
            process.join(patience)
            if process.is_alive():
                process.kill()
                process.join()
        if self._processes:
            self._release()
        self._processes = {}

    def _release(self) -> None:
        """Give back what the pool holds, once all processes have ended."""
