"""Workers in processes that are started by themselves, for systems and programs in which a fork is not safe.

Such a process shares nothing with the caller. It gets an order with the shared memory, the semaphores, and the function
that it runs; see `order.py`. Only the caller runs this file.
"""

import io
from contextlib import suppress
from typing import Literal

import numpy as np

from cnncli.engine.parallel.early import start
from cnncli.engine.parallel.order import Order
from cnncli.engine.parallel.process_pool import ProcessPool
from cnncli.engine.parallel.references import Sender
from cnncli.engine.parallel.segments import Place, SegmentMemory
from cnncli.engine.parallel.semaphores import PassedSemaphore, Semaphore, create_semaphore
from cnncli.engine.parallel.serving import WorkerFunction
from cnncli.engine.parallel.started import StartedProcess, StartError
from cnncli.errors import CnnError

StartMethod = Literal["spawn", "forkserver"]


class SpawnPool(ProcessPool):
    """Starts the workers, and waits until all are ready.

    Args:
        workers: the number of workers, the caller included.
        function: what every worker runs for a task. It is pickled; see `references.py`.
        method: "spawn" for new interpreters, "forkserver" for forks of one that does nothing else.
        memory: where the function's arrays lie. Those that are elsewhere are copied.

    Raises:
        StartError: the function cannot be sent, or a worker does not start.
    """

    def __init__(
        self,
        workers: int,
        function: WorkerFunction,
        method: StartMethod = "spawn",
        memory: SegmentMemory | None = None,
    ) -> None:
        self._method = method
        self._started: dict[int, StartedProcess] = {}
        self._passed: list[PassedSemaphore] = []
        own = SegmentMemory()
        self._memories = [own] if memory is None else [memory, own]
        self._payload: tuple[Place, int] | None = None
        try:
            super().__init__(workers, function, own)
            for worker in range(1, workers):
                self._wait_for(worker, finished=True)
            self._waiting.clear()
        except (CnnError, OSError, StartError) as error:
            self._closed = True
            self.close()
            self._release()
            raise error if isinstance(error, StartError) else StartError(str(error)) from error

    def _semaphore(self) -> Semaphore:
        self._passed.append(create_semaphore())
        return self._passed[-1]

    def _launch(self, worker: int) -> None:
        payload, size = self._payload = self._payload or self._write_payload()
        process = self._started[worker] = self._processes[worker] = start(self._method)
        segments = [segment for memory in self._memories for segment in memory.segments]
        # in the order in which `WorkerPool` asked for them
        go, arrived = self._passed[2 * worker - 2 : 2 * worker]
        handles = [*(segment.handle for segment in segments), go.acquiring, arrived.releasing]
        order = Order(
            worker=worker,
            sizes=tuple(segment.size for segment in segments),
            names=tuple(handle if isinstance(handle, str) else None for handle in handles),
            payload=payload,
            payload_size=size,
            spins=self._spins,
        )
        # A process that has died already is noticed when the caller waits for it.
        with suppress(BrokenPipeError, ConnectionResetError):
            process.send(order, [handle for handle in handles if isinstance(handle, int)])
        arrived.close_releasing()

    def _write_payload(self) -> tuple[Place, int]:
        """Pickle the pool's state and function into shared memory; return where, and how many bytes."""
        own = self._memories[-1]
        file = io.BytesIO()
        sender = Sender(file, self._memories, own)
        try:
            sender.dump(self._state)
            sender.dump(self.function)
        except Exception as error:  # what an object raises that cannot be pickled is its own choice
            raise StartError(f"what the workers need cannot be sent to them: {error}") from error
        data = np.frombuffer(file.getvalue(), np.uint8)
        memory = own.empty(data.size, dtype=np.uint8)
        memory[...] = data
        place = own.find(memory)
        assert place is not None
        before = sum(len(memory.segments) for memory in self._memories[:-1])
        return Place(before + place.segment, place.offset), data.size

    def _release(self) -> None:
        for process in self._started.values():
            process.close()
        for semaphore in self._passed:
            semaphore.close()
        self._started = {}
