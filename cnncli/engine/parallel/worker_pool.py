"""The protocol by which the caller and its workers run the shards of a batch together, and a pool of threads.

Worker 0 is the caller. Every worker runs the same function, a generator that yields at every barrier. Each method says
who runs it: the caller, or another worker. Every other worker has two semaphores, `go` and `arrived`:

    caller                    other worker
    ------                    ------------
    go.release()      ----->  go.acquire()         start
    ... its own shards ...    ... its own shards ...
    arrived.acquire() <-----  arrived.release()    a barrier, or the end of the task
    go.release()      ----->  go.acquire()         continue
"""

import mmap
import multiprocessing
import pickle
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from cnncli.engine.parallel.cores import can_fork, has_semaphores
from cnncli.errors import CnnError, WorkerError

if TYPE_CHECKING:
    from multiprocessing.synchronize import Semaphore  # its import fails where the system has none

WorkerFunction = Callable[[int, Any], Iterator[None]]
"""(worker, task) -> what that worker does for the task, as a generator that yields at every barrier."""

SPINS = 200  # tries to take a semaphore before sleeping on it; a barrier is mostly microseconds away
_POLL = 0.5  # seconds between two looks whether the other side is still there
_MESSAGE = 65_536  # bytes for a task or an error

_RUNNING, _FINISHED, _FAILED, _CANCELLED = 0, 1, 2, 3


class WorkerPool(ABC):
    """Runs a function on several workers: the caller and others.

    Args:
        workers: the number of workers, the caller included.
        function: what every worker runs for a task.
    """

    def __init__(self, workers: int, function: WorkerFunction) -> None:
        self.workers, self.function = workers, function
        self._spins = self._patience()
        others = range(workers - 1)
        self._go, self._arrived = [_semaphore() for _ in others], [_semaphore() for _ in others]
        self._task = mmap.mmap(-1, _MESSAGE)
        self._errors = [mmap.mmap(-1, _MESSAGE) for _ in others]
        self._state = np.frombuffer(mmap.mmap(-1, 8 * max(workers, 1)), np.int64)
        self._abort = np.frombuffer(mmap.mmap(-1, 8), np.int64)
        self._closed = False
        self._waiting: set[int] = set()  # workers that have arrived at the present barrier
        for worker in range(1, workers):
            self._launch(worker)

    def _patience(self) -> int:
        """Return how often to try to take a semaphore before sleeping on it."""
        return SPINS

    @abstractmethod
    def _launch(self, worker: int) -> None:
        """In the caller: start another worker, which calls `_serve`."""

    @abstractmethod
    def _alive(self, worker: int) -> bool:
        """Return, in the caller, whether another worker is still there."""

    @abstractmethod
    def _caller_alive(self) -> bool:
        """Return, in another worker, whether the caller is still there."""

    def run(self, task: Any, active: int) -> None:
        """In the caller: run a task, and return when all workers have finished.

        Args:
            task: what every worker passes to its function.
            active: the number of shards of the batch; no worker beyond the first `active` has a shard to run.

        Raises:
            WorkerError: a worker died, or raised anything but a CnnError, which is a defect.
            CnnError: the function raised it in a worker.
        """
        if self._closed:
            raise WorkerError("the workers of this executor have been closed")
        others = range(1, min(active, self.workers))
        if others:
            _write(self._task, task)
            for worker in others:
                self._state[worker] = _RUNNING
                self._go[worker - 1].release()
        try:
            for _ in self.function(0, task):
                for worker in others:
                    self._wait_for(worker, finished=False)
                self._waiting.clear()
                for worker in others:
                    self._go[worker - 1].release()
            for worker in others:
                self._wait_for(worker, finished=True)
            self._waiting.clear()
        except BaseException:
            self._cancel(others)
            raise

    def _wait_for(self, worker: int, *, finished: bool) -> None:
        """In the caller: wait until a worker has arrived at the barrier, or has finished."""
        semaphore = self._arrived[worker - 1]
        while not _acquire(semaphore, self._spins):
            if not self._alive(worker):
                self._closed = True
                raise WorkerError(
                    f"worker {worker} of the engine died", "was it killed, or is the memory full? try again"
                )
        self._waiting.add(worker)
        if self._state[worker] == _FAILED:
            error = _read(self._errors[worker - 1])
            raise error if isinstance(error, CnnError) else WorkerError(f"worker {worker} failed: {error}")
        if finished != (self._state[worker] == _FINISHED):
            raise WorkerError(f"worker {worker} is out of step")  # a defect of the function

    def _cancel(self, others: range) -> None:
        """In the caller: let every worker that still runs the task give it up and wait for the next one."""
        if self._closed:
            self.close()
            return
        self._abort[0] = 1
        for worker in others:
            # It arrives at one more barrier, unless it sees the flag when it leaves the last one.
            while worker not in self._waiting and self._state[worker] != _CANCELLED and self._alive(worker):
                if self._arrived[worker - 1].acquire(True, 0.02):
                    self._waiting.add(worker)
            if self._state[worker] == _RUNNING:  # it waits at a barrier; the others wait for a task
                self._go[worker - 1].release()
                while self._state[worker] == _RUNNING and self._alive(worker):
                    time.sleep(0.001)
        self._waiting.clear()
        self._abort[0] = 0

    def _serve(self, worker: int) -> None:
        """In another worker: wait for tasks and run them, until the caller closes the pool or is gone."""
        go, arrived = self._go[worker - 1], self._arrived[worker - 1]
        while True:
            if not self._wait_for_go(go):
                return
            task = _read(self._task)
            if task is None:
                return
            try:
                for _ in self.function(worker, task):
                    arrived.release()
                    if not self._wait_for_go(go):
                        return
                    if self._abort[0]:
                        break
                else:
                    self._state[worker] = _FINISHED
                    arrived.release()
                    continue
                self._state[worker] = _CANCELLED
            except BaseException as error:
                reason = error if isinstance(error, CnnError) else traceback.format_exc()
                _write(self._errors[worker - 1], reason)
                self._state[worker] = _FAILED
                arrived.release()

    def _wait_for_go(self, go: "Semaphore | threading.Semaphore") -> bool:
        """In another worker: wait for the caller; False when it is gone."""
        while not _acquire(go, self._spins):
            if not self._caller_alive():
                return False
        return True

    def close(self) -> None:
        """In the caller: stop the workers; nothing of them stays."""
        self._closed = True
        _write(self._task, None)
        for semaphore in self._go:
            semaphore.release()


class InlinePool(WorkerPool):
    """No workers but the caller."""

    def _launch(self, worker: int) -> None:
        raise AssertionError("there is only the caller")

    def _alive(self, worker: int) -> bool:
        return True

    def _caller_alive(self) -> bool:
        return True


class ThreadPool(WorkerPool):
    """Workers in threads of this process."""

    def __init__(self, workers: int, function: WorkerFunction) -> None:
        self._threads: dict[int, threading.Thread] = {}
        super().__init__(workers, function)

    def _launch(self, worker: int) -> None:
        name = f"cnn-worker-{worker}"
        self._threads[worker] = threading.Thread(target=self._serve, args=(worker,), name=name, daemon=True)
        self._threads[worker].start()

    def _alive(self, worker: int) -> bool:
        return self._threads[worker].is_alive()

    def _caller_alive(self) -> bool:
        return threading.main_thread().is_alive()

    def close(self) -> None:
        """In the caller: stop the workers."""
        if not self._closed:
            super().close()
            for thread in self._threads.values():
                thread.join(2)


def _semaphore() -> "Semaphore | threading.Semaphore":
    """Return a semaphore of the system, which processes can share and which is faster between threads too."""
    if not has_semaphores():
        return threading.Semaphore(0)
    return multiprocessing.get_context("fork" if can_fork() else None).Semaphore(0)


def _acquire(semaphore: "Semaphore | threading.Semaphore", spins: int) -> bool:
    """Take a semaphore, at first without sleeping; return False after half a second without it."""
    for _ in range(spins):
        if semaphore.acquire(False):
            return True
    return semaphore.acquire(True, _POLL)


def _write(memory: mmap.mmap, value: Any) -> None:
    """Write a task or an error into shared memory."""
    data = pickle.dumps(value)
    if len(data) > _MESSAGE - 8:
        data = pickle.dumps(str(value)[: _MESSAGE // 8])
    memory[:8] = len(data).to_bytes(8, "little")
    memory[8 : 8 + len(data)] = data


def _read(memory: mmap.mmap) -> Any:
    """Read a task or an error from shared memory."""
    size = int.from_bytes(memory[:8], "little")
    return pickle.loads(memory[8 : 8 + size])
