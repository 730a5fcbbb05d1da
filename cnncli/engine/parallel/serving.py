"""What a worker other than the caller runs: it waits for tasks, and reports how each of them ended."""

import pickle
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from cnncli.engine.parallel.semaphores import Semaphore, acquire
from cnncli.errors import CnnError
from cnncli.types import ByteArray

WorkerFunction = Callable[[int, Any], Iterator[Any]]
"""(worker, task) -> what that worker does for the task, as a generator that yields at every barrier. What it yields is
for the caller."""

_MESSAGE = 65_536  # bytes for a task or an error

RUNNING, FINISHED, FAILED, CANCELLED = 0, 1, 2, 3


class Memory(Protocol):
    """Allocates the arrays that workers share."""

    def empty(self, *shape: int, dtype: Any = np.float32) -> npt.NDArray[Any]:
        """Return a zeroed array."""


@dataclass(frozen=True)
class PoolState:
    """The memory by which the caller and the other workers tell each other what to do and what happened.

    Attributes:
        task: what the caller wants done; all workers read it.
        errors: (W, bytes), one row for each worker.
        progress: (W,): RUNNING, FINISHED, FAILED or CANCELLED. The caller sets RUNNING, the worker the others.
        abort: (1,): 1 while the caller wants the present task given up.
    """

    task: ByteArray
    errors: ByteArray
    progress: npt.NDArray[np.int64]
    abort: npt.NDArray[np.int64]

    @classmethod
    def allocate(cls, memory: Memory, workers: int) -> Self:
        """Return the state of a pool before its first task."""
        return cls(
            task=memory.empty(_MESSAGE, dtype=np.uint8),
            errors=memory.empty(workers, _MESSAGE, dtype=np.uint8),
            progress=memory.empty(workers, dtype=np.int64),
            abort=memory.empty(1, dtype=np.int64),
        )


@dataclass(frozen=True)
class ServingWorker:
    """A worker other than the caller.

    Attributes:
        worker: its number, from 1.
        state: of the pool.
        go: released by the caller for each task and at each barrier.
        arrived: released by the worker at each barrier and at the end of each task.
        spins: how often to try to take `go` before sleeping on it.
        caller_alive: returns whether the caller is still there.
    """

    worker: int
    state: PoolState
    go: Semaphore
    arrived: Semaphore
    spins: int
    caller_alive: Callable[[], bool]

    def serve(self, function: WorkerFunction) -> None:
        """Wait for tasks and run a function for each, until the caller closes the pool or is gone."""
        worker, state = self.worker, self.state
        while self._wait_for_go():
            task = read_message(state.task)
            if task is None:
                return
            try:
                for _ in function(worker, task):
                    self.arrived.release()
                    if not self._wait_for_go():
                        return
                    if state.abort[0]:
                        break
                else:
                    self.report_finished()
                    continue
                state.progress[worker] = CANCELLED
            except BaseException as error:
                self.report(error)

    def report_finished(self) -> None:
        """Tell the caller that the task is done, or that the worker is ready."""
        self.state.progress[self.worker] = FINISHED
        self.arrived.release()

    def report(self, error: BaseException) -> None:
        """Tell the caller of an error: a CnnError as it is, any other as its traceback."""
        reason = error if isinstance(error, CnnError) else "".join(traceback.format_exception(error))
        write_message(self.state.errors[self.worker], reason)
        self.state.progress[self.worker] = FAILED
        self.arrived.release()

    def _wait_for_go(self) -> bool:
        """Wait for the caller; False when it is gone."""
        while not acquire(self.go, self.spins):
            if not self.caller_alive():
                return False
        return True


def write_message(memory: ByteArray, value: Any) -> None:
    """Write a task or an error into shared memory."""
    data = pickle.dumps(value)
    if len(data) > _MESSAGE - 8:
        data = pickle.dumps(str(value)[: _MESSAGE // 8])
    memory[:8].view(np.int64)[0] = len(data)
    memory[8 : 8 + len(data)] = np.frombuffer(data, np.uint8)


def read_message(memory: ByteArray) -> Any:
    """Read a task or an error from shared memory."""
    size = int(memory[:8].view(np.int64)[0])
    return pickle.loads(memory[8 : 8 + size].tobytes())
