"""Workers in forked processes: they see all that the caller had before the fork, so nothing has to be sent.

They share the arrays that `AnonymousMemory` allocated before the fork. Each method says who runs it: the caller, or a
forked worker. A forked worker holds the reading end of a pipe whose writing end only the caller has.
"""

import gc
import multiprocessing
import os
import threading
import warnings
from typing import Any

from cnncli.engine.parallel.group_signals import blocked_signals, ignore_signals
from cnncli.engine.parallel.process_pool import ProcessPool
from cnncli.engine.parallel.serving import WorkerFunction
from cnncli.engine.parallel.shared_memory import AnonymousMemory


class ForkPool(ProcessPool):
    """Forks the workers. Allocate shared data in `AnonymousMemory` first."""

    def __init__(self, workers: int, function: WorkerFunction) -> None:
        # Nothing is ever written; only the caller holds the writing end.
        self._lifeline, self._held = os.pipe()
        super().__init__(workers, function, AnonymousMemory())
        os.close(self._lifeline)

    def _launch(self, worker: int) -> None:
        """In the caller: fork a worker."""
        context: Any = multiprocessing.get_context("fork")
        process = context.Process(target=self._work, args=(worker,), name=f"cnn-worker-{worker}", daemon=True)
        with blocked_signals(), warnings.catch_warnings():
            # Python warns about forking a process that has threads. These are OpenBLAS's, which handles a fork.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        self._processes[worker] = process

    def _work(self, worker: int) -> None:
        """In a forked worker: the main function of its process."""
        ignore_signals()
        gc.freeze()
        os.close(self._held)
        threading.Thread(target=self._end_with_the_caller, name="cnn-lifeline", daemon=True).start()
        self._serving(worker, self._caller_alive).serve(self.function)
        os._exit(0)

    def _end_with_the_caller(self) -> None:
        """In a forked worker: end the process as soon as the caller is gone."""
        os.read(self._lifeline, 1)  # returns when no process has the other end open
        os._exit(1)

    def _caller_alive(self) -> bool:
        """In a forked worker: return whether the caller is still there."""
        return os.getppid() == self._caller

    def _release(self) -> None:
        """In the caller: close the pipe."""
        os.close(self._held)
