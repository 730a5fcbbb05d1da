"""The fast executor: cuts every batch into shards and lets a pool of workers run them.

Only the calling process runs this file. `shard.py` is what every worker runs.

The number of shards decides how sums are rounded, so the weights depend on it. The number and the kind of workers do
not matter: the weights are the same to the bit.
"""

import logging
import time
from typing import Any, Literal

import numpy as np

from cnncli.engine.executor import BatchResult, BatchSource, Executor, Key, StepSettings
from cnncli.engine.parallel.cores import (
    StartMethod,
    choose_start_method,
    count_workers,
    default_shards,
    obstacle_to_processes,
    processes_are_faster,
)
from cnncli.engine.parallel.fork_pool import ForkPool
from cnncli.engine.parallel.ranks import current_ranks
from cnncli.engine.parallel.segments import SegmentMemory
from cnncli.engine.parallel.serving import Memory
from cnncli.engine.parallel.shard import ShardRunner, Task, sum_gradients
from cnncli.engine.parallel.shared_memory import AnonymousMemory, PrivateMemory, SharedArrays, move_network
from cnncli.engine.parallel.spawn_pool import SpawnPool
from cnncli.engine.parallel.started import StartError
from cnncli.engine.parallel.worker_pool import InlinePool, ThreadPool, WorkerPool
from cnncli.engine.plan.shard_plan import ShardPlan
from cnncli.engine.profile import WAITING, Clock
from cnncli.errors import ModelError
from cnncli.nn.layers import BatchNorm
from cnncli.nn.network import Network
from cnncli.optim.optimizers import Optimizer
from cnncli.types import FloatArray, IntArray

log = logging.getLogger(__name__)

_START_SECONDS = 0.3
"""What new interpreters take until they are ready, imports included. The caller spends as long on inference alone
before it starts any, so that an answer to a few images does not wait for them."""

_INFERENCE_IMAGES = 250  # at once in evaluation mode; more make plans longer and nothing faster


def can_compile(network: Network) -> bool:
    """Return whether plans can run the network.

    It has to be float32, and no layer but BatchNorm may look at other samples of the batch.
    """
    return network.dtype == np.float32 and all(
        placed.layer.per_sample or isinstance(placed.layer, BatchNorm) for placed in network.walk()
    )


class FastExecutor(Executor):
    """Runs a network of float32 parameters by compiled plans.

    Args:
        network: whose parameters are read and written; with processes they are moved into shared memory.
        batch_size: the largest batch of the training run.
        shards: the number of shards of a batch, or None for a number that suits the machine.
        workers: the number of workers, or "auto" for the number of cores, or OMP_NUM_THREADS if that is lower.
        pool: what the workers are; "auto" takes processes where they are faster. Where processes are impossible,
            the workers are threads, and the log says why.
        start_method: how processes are started; "auto" forks where that is safe, and starts new interpreters elsewhere.
        inference: whether the network is only run, with the weights that it has at the first pass.
        clock: measures the parts of the first shard's steps.
    """

    def __init__(
        self,
        network: Network,
        *,
        batch_size: int = 128,
        shards: int | None = None,
        workers: int | Literal["auto"] = "auto",
        pool: Literal["auto", "threads", "processes"] = "auto",
        start_method: Literal["auto"] | StartMethod = "auto",
        inference: bool = False,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(network, clock)
        self._inference = inference
        self._pool: WorkerPool | None = None
        self._blas_limits: Any = None
        self._seconds_alone = 0.0
        self.shards = default_shards() if shards is None else shards
        self._ranks = current_ranks()
        if self._ranks is not None and workers == "auto":
            workers = self._ranks.workers
        self.workers = count_workers(workers, self.shards)
        self.start_method = choose_start_method(start_method)
        wanted = processes_are_faster() if pool == "auto" else pool == "processes"
        self.processes = self.workers > 1 and wanted
        if self.processes and (obstacle := obstacle_to_processes(self.start_method)):
            self._take_threads(obstacle)
        image_bytes = 4 * int(np.prod(network.input_shape))
        self._allocate(max(batch_size, min(_INFERENCE_IMAGES, 16_000_000 // image_bytes)))

    def _allocate(self, images: int) -> None:
        """Allocate all shared arrays, for batches of up to `images` images."""
        self._memory: Memory = PrivateMemory()
        if self.processes:
            self._memory = AnonymousMemory() if self.start_method == "fork" else SegmentMemory()
        if self.processes:
            move_network(self.network, self._memory)
        self._capacity = images
        self._arrays = SharedArrays.allocate(self._memory, self.network, images, self.shards)
        self._runner = ShardRunner(
            self.network,
            self._arrays,
            shards=self.shards,
            workers=self.workers,
            clock=self._clock,
            keep_weights=self._inference,
            ranks=1 if self._ranks is None else self._ranks.size,
        )

    def forward(self, x: FloatArray) -> FloatArray:
        """Return the logits (N, K) of x (N, C, H, W) in evaluation mode."""
        x = self._checked(x)
        logits = np.empty((len(x), *self.network.output_shape), np.float32)
        size = min(self._capacity, _INFERENCE_IMAGES)
        for start in range(0, len(x), size):
            part = slice(start, min(start + size, len(x)))
            count = part.stop - start
            self._arrays.x[:count] = x[part]
            self._run(Task("forward", count))
            logits[part] = self._arrays.logits[:count]
        return logits

    def loss_and_gradients(
        self,
        x: FloatArray,
        labels: IntArray,
        *,
        key: Key = (0, 1, 0),
        label_smoothing: float = 0.0,
        targets: FloatArray | None = None,
    ) -> BatchResult:
        """Run forward and backward in training mode; see `Executor.loss_and_gradients`."""
        self._copy_in(x, labels, targets)
        settings = StepSettings(0.0, label_smoothing)
        self._run(Task("gradients", len(x), key, settings, has_targets=targets is not None))
        return self._result(len(x))

    def train_step(
        self,
        x: FloatArray,
        labels: IntArray,
        optimizer: Optimizer,
        settings: StepSettings,
        *,
        key: Key,
        targets: FloatArray | None = None,
    ) -> BatchResult:
        """Run one batch and update the parameters.

        Raises:
            DivergenceError: the loss or a gradient is not finite; the parameters are unchanged.
        """
        self._clock.start()
        self._copy_in(x, labels, targets)
        self._share(optimizer, self._runner.batches)
        self._clock.stop("copy the batch in")
        task = Task("step", len(x), key, settings, optimizer.step_count + 1, targets is not None)
        return self._step(task, optimizer)

    def train_batch(
        self, batches: BatchSource, optimizer: Optimizer, settings: StepSettings, *, key: Key
    ) -> BatchResult:
        """Do the same as `train_step` for the batch that key names; every shard prepares its own images.

        Raises:
            DivergenceError: the loss or a gradient is not finite; the parameters are unchanged.
            ModelError: the images or labels do not fit the network.
        """
        self._refuse_training()
        self._clock.start()
        images = self._images_in_step(batches, key[2])
        if batches is not self._runner.batches:
            self._check_source(batches)
            self._reserve(batches.batch_size)
        self._share(optimizer, batches)
        task = Task("batch", images, key, settings, optimizer.step_count + 1, batches.has_targets)
        return self._step(task, optimizer)

    def plan(self, images: int, shard: int = 0, *, training: bool = True) -> ShardPlan:
        """Return a shard's plan for batches of so many images, for training or inference."""
        return self._runner.plan(shard, images, training=training)

    def close(self) -> None:
        """Stop the workers and give BLAS its threads back; the network stays usable."""
        self._close_pool()
        if self._blas_limits is not None:
            self._blas_limits.restore_original_limits()
            self._blas_limits = None
        self._runner.plans.clear()

    def __del__(self) -> None:
        if hasattr(self, "_runner"):
            self.close()

    def _step(self, task: Task, optimizer: Optimizer) -> BatchResult:
        """Let the workers run a training step."""
        self._run(task)
        self._clock.stop(WAITING)
        result, active = self._result(task.images), self._runner.active(task.images)
        if not self._arrays.all_finite(active):
            # The workers left the parameters alone. Either the batch diverged, or only the square of a large
            # gradient overflowed: then the caller does the update.
            parameters = self.network.parameters
            if self._ranks is not None:
                self._ranks.forget()
            else:
                with np.errstate(over="ignore", invalid="ignore"):
                    sum_gradients(self._arrays, active, slice(0, parameters.size), parameters.grads)
            return self._update_parameters(optimizer, task.settings, result)
        if task.settings.max_gradient_norm is not None:
            norm = float(np.sqrt(self._arrays.squared_slice_norms[:active].sum()))
            return result._replace(gradient_norm=norm)
        return result

    def _result(self, images: int) -> BatchResult:
        active = self._runner.active(images)
        losses, correct = self._arrays.losses[:active], self._arrays.correct[:active]
        return BatchResult(float(losses.sum()), int(correct.sum()))

    def _checked(self, x: FloatArray) -> FloatArray:
        x = np.asarray(x, np.float32)
        if x.shape[1:] != self.network.input_shape:
            raise ModelError(f"the network takes {self.network.input_shape}, found a batch of {x.shape}")
        return x

    def _copy_in(self, x: FloatArray, labels: IntArray, targets: FloatArray | None) -> None:
        """Copy a batch into shared memory."""
        self._refuse_training()
        x = self._checked(x)
        if len(x) != len(labels) or not len(x):
            raise ModelError(f"a batch needs as many labels as images, found {len(labels)} and {len(x)}")
        self._check_labels(labels)
        self._reserve(len(x))
        self._arrays.x[: len(x)] = x
        self._arrays.labels[: len(x)] = labels
        if targets is not None:
            self._arrays.targets[: len(x)] = targets

    def _refuse_training(self) -> None:
        if self._inference:
            raise ModelError(
                "this executor was compiled for inference", "compile the network once more to train it"
            )

    def _reserve(self, images: int) -> None:
        """Make room for a batch of so many images."""
        if images > self._capacity:
            self.close()
            self._allocate(images)

    def _share(self, optimizer: Optimizer, batches: BatchSource | None) -> None:
        """Make optimizer and batches known to the workers.

        Processes that are running do not know them, so the pool is closed and the next task starts a new one. The
        optimizer's state moves into shared memory.
        """
        runner = self._runner
        if optimizer is runner.optimizer and batches is runner.batches:
            return
        if self.processes:
            self._close_pool()
            if optimizer is not runner.optimizer:
                optimizer.move_to(lambda size, dtype: self._memory.empty(size, dtype=dtype))
        runner.optimizer, runner.batches = optimizer, batches

    def _run(self, task: Task) -> None:
        """Let the workers run a task, and start them if there are none."""
        if self._pool is None:
            from threadpoolctl import threadpool_limits

            # Every worker has a core to itself, so BLAS must not start threads of its own.
            self._blas_limits = self._blas_limits or threadpool_limits(1, "blas")
            if self._is_short(task):
                began = time.perf_counter()
                for _ in self._runner.run(0, task, workers=1):
                    pass
                self._seconds_alone += time.perf_counter() - began
                return
            self._pool = self._start_pool()
        if self._ranks is not None and task.kind != "forward":
            self._ranks.run(self._pool, self._runner, task)
        else:
            self._pool.run(task, self._runner.active(task.images))

    def _is_short(self, task: Task) -> bool:
        """Return whether the caller is done with an inference task before new interpreters would have started."""
        starts = self.processes and self.start_method != "fork"
        return starts and task.kind == "forward" and self._seconds_alone < _START_SECONDS

    def _start_pool(self) -> WorkerPool:
        """Return a pool of workers; of threads if processes cannot be started."""
        run = self._runner.run
        if self.workers == 1:
            return InlinePool(1, run)
        if self.processes and self.start_method == "fork":
            return ForkPool(self.workers, run)
        if self.processes and self.start_method != "fork":
            assert isinstance(self._memory, SegmentMemory)
            self._runner.plans.clear()  # those of shards that other workers will run
            try:
                return SpawnPool(self.workers, run, self.start_method, self._memory)
            except StartError as error:
                self._take_threads(str(error))
        return ThreadPool(self.workers, run)

    def _take_threads(self, obstacle: str) -> None:
        log.warning("the workers are threads, which are slower than processes: %s", obstacle)
        self.processes = False

    def _close_pool(self) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None
