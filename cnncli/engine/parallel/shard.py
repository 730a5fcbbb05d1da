"""Runs the shards of a batch: forward and backward pass, the sum of the gradients, and a slice of the update.

Every worker calls `ShardRunner.run` for its own shards. Worker 0 is the caller; the others are processes or threads.
The caller alone creates the `ShardRunner`. Where the square of a gradient overflows, it also sums the gradients itself.
A process has its own copy of every object here. It shares only the arrays that `shared_memory.py` lists, and learns
what to do from the `Task`.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple, cast

import numpy as np

from cnncli.engine.executor import BatchSource, Key, StepSettings
from cnncli.engine.kernels.kernel import LayerGenerators
from cnncli.engine.parallel.shared_memory import SharedArrays
from cnncli.engine.plan.batchnorm_sums import Barrier, SumExchange
from cnncli.engine.plan.shard_plan import ShardPlan, no_generators
from cnncli.engine.profile import WAITING, Clock
from cnncli.nn.network import Network
from cnncli.optim.optimizers import Optimizer
from cnncli.randomness import stream
from cnncli.types import FloatArray

_CHUNK = 32_768  # numbers that are summed and updated at once: they stay in the second-level cache
_FINISHED = object()
_BUFFER = 512
"""Elements. NumPy copies strided operands into buffers where the inner run is shorter than half of one. With its
default of 8,192, operations on slices of images take up to three times as long as without any copy."""


class Task(NamedTuple):
    """What every worker does next.

    Attributes:
        kind: "forward" for inference, "gradients" for forward and backward, "step" for these and the update,
            "batch" for a step on a batch that the shards prepare themselves.
        images: the number of images of the batch.
        key: (seed, epoch, step), for dropout and the batch.
        settings: of the step.
        step_count: the optimizer's, after this step.
        has_targets: whether the shared targets replace the labels in the loss.
    """

    kind: Literal["forward", "gradients", "step", "batch"]
    images: int
    key: Key = (0, 1, 0)
    settings: StepSettings = StepSettings(0.0)
    step_count: int = 0
    has_targets: bool = False


class ShardRunner:
    """Runs the shards of any worker.

    The caller makes it and sets `optimizer` and `batches` before it starts processes.

    Args:
        network: whose parameters are read and updated.
        arrays: shared with the caller and the other workers.
        shards: the number of shards of a batch; a batch with fewer images has one shard for each image.
        workers: the number of workers.
        clock: measures the first shard's training steps.
        keep_weights: whether the network is only run, with the weights that it has at the first task.
        rank: the number of this process among those of an MPI program; see `ranks.py`.
        ranks: how many these are.
    """

    def __init__(
        self,
        network: Network,
        arrays: SharedArrays,
        *,
        shards: int,
        workers: int,
        clock: Clock,
        keep_weights: bool = False,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self.rank, self.ranks = rank, ranks
        self._keep_weights = keep_weights
        self.network, self.arrays, self.shards, self.workers = network, arrays, shards, workers
        self.optimizer: Optimizer | None = None
        self.batches: BatchSource | None = None
        self.plans: dict[tuple[int, bool], tuple[slice, ShardPlan]] = {}
        self._clock = clock
        parameters = network.parameters
        self._gradients_by_name = [
            {
                name: row[where].reshape(parameters.named[name].shape)
                for name, where in parameters.slices.items()
            }
            for row in arrays.shard_gradients
        ]

    def __getstate__(self) -> dict[str, object]:
        # A process makes plans of its own, and only the caller measures.
        return {**vars(self), "plans": {}, "_clock": Clock()}

    def active(self, images: int) -> int:
        """Return the number of shards of a batch of so many images."""
        return min(self.shards, images)

    def own(self, task: Task, rank: int | None = None) -> range:
        """Return the shards of this rank, or of another one.

        Rank 0 alone runs inference, and a batch with fewer shards than there are ranks.
        """
        rank, active = self.rank if rank is None else rank, self.active(task.images)
        if task.kind == "forward" or active < self.ranks:
            return range(active if rank == 0 else 0)
        part = shard_slice(active, self.ranks, rank)
        return range(part.start, part.stop)

    def run(self, worker: int, task: Task, workers: int | None = None) -> Iterator[Barrier]:
        """Run all shards of one worker; yields once all of them have reached a barrier.

        Args:
            worker: the number of the worker.
            task: what to do.
            workers: the number of workers, if another one than usual.
        """
        # The loss reports a diverging batch, so NumPy need not warn about it.
        with np.errstate(over="ignore", invalid="ignore"):
            np.setbufsize(_BUFFER)
            running = [
                self._run_shard(shard, task) for shard in self.own(task)[worker :: workers or self.workers]
            ]
            while True:
                reached = [next(shard, _FINISHED) for shard in running]
                if any(each is _FINISHED for each in reached):
                    return
                yield cast(Barrier, reached[0])

    def plan(self, shard: int, images: int, *, training: bool) -> ShardPlan:
        """Return a shard's plan for a batch of so many images.

        A shard keeps two plans, the last one for training and the last one for inference.
        """
        rows = shard_slice(images, self.active(images), shard)
        planned_rows, plan = self.plans.get((shard, training), (None, None))
        if plan is None or planned_rows != rows:
            self.plans.pop((shard, training), None)  # releases its memory before the new plan takes any
            clock = self._clock if training and shard == 0 else Clock()
            plan = ShardPlan(
                self.network,
                self.arrays.x[rows],
                training=training,
                clock=clock,
                keep_weights=self._keep_weights,
            )
            self.plans[shard, training] = rows, plan
        return plan

    def _run_shard(self, shard: int, task: Task) -> Iterator[Barrier]:
        """Run one shard's part of a task; yields at every barrier."""
        arrays, active = self.arrays, self.active(task.images)
        rows = shard_slice(task.images, active, shard)
        exchange = SumExchange(arrays.batchnorm_sums, shard, active)
        plan = self.plan(shard, task.images, training=task.kind != "forward")
        if task.kind == "forward":
            yield from plan.forward(no_generators, exchange)
            arrays.logits[rows] = plan.logits
            return
        targets = arrays.targets[rows] if task.has_targets else None
        if task.kind == "batch":
            assert self.batches is not None
            _, epoch, step = task.key
            self.batches.write(epoch, step, rows, arrays.x[rows], arrays.labels[rows], targets)
            plan.clock.stop("prepare the batch")
        yield from plan.forward(dropout_generators(task.key, shard), exchange)
        loss, correct = plan.loss(arrays.labels[rows], task.images, task.settings.label_smoothing, targets)
        plan.clock.stop("loss")
        yield from plan.backward(exchange)
        plan.collect(self._gradients_by_name[shard])
        gradients = arrays.shard_gradients[shard]
        self.network.parameters.clear_frozen(gradients)
        arrays.losses[shard], arrays.correct[shard] = loss, correct
        arrays.squared_norms[shard] = np.dot(gradients, gradients)
        plan.clock.stop("collect gradients")
        yield "gradients"  # after this barrier, the gradients of all shards are there
        plan.clock.stop(WAITING)
        own = self.own(task)
        part = shard_slice(self.network.parameters.size, len(own), shard - own.start)
        if task.kind == "gradients":
            self._sum_gradients(active, part)
            plan.clock.stop("sum gradients")
        elif arrays.all_finite(active):
            yield from self._update(task, part, range(active)[shard - own.start :: len(own)])
            plan.clock.stop("sum gradients, optimizer")

    def update_without_shards(self, task: Task) -> None:
        """Make the update of a step whose shards are all in another rank."""
        active = self.active(task.images)
        if task.kind != "gradients" and self.arrays.all_finite(active):
            for _ in self._update(task, slice(0, self.network.parameters.size), range(active)):
                pass

    def _update(self, task: Task, part: slice, shards: range) -> Iterator[Barrier]:
        """Sum a slice of the shards' gradients and update the same slice of the parameters.

        Args:
            task: a step.
            part: the slice.
            shards: whose slices of the summed gradients this call measures for clipping. In one process there is one:
                the shard itself, and its slice is `part`.
        """
        arrays, optimizer, settings = self.arrays, self.optimizer, task.settings
        values, gradients = self.network.parameters.values, self.network.parameters.grads
        active = self.active(task.images)
        assert optimizer is not None
        optimizer.step_count = task.step_count
        if settings.max_gradient_norm is not None:
            self._sum_gradients(active, part)
            for shard in shards:
                total = gradients[shard_slice(gradients.size, active, shard)]
                arrays.squared_slice_norms[shard] = np.dot(total, total)
            yield None  # after this barrier, the norm of the whole gradient is known
            norm = float(np.sqrt(arrays.squared_slice_norms[:active].sum()))
            if norm > settings.max_gradient_norm:
                gradients[part] *= np.float32(settings.max_gradient_norm / (norm + 1e-6))
            optimizer.apply(values, gradients, settings.learning_rate, part.start, part.stop)
            return
        for start in range(part.start, part.stop, _CHUNK):
            chunk = slice(start, min(start + _CHUNK, part.stop))
            self._sum_gradients(active, chunk)
            optimizer.apply(values, gradients, settings.learning_rate, chunk.start, chunk.stop)

    def _sum_gradients(self, active: int, part: slice) -> None:
        """Sum a slice of the shards' gradients, unless the ranks have done that already."""
        if self.ranks == 1:
            sum_gradients(self.arrays, active, part, self.network.parameters.grads)


def shard_slice(count: int, shards: int, shard: int) -> slice:
    """Return one shard's slice of `count` images or parameters: as even as possible, the larger slices first."""
    size, rest = divmod(count, shards)
    start = shard * size + min(shard, rest)
    return slice(start, start + size + (shard < rest))


def sum_gradients(arrays: SharedArrays, active: int, part: slice, out: FloatArray) -> None:
    """Write the sum of a slice of the shards' gradients into the same slice of `out` (P,)."""
    add_rows(arrays.shard_gradients[:active, part], out[part])


def add_rows(rows: FloatArray, total: FloatArray) -> None:
    """Write the sum of the shards' rows (S, n) to `total` (n,).

    They are added in the order of the shards, so that the sum does not depend on the workers.
    """
    if len(rows) == 1:
        total[...] = rows[0]
        return
    np.add(rows[0], rows[1], out=total)
    for row in rows[2:]:
        np.add(total, row, out=total)


def dropout_generators(key: Key, shard: int) -> LayerGenerators:
    """Return a function from a layer's index to the generator of its dropout in this step and shard."""
    seed, epoch, step = key
    generators: dict[int, np.random.Generator] = {}

    def generator(layer: int) -> np.random.Generator:
        if layer not in generators:
            generators[layer] = stream(seed, "dropout", epoch, step, layer, shard)
        return generators[layer]

    return generator
