"""The protocol by which the caller and its workers run the shards of a batch together, and a pool of threads.

Worker 0 is the caller. Every worker runs the same function, a generator that yields at every barrier. Only the caller
runs this file; `serving.py` is what the other workers run. Each of these has two semaphores, `go` and `arrived`:

    caller                    other worker
    ------                    ------------
    go.release()      ----->  go.acquire()         start
    ... its own shards ...    ... its own shards ...
    arrived.acquire() <-----  arrived.release()    a barrier, or the end of the task
    go.release()      ----->  go.acquire()         continue
"""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from cnncli.engine.parallel.semaphores import Semaphore, acquire, system_semaphore
from cnncli.engine.parallel.serving import (
    CANCELLED,
    FAILED,
    FINISHED,
    RUNNING,
    Memory,
    PoolState,
    ServingWorker,
    WorkerFunction,
    read_message,
    write_message,
)
from cnncli.engine.parallel.shared_memory import PrivateMemory
from cnncli.errors import CnnError, WorkerError

SPINS = 200  # tries to take a semaphore before sleeping on it; a barrier is mostly microseconds away


class WorkerPool(ABC):
    """Runs a function on several workers: the caller and others.

    Args:
        workers: the number of workers, the caller included.
        function: what every worker runs for a task.
        memory: where the state of the pool lies.
    """

    def __init__(self, workers: int, function: WorkerFunction, memory: Memory) -> None:
        self.workers, self.function = workers, function
        self._spins = self._patience()
        self._go: list[Semaphore] = []
        self._arrived: list[Semaphore] = []
        self._closed = False
        self._state = PoolState.allocate(memory, workers)
        for _ in range(1, workers):
            self._go.append(self._semaphore())
            self._arrived.append(self._semaphore())
        self._waiting: set[int] = set()  # workers that have arrived at the present barrier
        for worker in range(1, workers):
            self._launch(worker)

    def _patience(self) -> int:
        """Return how often to try to take a semaphore before sleeping on it."""
        return SPINS

    def _semaphore(self) -> Semaphore:
        """Return a semaphore that the caller and another worker share."""
        return system_semaphore()

    @abstractmethod
    def _launch(self, worker: int) -> None:
        """Start another worker, which calls `ServingWorker.serve`."""

    @abstractmethod
    def _alive(self, worker: int) -> bool:
        """Return whether another worker is still there."""

    def _serving(self, worker: int, caller_alive: Callable[[], bool]) -> ServingWorker:
        """Return what a thread or a forked process serves with."""
        go, arrived = self._go[worker - 1], self._arrived[worker - 1]
        return ServingWorker(worker, self._state, go, arrived, self._spins, caller_alive)

    def run(self, task: Any, active: int, *, between: Callable[[Any], None] | None = None) -> None:
        """Run a task, and return when all workers have finished.

        Args:
            task: what every worker passes to its function.
            active: the number of shards to run; no worker beyond the first `active` has one.
            between: called at every barrier when all workers have reached it, with what the caller's function yielded.

        Raises:
            WorkerError: a worker died, or raised anything but a CnnError, which is a defect.
            CnnError: the function raised it in a worker.
        """
        if self._closed:
            raise WorkerError("the workers of this executor have been closed")
        others = range(1, min(active, self.workers))
        if others:
            write_message(self._state.task, task)
            for worker in others:
                self._state.progress[worker] = RUNNING
                self._go[worker - 1].release()
        try:
            for reached in self.function(0, task):
                for worker in others:
                    self._wait_for(worker, finished=False)
                self._waiting.clear()
                if between is not None:
                    between(reached)
                for worker in others:
                    self._go[worker - 1].release()
            for worker in others:
                self._wait_for(worker, finished=True)
            self._waiting.clear()
        except BaseException:
            self._cancel(others)
            raise

    def _wait_for(self, worker: int, *, finished: bool) -> None:
        """Wait until a worker has arrived at the barrier, or has finished."""
        semaphore, progress = self._arrived[worker - 1], self._state.progress
        while not acquire(semaphore, self._spins):
            if not self._alive(worker):
                self._closed = True
                raise WorkerError(
                    f"worker {worker} of the engine died", "was it killed, or is the memory full? try again"
                )
        self._waiting.add(worker)
        if progress[worker] == FAILED:
            error = read_message(self._state.errors[worker])
            raise error if isinstance(error, CnnError) else WorkerError(f"worker {worker} failed: {error}")
        if finished != (progress[worker] == FINISHED):
            raise WorkerError(f"worker {worker} is out of step")  # a defect of the function

    def _cancel(self, others: range) -> None:
        """Let every worker that still runs the task give it up and wait for the next one."""
        if self._closed:
            self.close()
            return
        progress = self._state.progress
        self._state.abort[0] = 1
        for worker in others:
            # It arrives at one more barrier, unless it sees the flag when it leaves the last one.
            while worker not in self._waiting and progress[worker] != CANCELLED and self._alive(worker):
                if self._arrived[worker - 1].acquire(True, 0.02):
                    self._waiting.add(worker)
            if progress[worker] == RUNNING:  # it waits at a barrier; the others wait for a task
                self._go[worker - 1].release()
                while progress[worker] == RUNNING and self._alive(worker):
                    time.sleep(0.001)
        self._waiting.clear()
        self._state.abort[0] = 0

    def close(self) -> None:
        """Stop the workers; nothing of them stays."""
        self._closed = True
        write_message(self._state.task, None)
        for semaphore in self._go:
            semaphore.release()


class InlinePool(WorkerPool):
    """No workers but the caller."""

    def __init__(self, workers: int, function: WorkerFunction) -> None:
        super().__init__(workers, function, PrivateMemory())

    def _launch(self, worker: int) -> None:
        raise AssertionError("there is only the caller")

    def _alive(self, worker: int) -> bool:
        return True


class ThreadPool(WorkerPool):
    """Workers in threads of this process."""

    def __init__(self, workers: int, function: WorkerFunction) -> None:
        self._threads: dict[int, threading.Thread] = {}
        super().__init__(workers, function, PrivateMemory())

    def _launch(self, worker: int) -> None:
        serving = self._serving(worker, threading.main_thread().is_alive)
        self._threads[worker] = threading.Thread(
            target=serving.serve, args=(self.function,), name=f"cnn-worker-{worker}", daemon=True
        )
        self._threads[worker].start()

    def _alive(self, worker: int) -> bool:
        return self._threads[worker].is_alive()

    def close(self) -> None:
        """Stop the workers."""
        if not self._closed:
            super().close()
            for thread in self._threads.values():
                thread.join(2)
