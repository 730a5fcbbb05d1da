"""Workers in forked processes, which do not wait for each other at Python's global lock as threads do.

Processes share the arrays that `SharedMemory` allocated before the fork, and read their task from a small block of
shared memory. Each method says who runs it: the caller, or a forked worker. A forked worker ends at once when the
caller is gone: it holds the reading end of a pipe whose writing end only the caller has. The caller notices within half
a second when a worker is gone.
"""

import atexit
import gc
import multiprocessing
import os
import signal
import threading
import warnings
from typing import Any

from cnncli.engine.parallel.worker_pool import SPINS, WorkerFunction, WorkerPool
from cnncli.processors import available_processors

# Spin longer if every worker has its own core; waking a sleeping process takes longer.
_PATIENT_SPINS = 3_000


class ProcessPool(WorkerPool):
    """Forks the workers. Allocate shared data in `SharedMemory` first."""

    def __init__(self, workers: int, function: WorkerFunction) -> None:
        self._processes: dict[int, Any] = {}
        self._caller = os.getpid()
        # Nothing is ever written; only the caller holds the writing end.
        self._lifeline, self._held = os.pipe()
        super().__init__(workers, function)
        os.close(self._lifeline)
        # Runs before multiprocessing's own exit handler, which would wait for workers that ignore SIGTERM.
        atexit.register(self.close)

    def _patience(self) -> int:
        return _PATIENT_SPINS if available_processors() >= self.workers else SPINS

    def _launch(self, worker: int) -> None:
        process = multiprocessing.get_context("fork").Process(
            target=self._work, args=(worker,), name=f"cnn-worker-{worker}", daemon=True
        )
        with warnings.catch_warnings():
            # Python warns about forking a process that has threads. These are OpenBLAS's, which handles a fork.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        self._processes[worker] = process

    def _work(self, worker: int) -> None:
        """In a forked worker: the main function of its process."""
        # These may be sent to the whole group; the caller decides when to stop.
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGXCPU"):
            signal.signal(signal.Signals[name], signal.SIG_IGN)
        gc.freeze()
        os.close(self._held)
        threading.Thread(target=self._end_with_the_caller, name="cnn-lifeline", daemon=True).start()
        self._serve(worker)
        os._exit(0)

    def _end_with_the_caller(self) -> None:
        """In a forked worker: end the process as soon as the caller is gone."""
        os.read(self._lifeline, 1)  # returns when no process has the other end open
        os._exit(1)

    def _alive(self, worker: int) -> bool:
        return bool(self._processes[worker].is_alive())

    def _caller_alive(self) -> bool:
        return os.getppid() == self._caller

    def close(self) -> None:
        """In the caller: stop the workers; one that does not react is killed."""
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
            os.close(self._held)
        self._processes = {}
