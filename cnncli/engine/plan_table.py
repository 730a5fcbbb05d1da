"""Shows what a plan consists of and where its time goes, as a table for people.

The calling process runs all lines of this file, with one worker, which is itself.
"""

from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np

from cnncli.engine.kernels.kernel import Kernel
from cnncli.engine.kernels.node import names_of
from cnncli.engine.parallel.caller import FastExecutor, can_compile
from cnncli.engine.plan.shard_plan import ShardPlan
from cnncli.engine.profile import WAITING, StepClock
from cnncli.nn.network import Network


@dataclass(frozen=True)
class PlanRow:
    """One kernel of a plan, or a part of a training step that belongs to no layer.

    Attributes:
        layers: the names of the layers it covers.
        kernel: the class that runs them, in cnncli.engine.kernels.
        description: what that class does, in one line.
        micro_batch: the number of images in one micro-batch; the dense part takes the whole shard. None for a part
            that belongs to no layer.
        forward: its share of a training step's time, 0 to 1, or None where nothing was measured.
        backward: the same for the backward pass.
        forward_ms: milliseconds of one step of the first shard.
        backward_ms: the same for the backward pass.
        forward_calls: the recorded calls of one micro-batch, a line for each.
        backward_calls: the same for the backward pass.
    """

    layers: str
    kernel: str
    description: str
    micro_batch: int | None
    forward: float | None = None
    backward: float | None = None
    forward_ms: float | None = None
    backward_ms: float | None = None
    forward_calls: tuple[str, ...] = ()
    backward_calls: tuple[str, ...] = ()


def plan_table(
    network: Network, *, batch_size: int, shards: int | None = None, steps: int = 5
) -> list[PlanRow]:
    """Return the kernels of a network's training plan, with their times.

    Args:
        network: is copied, and stays unchanged.
        batch_size: of the training run.
        shards: the number of shards of a batch; None for the machine's default.
        steps: how many are measured, on random images, by one worker; 0 measures nothing.

    Returns:
        a row for every kernel, then rows for the parts that belong to no layer; empty for a network that only the
        plain layers can run.
    """
    if not can_compile(network):
        return []
    network = deepcopy(network)
    clock = StepClock()
    rng = np.random.default_rng(0)
    x = rng.random((batch_size, *network.input_shape), dtype=np.float32)
    labels = rng.integers(0, network.output_shape[0], batch_size)
    with FastExecutor(network, batch_size=batch_size, shards=shards, workers=1, clock=clock) as executor:
        executor.loss_and_gradients(x, labels)
        clock.seconds.clear()
        for step in range(steps):
            executor.loss_and_gradients(x, labels, key=(0, 1, step))
        plan = executor.plan(batch_size)
    clock.seconds.pop((WAITING, "forward"), None)  # the one worker runs the other shards in this time
    total = sum(clock.seconds.values())
    rows = []
    for group in (stage.micro_batches[0] for stage in plan.stages):
        for kernel in group.kernels:
            part = " ".join(node.name for node in kernel.nodes)
            seconds = [clock.seconds.pop((part, way), 0.0) for way in ("forward", "backward")]
            row = PlanRow(names_of(kernel.nodes), type(kernel).__name__, kernel.description, group.images)
            calls = [recorded_calls(plan, kernel, backward=backward) for backward in (False, True)]
            row = replace(row, forward_calls=calls[0], backward_calls=calls[1])
            if steps:
                shares, ms = [s / total for s in seconds], [1000 * s / steps for s in seconds]
                row = replace(row, forward=shares[0], backward=shares[1], forward_ms=ms[0], backward_ms=ms[1])
            rows.append(row)
    for (part, _), spent in sorted(clock.seconds.items(), key=lambda item: -item[1]):
        rows.append(PlanRow("", "", part, None, spent / total, forward_ms=1000 * spent / steps))
    return rows


def recorded_calls(plan: ShardPlan, kernel: Kernel, *, backward: bool = False) -> tuple[str, ...]:
    """Return the recorded calls of a kernel for one micro-batch, a line for each.

    Every slot records the same calls on other arrays, so the first of them stand for all.
    """
    lines: list[str] = []
    for stage in plan.stages[::-1] if backward else plan.stages:
        for recordings in (stage.backward,) if backward else (stage.entry, stage.forward):
            tapes = [recording.tape for recording in recordings if recording.kernel is kernel]
            calls = [line for tape in tapes for line in tape.lines()]
            lines += calls[: len(calls) // kernel.workload.slots]
    return tuple(lines)
