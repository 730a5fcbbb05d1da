"""Trains one network in the processes of an MPI program, on one machine or on several.

Such a process is called a rank. Rank 0 runs the whole program. The others serve it: each has a copy of network,
optimizer and batches, runs its own shards of every training step, and makes the same update. So all copies stay the
same to the bit, and rank 0 alone knows of epochs, checkpoints and files. Inference runs on rank 0 alone.

mpi4py is imported only in a process that an MPI launcher has started.

Axis letters: S shards of the batch, R ranks, P parameters.
"""

import atexit
import os
import pickle
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from cnncli.control_groups import read
from cnncli.engine.executor import BatchSource
from cnncli.engine.parallel.cores import default_workers
from cnncli.engine.parallel.group_signals import ignore_signals
from cnncli.engine.parallel.shard import ShardRunner, Task, add_rows, shard_slice
from cnncli.engine.parallel.shared_memory import PrivateMemory, SharedArrays
from cnncli.engine.parallel.worker_pool import InlinePool, ThreadPool, WorkerPool
from cnncli.engine.plan.batchnorm_sums import Barrier
from cnncli.engine.profile import Clock
from cnncli.errors import CnnError, UsageError
from cnncli.launcher import has_other_ranks, is_first_rank
from cnncli.nn.network import Network
from cnncli.optim.optimizers import Optimizer
from cnncli.types import FloatArray, IntArray

_SPIN_SECONDS = 0.002  # how long a rank asks for its next task without sleeping
_POLL_SECONDS = 0.001
_LAUNCHER_SECONDS = 0.5  # between two looks whether the launcher is still there


class Setup(NamedTuple):
    """What a rank trains: copies of what rank 0 has."""

    network: Network
    optimizer: Optimizer | None
    batches: BatchSource | None
    images: int
    shards: int


class Work(NamedTuple):
    """A task, and for one that does not prepare its own batch x (N, C, H, W), labels (N,), targets (N, K) or None."""

    task: Task
    inputs: tuple[FloatArray, IntArray, FloatArray | None] | None


class Ranks:
    """The ranks of this MPI program, seen from one of them.

    Args:
        communicator: of all ranks, from mpi4py.
        workers: how many workers each rank has, itself included.

    Attributes:
        rank: the number of this rank, from 0.
        size: the number of ranks.
        workers: as given.
    """

    def __init__(self, communicator: Any, workers: int) -> None:
        self._communicator = communicator
        self.rank: int = communicator.Get_rank()
        self.size: int = communicator.Get_size()
        self.workers = workers
        self._sent: tuple[ShardRunner, Optimizer | None, BatchSource | None] | None = None
        self._out_of_step = False

    def run(self, pool: WorkerPool, runner: ShardRunner, task: Task) -> None:
        """In rank 0: let all ranks run a training task.

        Raises:
            UsageError: there are more ranks than shards.
            CnnError: see `WorkerPool.run`.
        """
        if runner.shards < self.size:
            raise UsageError(
                f"{self.size} ranks cannot share {runner.shards} shards",
                f"use more shards, `engine.shards={self.size}`, or fewer ranks",
            )
        self._out_of_step = True
        arrays, current = runner.arrays, (runner, runner.optimizer, runner.batches)
        if self._sent is None or any(a is not b for a, b in zip(self._sent, current, strict=True)):
            self._announce(
                Setup(runner.network, runner.optimizer, runner.batches, len(arrays.x), runner.shards)
            )
            self._sent = current
        inputs = None
        if task.kind != "batch":
            images = slice(0, task.images)
            targets = arrays.targets[images] if task.has_targets else None
            inputs = arrays.x[images], arrays.labels[images], targets
        self._announce(Work(task, inputs))
        pool.run(task, len(runner.own(task)), between=lambda reached: self.exchange(runner, task, reached))
        self._out_of_step = False

    def forget(self) -> None:
        """In rank 0: send everything again before the next task, because rank 0 alone has changed it."""
        self._sent = None

    def exchange(self, runner: ShardRunner, task: Task, reached: Barrier) -> None:
        """Complete what the shards of all ranks published at a barrier; every rank calls it."""
        if reached is None:
            return
        counts = [len(runner.own(task, rank)) for rank in range(self.size)]
        arrays, active = runner.arrays, sum(counts)
        if not isinstance(reached, str):
            if counts[0] < active:  # else rank 0 has all shards, and the others do not come to this barrier
                self._gather(reached[:active], counts)
            return
        small = np.stack([arrays.losses, arrays.correct, arrays.squared_norms], axis=1)[:active]
        self._gather(small, counts)
        for array, column in zip((arrays.losses, arrays.correct, arrays.squared_norms), small.T, strict=True):
            array[:active] = column
        with np.errstate(over="ignore", invalid="ignore"):
            self._add_gradients(arrays.shard_gradients[:active], counts, runner.network.parameters.grads)

    def end(self) -> None:
        """In rank 0: let the other ranks end, at once if they wait for a task that this one has given up."""
        if self._out_of_step:
            self.abort(1)
        self._announce(None)

    def abort(self, code: int) -> NoReturn:
        """End all ranks at once."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._communicator.Abort(code)
        os._exit(code)

    def receive(self) -> Setup | Work | None:
        """In another rank: wait for what rank 0 announces, without keeping a core busy; None is the end."""
        size = np.zeros(1, np.int64)
        request = self._communicator.Ibcast(size)
        began = time.perf_counter()
        while not request.Test():
            time.sleep(_POLL_SECONDS if time.perf_counter() - began > _SPIN_SECONDS else 0)
        data = np.empty(int(size[0]), np.uint8)
        self._communicator.Bcast(data)
        message: Setup | Work | None = pickle.loads(data.tobytes())
        return message

    def _announce(self, message: Setup | Work | None) -> None:
        data = np.frombuffer(pickle.dumps(message, protocol=5), np.uint8)
        self._communicator.Ibcast(np.array([data.size], np.int64)).Wait()
        self._communicator.Bcast(data)

    def _gather(self, table: npt.NDArray[Any], counts: list[int]) -> None:
        """Complete the rows of a table (S, n), of which each rank has written its own."""
        first = sum(counts[: self.rank])
        own = np.ascontiguousarray(table[first : first + counts[self.rank]])
        complete = np.empty(table.shape, table.dtype)
        sizes = [count * table.shape[1] for count in counts]
        self._communicator.Allgatherv(own, [complete, sizes])
        table[...] = complete

    def _add_gradients(self, rows: FloatArray, counts: list[int], out: FloatArray) -> None:
        """Write the sum of all shards' gradients (S, P) to `out` (P,), added in the order of the shards.

        Each rank adds up one slice. With one shard each it receives less than 2 P numbers for any number of ranks.
        """
        slices = [shard_slice(out.size, self.size, rank) for rank in range(self.size)]
        widths = [part.stop - part.start for part in slices]
        first, own = sum(counts[: self.rank]), counts[self.rank]
        sent = np.concatenate([rows[first : first + own, part].ravel() for part in slices])
        received = np.empty((len(rows), widths[self.rank]), np.float32)
        self._communicator.Alltoallv(
            [sent, [own * width for width in widths]],
            [received, [count * widths[self.rank] for count in counts]],
        )
        total = np.empty(widths[self.rank], np.float32)
        add_rows(received, total)
        self._communicator.Allgatherv(total, [out, widths])


_joined: Ranks | None = None


def current_ranks() -> Ranks | None:
    """Return the ranks that this process trains with; None without `join_ranks`, or where there is only one."""
    return _joined


def join_ranks() -> bool:
    """Join the other ranks if an MPI launcher has started this process; return whether to run the program here.

    Rank 0 gets True at once, and so does a process that no launcher started. Any other rank serves rank 0, and gets
    False when rank 0 ends.

    Raises:
        UsageError: mpi4py or the MPI library is missing.
    """
    global _joined
    if _joined is not None or not has_other_ranks():
        return True
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        if not is_first_rank():  # one message is enough
            sys.exit(UsageError.exit_code)
        raise UsageError(
            f"an MPI launcher has started this process, and mpi4py cannot be loaded: {error}",
            "install it together with an MPI library: pip install 'cnncli[mpi]'",
        ) from error
    world = MPI.COMM_WORLD
    if world.Get_size() == 1:
        return True
    machine = world.Split_type(MPI.COMM_TYPE_SHARED)
    ranks = Ranks(world, _share_of_cores(machine))
    _remove_names(machine)
    threading.Thread(target=_end_with_the_launcher, args=(os.getppid(),), daemon=True).start()
    if ranks.rank == 0:
        _joined = ranks
        atexit.register(ranks.end)
        return True
    ignore_signals()
    try:
        _serve(ranks)
    except CnnError as error:
        sys.stderr.write(f"error: rank {ranks.rank}: {error.message}\n")
        ranks.abort(error.exit_code)
    except BaseException:
        sys.stderr.write(f"error: rank {ranks.rank}: {traceback.format_exc()}")
        ranks.abort(1)
    return False


def _serve(ranks: Ranks) -> None:
    """In another rank: run what rank 0 announces, until it ends."""
    from threadpoolctl import threadpool_limits

    pool: WorkerPool | None = None
    runner: ShardRunner | None = None
    with threadpool_limits(1, "blas"):
        while (message := ranks.receive()) is not None:
            if isinstance(message, Setup):
                if pool is not None:
                    pool.close()
                workers = min(ranks.workers, message.shards)
                runner = _runner(message, ranks, workers)
                pool = (InlinePool if workers == 1 else ThreadPool)(workers, runner.run)
                continue
            assert runner is not None and pool is not None
            task = message.task
            if message.inputs is not None:
                x, labels, targets = message.inputs
                runner.arrays.x[: len(x)], runner.arrays.labels[: len(x)] = x, labels
                if targets is not None:
                    runner.arrays.targets[: len(x)] = targets
            if own := len(runner.own(task)):

                def between(reached: Barrier, runner: ShardRunner = runner, task: Task = task) -> None:
                    ranks.exchange(runner, task, reached)

                pool.run(task, own, between=between)
            else:
                ranks.exchange(runner, task, "gradients")
                runner.update_without_shards(task)
    if pool is not None:
        pool.close()


def _runner(setup: Setup, ranks: Ranks, workers: int) -> ShardRunner:
    arrays = SharedArrays.allocate(PrivateMemory(), setup.network, setup.images, setup.shards)
    runner = ShardRunner(
        setup.network,
        arrays,
        shards=setup.shards,
        workers=workers,
        clock=Clock(),
        rank=ranks.rank,
        ranks=ranks.size,
    )
    runner.optimizer, runner.batches = setup.optimizer, setup.batches
    return runner


def _share_of_cores(machine: Any) -> int:
    """Return how many workers a rank has: its cores, divided by the ranks of its machine that may use the same ones."""
    cores: list[int] = []  # unknown, so that all ranks of the machine share all cores
    if sys.platform == "linux":
        cores = sorted(os.sched_getaffinity(0))
    sharing: int = machine.allgather(cores).count(cores)
    return max(1, default_workers() // sharing)


def _remove_names(machine: Any) -> None:
    """Take the names of MPICH's shared memory away once all ranks have it; a killed rank would leave them."""
    machine.Barrier()
    if machine.Get_rank() == 0:
        for line in read(Path("/proc/self/maps")).splitlines():
            path = Path(line.split(maxsplit=5)[-1])
            if path.parent == Path("/dev/shm") and path.name.startswith("mpich_shm_"):
                path.unlink(missing_ok=True)
    machine.Barrier()


def _end_with_the_launcher(launcher: int) -> None:
    """End this process when the launcher is gone: Open MPI's ranks would go on without it."""
    while os.getppid() == launcher:
        time.sleep(_LAUNCHER_SECONDS)
    os._exit(1)
