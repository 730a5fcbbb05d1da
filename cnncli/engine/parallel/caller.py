"""The fast executor: a batch cut into shards, every shard through its own plan, the gradients summed in one order.

How many shards there are decides how sums are rounded, so it is part of a training's identity; how many workers run
them is not: the weights are the same to the bit for any number of workers.
"""

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

import numpy as np

from cnncli.engine.executor import (
    BatchResult,
    BatchSource,
    Key,
    check_finite,
    check_labels,
    check_source,
    images_of,
)
from cnncli.engine.kernels.batchnorm import sums_size
from cnncli.engine.parallel.worker_pool import (
    InlinePool,
    PrivateMemory,
    ProcessPool,
    SharedMemory,
    ThreadPool,
    WorkerPool,
    available_cores,
    can_fork,
)
from cnncli.engine.plan.all_reduce import AllReduce, Rank
from cnncli.engine.plan.shard_plan import ShardPlan, no_generators
from cnncli.engine.profile import WAITING, Clock, NoClock
from cnncli.errors import ModelError
from cnncli.nn.layers import BatchNorm
from cnncli.nn.network import Network
from cnncli.optim.clipping import clip_gradients
from cnncli.optim.optimizers import Optimizer
from cnncli.randomness import stream
from cnncli.types import FloatArray, IntArray

_CHUNK = 32_768  # numbers that are summed and updated at once: they stay in the second-level cache
_MOST_SHARDS = 8
_BUFFER = 512
"""Elements. NumPy copies strided operands into buffers where the inner run is shorter than half of one; with its
8,192, operations on slices of images take up to three times as long as without any copy."""
_INFERENCE_IMAGES = 250  # taken at once in evaluation: more make plans longer, and nothing faster

Kind = Literal["auto", "threads", "processes"]


class Command(NamedTuple):
    """What every worker has to do next.

    Attributes:
        what: "forward", "gradients", "step", or "batch": a step on a batch that the shards prepare themselves.
        images: of the batch, which lies in the shared input or will.
        key: (seed, epoch, step), for dropout and the batch.
        label_smoothing: of the loss.
        learning_rate: of a step.
        step_count: of the optimizer, for a step.
        max_norm: of the gradient, or None.
    """

    what: str
    images: int
    key: Key = (0, 1, 0)
    label_smoothing: float = 0.0
    learning_rate: float = 0.0
    step_count: int = 0
    max_norm: float | None = None


def default_shards() -> int:
    """Return into how many shards a batch is cut when nobody says: a power of two, 2 to 8, up to the cores."""
    shards = 2
    while shards * 2 <= min(available_cores(), _MOST_SHARDS):
        shards *= 2
    return shards


def suits(network: Network) -> bool:
    """Return whether shards can run the network: no layer but BatchNorm may look at other samples of the batch."""
    return all(layer.per_sample or isinstance(layer, BatchNorm) for layer in network.layers)


class FastExecutor:
    """Runs a network of float32 parameters by compiled plans.

    Args:
        network: whose parameters are read and written; with processes they are moved into shared memory.
        batch_size: the largest batch of a training.
        shards: into how many a batch is cut, or None for a number that suits the machine.
        workers: how many of them run at once, or "auto" for the cores there are.
        kind: what the workers are; "auto" takes processes where they are faster.
        clock: takes the times of the first shard.
    """

    def __init__(
        self,
        network: Network,
        *,
        batch_size: int = 128,
        shards: int | None = None,
        workers: int | Literal["auto"] = "auto",
        kind: Kind = "auto",
        clock: Clock | None = None,
    ) -> None:
        self._network = network
        self.shards = default_shards() if shards is None else shards
        self.workers = min(available_cores() if workers == "auto" else workers, self.shards)
        self.processes = self.workers > 1 and (can_fork() if kind == "auto" else kind == "processes")
        self._clock: Clock = clock or NoClock()
        self._capacity = max(
            batch_size, min(_INFERENCE_IMAGES, 16_000_000 // (4 * int(np.prod(network.input_shape))))
        )
        self._optimizer: Optimizer | None = None
        self._batches: BatchSource | None = None
        self._team: WorkerPool | None = None
        self._limits: Any = None
        self._plans: dict[tuple[int, bool], tuple[slice, ShardPlan]] = {}
        self._allocate()

    def _allocate(self) -> None:
        """Take all memory that shards and workers have in common."""
        network, shards = self._network, self.shards
        memory = SharedMemory() if self.processes else PrivateMemory()
        self._memory = memory
        parameters = network.parameters
        self._gradients = memory.empty(
            shards, parameters.size
        )  # untouched pages of unused shards cost nothing
        self._views = [
            {
                name: row[where].reshape(parameters.named[name].shape)
                for name, where in parameters.slices.items()
            }
            for row in self._gradients
        ]
        self._x = memory.empty(self._capacity, *network.input_shape)
        self._labels = memory.empty(self._capacity, dtype=np.int64)
        self._logits = memory.empty(self._capacity, *network.output_shape)
        self._results = memory.empty(shards, 4, dtype=np.float64)  # loss, hits, squared gradient norms twice
        norms = {i: sums_size(n) for i, n in enumerate(network.layers) if isinstance(n, BatchNorm)}
        self._meeting = AllReduce(
            memory.empty(2, shards, max(1, sum(norms.values())), dtype=np.float64), norms
        )
        if self.processes:
            parameters.move_to(memory.empty(parameters.size), memory.empty(parameters.size))
            for name, layer in zip(network.names, network.layers, strict=True):
                for key, buffer in layer.buffers.items():
                    home = memory.empty(*buffer.shape)
                    home[...] = buffer
                    layer.buffers[key] = network.buffers[f"{name}.{key}"] = home

    @property
    def network(self) -> Network:
        """The network whose parameters and buffers are read and written."""
        return self._network

    def forward(self, x: FloatArray) -> FloatArray:
        """Return the logits (N, K) of x (N, C, H, W) in evaluation mode."""
        x = self._checked(x)
        logits = np.empty((len(x), *self._network.output_shape), np.float32)
        taken = min(self._capacity, _INFERENCE_IMAGES)
        for start in range(0, len(x), taken):
            part = slice(start, min(start + taken, len(x)))
            count = part.stop - start
            self._x[:count] = x[part]
            self._run(Command("forward", count))
            logits[part] = self._logits[:count]
        return logits

    def loss_and_gradients(
        self, x: FloatArray, labels: IntArray, *, key: Key = (0, 1, 0), label_smoothing: float = 0.0
    ) -> BatchResult:
        """Run forward and backward in training mode; the gradients are left in `network.parameters.grads`.

        Args:
            x: (N, C, H, W), normalised.
            labels: (N,), class numbers.
            key: (seed, epoch, step), which names the random streams of dropout.
            label_smoothing: the share of every target spread evenly over the classes.
        """
        self._take(x, labels)
        self._run(Command("gradients", len(x), key, label_smoothing))
        return self._result(len(x))

    def train_step(
        self,
        x: FloatArray,
        labels: IntArray,
        optimizer: Optimizer,
        learning_rate: float,
        *,
        key: Key,
        label_smoothing: float = 0.0,
        max_gradient_norm: float | None = None,
    ) -> BatchResult:
        """Run one batch and update the parameters.

        Raises:
            DivergenceError: the loss or a gradient is not finite; the parameters are as they were.
        """
        self._clock.start()
        self._take(x, labels)
        self._adopt(optimizer, self._batches)
        self._clock.stop("copy the batch in")
        count = optimizer.step_count + 1
        return self._step(
            Command("step", len(x), key, label_smoothing, learning_rate, count, max_gradient_norm), optimizer
        )

    def train_batch(
        self,
        batches: BatchSource,
        optimizer: Optimizer,
        learning_rate: float,
        *,
        key: Key,
        label_smoothing: float = 0.0,
        max_gradient_norm: float | None = None,
    ) -> BatchResult:
        """Do what `train_step` does, on the batch that key names; every shard prepares its own images.

        Raises:
            DivergenceError: the loss or a gradient is not finite; the parameters are as they were.
            ModelError: the images or labels do not fit the network.
        """
        self._clock.start()
        images = images_of(batches, key[2])
        if batches is not self._batches:
            check_source(batches, self._network)
            self._reserve(batches.batch_size)
        self._adopt(optimizer, batches)
        count = optimizer.step_count + 1
        return self._step(
            Command("batch", images, key, label_smoothing, learning_rate, count, max_gradient_norm), optimizer
        )

    def _step(self, command: Command, optimizer: Optimizer) -> BatchResult:
        self._run(command)
        self._clock.stop(WAITING)
        result = self._result(command.images)
        if not self._finite(command.images):
            return self._examine(result, command, optimizer)
        if command.max_norm is not None:
            norm = float(np.sqrt(self._results[: self._active(command.images), 3].sum()))
            return result._replace(gradient_norm=norm)
        return result

    def _examine(self, result: BatchResult, command: Command, optimizer: Optimizer) -> BatchResult:
        """Find out what is not finite; go on, slowly, if it was only the square of a large gradient."""
        parameters = self._network.parameters
        with np.errstate(over="ignore", invalid="ignore"):
            self._sum(slice(0, parameters.size), self._active(command.images))
            check_finite(result.loss, parameters)
        norm = None if command.max_norm is None else clip_gradients(parameters.grads, command.max_norm)
        optimizer.step(command.learning_rate)
        return result._replace(gradient_norm=norm)

    def training_plan(self, images: int) -> ShardPlan:
        """Return the first shard's plan for training batches of so many images."""
        return self._plan(0, shard_rows(images, self._active(images), 0), training=True)

    def close(self) -> None:
        """Let workers go and give BLAS its threads back; the network stays usable."""
        if self._team is not None:
            self._team.close()
            self._team = None
        if self._limits is not None:
            self._limits.restore_original_limits()
            self._limits = None
        self._plans.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _checked(self, x: FloatArray) -> FloatArray:
        x = np.asarray(x, np.float32)
        if x.shape[1:] != self._network.input_shape:
            raise ModelError(f"the network takes {self._network.input_shape}, found a batch of {x.shape}")
        return x

    def _take(self, x: FloatArray, labels: IntArray) -> None:
        x = self._checked(x)
        if len(x) != len(labels) or not len(x):
            raise ModelError(f"a batch needs as many labels as images, found {len(labels)} and {len(x)}")
        check_labels(labels, self._network)
        self._reserve(len(x))
        self._x[: len(x)] = x
        self._labels[: len(x)] = labels

    def _reserve(self, images: int) -> None:
        """Make room for a batch of so many images."""
        if images > self._capacity:
            self.close()
            self._capacity = images
            self._optimizer = None
            self._allocate()

    def _adopt(self, optimizer: Optimizer, batches: BatchSource | None) -> None:
        """Make the workers know optimizer and batches: processes that were forked before do not, and start anew.

        The optimizer's state moves into shared memory.
        """
        if optimizer is self._optimizer and batches is self._batches:
            return
        if self.processes and self._team is not None:
            self._team.close()
            self._team = None
        if self.processes and optimizer is not self._optimizer:
            optimizer.move_to(lambda size, dtype: self._memory.empty(size, dtype=dtype))
        self._optimizer, self._batches = optimizer, batches

    def _active(self, images: int) -> int:
        return min(self.shards, images)

    def _run(self, command: Command) -> None:
        if self._team is None:
            from threadpoolctl import threadpool_limits

            # Every worker has a core to itself; a BLAS with threads of its own would only be in the way.
            self._limits = self._limits or threadpool_limits(1, "blas")
            if self.workers == 1:
                self._team = InlinePool(self._program)
            else:
                self._team = (ProcessPool if self.processes else ThreadPool)(self.workers, self._program)
        self._team.run(command, self._active(command.images))

    def _program(self, worker: int, command: Command) -> Iterator[None]:
        """Advance all shards of one worker from meeting to meeting."""
        # a diverging batch is told by its loss, not by warnings
        with np.errstate(over="ignore", invalid="ignore"):
            np.setbufsize(_BUFFER)
            shards = range(worker, self._active(command.images), self.workers)
            steps = [self._shard(shard, command) for shard in shards]
            while True:
                going = [next(step, self) is None for step in steps]  # a step yields None; self marks its end
                if not all(going):
                    return
                yield

    def _shard(self, shard: int, command: Command) -> Iterator[None]:
        """Run one shard's part of a command."""
        active = self._active(command.images)
        rows = shard_rows(command.images, active, shard)
        seat = Rank(self._meeting, shard, active)
        if command.what == "forward":
            plan = self._plan(shard, rows, training=False)
            yield from plan.forward(no_generators, seat)
            self._logits[rows] = plan.logits
            return
        plan = self._plan(shard, rows, training=True)
        if command.what == "batch":
            assert self._batches is not None
            _, epoch, step = command.key
            self._batches.write(epoch, step, rows, self._x[rows], self._labels[rows])
            plan.clock.stop("prepare the batch")
        yield from plan.forward(self._generators(shard, command.key), seat)
        loss, correct = plan.loss(self._labels[rows], command.images, command.label_smoothing)
        plan.clock.stop("loss")
        yield from plan.backward(seat)
        plan.collect(self._views[shard])
        own = self._gradients[shard]
        self._results[shard] = loss, correct, np.dot(own, own), 0.0
        plan.clock.stop("sum gradients, optimizer")
        yield
        plan.clock.stop(WAITING)
        part = shard_rows(self._network.parameters.size, active, shard)
        if command.what == "gradients":
            self._sum(part, active)
        elif self._finite(command.images):
            yield from self._update(command, shard, part, active)
        plan.clock.stop("sum gradients, optimizer")

    def _update(self, command: Command, shard: int, part: slice, active: int) -> Iterator[None]:
        """Sum this slice of the shards' gradients and move the parameters by it, chunk by chunk."""
        optimizer, parameters = self._optimizer, self._network.parameters
        assert optimizer is not None
        optimizer.step_count = command.step_count
        if command.max_norm is not None:
            self._sum(part, active)
            total = parameters.grads[part]
            self._results[shard, 3] = np.dot(total, total)
            yield
            norm = float(np.sqrt(self._results[:active, 3].sum()))
            if norm > command.max_norm:
                total *= np.float32(command.max_norm / (norm + 1e-6))
            optimizer.apply(parameters.values, parameters.grads, command.learning_rate, part.start, part.stop)
            return
        for start in range(part.start, part.stop, _CHUNK):
            chunk = slice(start, min(start + _CHUNK, part.stop))
            self._sum(chunk, active)
            optimizer.apply(
                parameters.values, parameters.grads, command.learning_rate, chunk.start, chunk.stop
            )

    def _sum(self, part: slice, active: int) -> None:
        """Add the shards' gradients, always in the order of the shards."""
        total = self._network.parameters.grads[part]
        if active == 1:
            total[...] = self._gradients[0, part]
            return
        np.add(self._gradients[0, part], self._gradients[1, part], out=total)
        for shard in range(2, active):
            np.add(total, self._gradients[shard, part], out=total)

    def _finite(self, images: int) -> bool:
        results = self._results[: self._active(images)]
        return bool(np.isfinite(results[:, 0].sum()) and np.isfinite(results[:, 2].sum()))

    def _result(self, images: int) -> BatchResult:
        results = self._results[: self._active(images)]
        return BatchResult(float(results[:, 0].sum()), int(results[:, 1].sum()))

    def _generators(self, shard: int, key: Key) -> Callable[[int], np.random.Generator]:
        seed, epoch, step = key
        generators: dict[int, np.random.Generator] = {}

        def generator(layer: int) -> np.random.Generator:
            if layer not in generators:
                generators[layer] = stream(seed, "dropout", epoch, step, layer, shard)
            return generators[layer]

        return generator

    def _plan(self, shard: int, rows: slice, *, training: bool) -> ShardPlan:
        """Return the shard's plan for these rows of a batch; the last one of training and of inference is kept."""
        kept, plan = self._plans.get((shard, training), (None, None))
        if plan is None or kept != rows:
            self._plans.pop((shard, training), None)  # its memory goes before the new one's comes
            plan = ShardPlan(
                self._network,
                self._x[rows],
                training=training,
                clock=self._clock if training and shard == 0 else NoClock(),
            )
            self._plans[shard, training] = rows, plan
        return plan


def shard_rows(count: int, shards: int, shard: int) -> slice:
    """Return the shard's part of `count` things: as even as possible, the larger parts first."""
    size, rest = divmod(count, shards)
    start = shard * size + min(shard, rest)
    return slice(start, start + size + (shard < rest))
