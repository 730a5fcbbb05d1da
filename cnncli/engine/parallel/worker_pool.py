"""Workers that advance the shards of a batch together: in this thread, in threads, or in forked processes.

Every worker runs the same program, a generator that yields where all of them have to meet. Worker 0 is the caller.
The others sleep on a semaphore until there is something to run, and meet the caller through two more:

    caller                    worker
    ------                    ------
    go.release()      ----->  go.acquire()         start
    ... its own part ...      ... its own part ...
    arrived.acquire() <-----  arrived.release()    a meeting, or the end
    go.release()      ----->  go.acquire()         go on

ThreadPool share everything and need nothing else, but hold each other up at Python's global lock. Forked processes do
not; they share the arrays that were allocated by `SharedMemory` before the fork, and are told what to run through a
small shared board. A process ends at once when its caller is gone: it holds the reading end of a pipe whose writing end
only the caller has. The caller notices within half a second when a worker is gone.
"""

import atexit
import gc
import mmap
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Semaphore
from typing import Any

import numpy as np
import numpy.typing as npt

from cnncli.errors import CnnError, WorkerError
from cnncli.nn.aligned import aligned_zeros

Program = Callable[[int, Any], Iterator[None]]
"""(worker, command) -> what that worker has to do, yielding where all have to meet."""

_SPINS = 200  # looks at a semaphore before sleeping on it; a meeting is mostly microseconds away
# Where every worker has a core and a lock of its own: being woken takes longer than that.
_PATIENT_SPINS = 3_000
_POLL = 0.5  # seconds between two looks whether the other side is still there
_BOARD = 65_536  # bytes for a command or an answer

_RUNNING, _FINISHED, _FAILED, _CALLED_OFF = 0, 1, 2, 3


def available_cores() -> int:
    """Return how many cores this process may use: its affinity, and a container's quota where there is one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass
    return cores


def can_fork() -> bool:
    """Return whether processes are the better workers: fork is safe on Linux, and a global lock is in the way."""
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    return sys.platform == "linux" and bool(gil)


class SharedMemory:
    """Arrays that forked processes see too: anonymous memory without a name, so nothing is left behind."""

    def empty(self, *shape: int, dtype: Any = np.float32) -> npt.NDArray[Any]:
        """Return a zeroed shared array."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        array: npt.NDArray[Any] = np.frombuffer(
            mmap.mmap(-1, max(size, 1)), dtype, int(np.prod(shape))
        ).reshape(shape)
        return array


class PrivateMemory:
    """Arrays of this process alone, which threads share anyway."""

    def empty(self, *shape: int, dtype: Any = np.float32) -> npt.NDArray[Any]:
        """Return a zeroed array."""
        array: npt.NDArray[Any] = aligned_zeros(shape, dtype)
        return array


class WorkerPool(ABC):
    """Runs a program on several workers.

    Args:
        workers: how many, the caller included.
        program: what to run.
    """

    def __init__(self, workers: int, program: Program) -> None:
        self.workers, self.program = workers, program
        self._spins = self._patience()
        context = multiprocessing.get_context("fork" if can_fork() else None)
        others = range(workers - 1)
        self._go: list[Semaphore] = [context.Semaphore(0) for _ in others]
        self._arrived: list[Semaphore] = [context.Semaphore(0) for _ in others]
        self._board = mmap.mmap(-1, _BOARD)
        self._answers = [mmap.mmap(-1, _BOARD) for _ in others]
        self._state = np.frombuffer(mmap.mmap(-1, 8 * max(workers, 1)), np.int64)
        self._abort = np.frombuffer(mmap.mmap(-1, 8), np.int64)
        self._closed = False
        self._here: set[int] = set()  # who has arrived at the meeting that is on
        for worker in range(1, workers):
            self._launch(worker)

    def _patience(self) -> int:
        """Return how often to look at a semaphore before sleeping on it."""
        return _SPINS

    @abstractmethod
    def _launch(self, worker: int) -> None:
        """Start a worker that calls `_serve`."""

    @abstractmethod
    def _alive(self, worker: int) -> bool:
        """Return whether a worker is still there."""

    @abstractmethod
    def _caller_alive(self) -> bool:
        """Return, in a worker, whether the caller is still there."""

    def run(self, command: Any, active: int) -> None:
        """Run the program with this command on the first `active` workers, and return when all have finished.

        Raises:
            WorkerError: a worker died, or failed in a way that is a defect.
            CnnError: whatever else the program raised.
        """
        if self._closed:
            raise WorkerError("the workers of this executor have been closed")
        others = range(1, min(active, self.workers))
        if others:
            _write(self._board, command)
            for worker in others:
                self._state[worker] = _RUNNING
                self._go[worker - 1].release()
        try:
            for _ in self.program(0, command):
                for worker in others:
                    self._wait_for(worker, finished=False)
                self._here.clear()
                for worker in others:
                    self._go[worker - 1].release()
            for worker in others:
                self._wait_for(worker, finished=True)
            self._here.clear()
        except BaseException:
            self._call_off(others)
            raise

    def _wait_for(self, worker: int, *, finished: bool) -> None:
        semaphore = self._arrived[worker - 1]
        while not _acquire(semaphore, self._spins):
            if not self._alive(worker):
                self._closed = True
                raise WorkerError(
                    f"worker {worker} of the engine died", "was it killed, or is the memory full? try again"
                )
        self._here.add(worker)
        if self._state[worker] == _FAILED:
            error = _read(self._answers[worker - 1])
            raise error if isinstance(error, CnnError) else WorkerError(f"worker {worker} failed: {error}")
        if finished != (self._state[worker] == _FINISHED):
            raise WorkerError(f"worker {worker} is out of step")  # a defect of the program, not of the user

    def _call_off(self, others: range) -> None:
        """Bring every worker that is still running back to waiting for a command."""
        if self._closed:
            self.close()
            return
        self._abort[0] = 1
        for worker in others:
            # It meets once more, unless it sees the flag already on its way out of the last meeting.
            while worker not in self._here and self._state[worker] != _CALLED_OFF and self._alive(worker):
                if self._arrived[worker - 1].acquire(True, 0.02):
                    self._here.add(worker)
            if self._state[worker] == _RUNNING:  # it waits at a meeting; the others wait for a command
                self._go[worker - 1].release()
                while self._state[worker] == _RUNNING and self._alive(worker):
                    time.sleep(0.001)
        self._here.clear()
        self._abort[0] = 0

    def _serve(self, worker: int) -> None:
        """Wait for commands and run them, until the caller closes the team or is gone."""
        go, arrived = self._go[worker - 1], self._arrived[worker - 1]
        while True:
            if not self._wait_for_go(go):
                return
            command = _read(self._board)
            if command is None:
                return
            try:
                for _ in self.program(worker, command):
                    arrived.release()
                    if not self._wait_for_go(go):
                        return
                    if self._abort[0]:
                        break
                else:
                    self._state[worker] = _FINISHED
                    arrived.release()
                    continue
                self._state[worker] = _CALLED_OFF
            except BaseException as error:
                _write(
                    self._answers[worker - 1],
                    error if isinstance(error, CnnError) else traceback.format_exc(),
                )
                self._state[worker] = _FAILED
                arrived.release()

    def _wait_for_go(self, go: Semaphore) -> bool:
        while not _acquire(go, self._spins):
            if not self._caller_alive():
                return False
        return True

    def close(self) -> None:
        """Let the workers go; nothing of them stays."""
        self._closed = True
        _write(self._board, None)
        for semaphore in self._go:
            semaphore.release()


class InlinePool(WorkerPool):
    """No workers but the caller."""

    def __init__(self, program: Program) -> None:
        super().__init__(1, program)

    def _launch(self, worker: int) -> None:
        raise AssertionError("there is only the caller")

    def _alive(self, worker: int) -> bool:
        return True

    def _caller_alive(self) -> bool:
        return True


class ThreadPool(WorkerPool):
    """Workers in threads of this process."""

    def __init__(self, workers: int, program: Program) -> None:
        self._threads: dict[int, threading.Thread] = {}
        super().__init__(workers, program)

    def _launch(self, worker: int) -> None:
        thread = threading.Thread(
            target=self._serve, args=(worker,), name=f"cnn-worker-{worker}", daemon=True
        )
        self._threads[worker] = thread
        thread.start()

    def _alive(self, worker: int) -> bool:
        return self._threads[worker].is_alive()

    def _caller_alive(self) -> bool:
        return threading.main_thread().is_alive()

    def close(self) -> None:
        """Let the workers go."""
        if not self._closed:
            super().close()
            for thread in self._threads.values():
                thread.join(2)


class ProcessPool(WorkerPool):
    """Workers in forked processes. What they share has to be in `SharedMemory` before this is made."""

    def __init__(self, workers: int, program: Program) -> None:
        self._processes: dict[int, Any] = {}
        self._caller = os.getpid()
        self._lifeline, self._held = os.pipe()  # nothing is ever written; its end is the caller's
        super().__init__(workers, program)
        os.close(self._lifeline)
        # Before multiprocessing's own farewell, which would wait for workers that do not listen to SIGTERM.
        atexit.register(self.close)

    def _patience(self) -> int:
        return _PATIENT_SPINS if available_cores() >= self.workers else _SPINS

    def _launch(self, worker: int) -> None:
        process = multiprocessing.get_context("fork").Process(
            target=self._work, args=(worker,), name=f"cnn-worker-{worker}", daemon=True
        )
        with warnings.catch_warnings():
            # Python warns of forking with threads about. Those here are OpenBLAS's, which prepares for a fork.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        self._processes[worker] = process

    def _work(self, worker: int) -> None:
        # Ctrl-C and SIGTERM may be sent to the whole group; it is the caller who decides when to stop.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        gc.freeze()
        os.close(self._held)
        threading.Thread(target=self._end_with_the_caller, name="cnn-lifeline", daemon=True).start()
        self._serve(worker)
        os._exit(0)

    def _end_with_the_caller(self) -> None:
        os.read(self._lifeline, 1)  # returns when nobody has the other end open any more
        os._exit(1)

    def _alive(self, worker: int) -> bool:
        return bool(self._processes[worker].is_alive())

    def _caller_alive(self) -> bool:
        return os.getppid() == self._caller

    def close(self) -> None:
        """Let the workers go; one that does not listen is killed."""
        if os.getpid() != self._caller:
            return
        if any(process.is_alive() for process in self._processes.values()):
            super().close()
        self._closed = True
        atexit.unregister(self.close)
        for process in self._processes.values():
            process.join(2)
            if process.is_alive():
                process.kill()
                process.join()
        if self._processes:
            os.close(self._held)
        self._processes = {}


def _acquire(semaphore: Semaphore, spins: int) -> bool:
    """Take a semaphore, looking eagerly first; False after half a second without it."""
    for _ in range(spins):
        if semaphore.acquire(False):
            return True
    return semaphore.acquire(True, _POLL)


def _write(board: mmap.mmap, value: Any) -> None:
    data = pickle.dumps(value)
    if len(data) > _BOARD - 8:
        data = pickle.dumps(str(value)[: _BOARD // 8])
    board[:8] = len(data).to_bytes(8, "little")
    board[8 : 8 + len(data)] = data


def _read(board: mmap.mmap) -> Any:
    size = int.from_bytes(board[:8], "little")
    return pickle.loads(board[8 : 8 + size])
