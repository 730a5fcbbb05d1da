"""What a plan consists of and where its time goes, for people who want to see it."""

from copy import deepcopy
from dataclasses import dataclass

import numpy as np

from cnncli.engine.kernels.node import names_of
from cnncli.engine.parallel.caller import FastExecutor, suits
from cnncli.engine.profile import WAITING, StepClock
from cnncli.nn.network import Network


@dataclass(frozen=True)
class PlanRow:
    """One step of a plan.

    Attributes:
        layers: the names of the layers it covers.
        kernel: the class that runs it, in cnncli.engine.kernels.
        pattern: what that class does, in a few words.
        images: of a micro-batch; the dense part takes the shard as a whole.
        forward: its share of a training step's time, 0 to 1, or None where nothing was measured.
        backward: the same for the way back.
    """

    layers: str
    kernel: str
    pattern: str
    images: int
    forward: float | None
    backward: float | None


def describe(
    network: Network, *, batch_size: int, shards: int | None = None, steps: int = 5
) -> list[PlanRow]:
    """Return the steps of a network's training plan, with their shares of the time.

    Args:
        network: is copied, and stays as it is.
        batch_size: of the training.
        shards: into how many a batch is cut; None for the machine's default.
        steps: how many are measured, on random images, by one worker; 0 measures nothing.

    Returns:
        a row for every kernel, then rows for what belongs to no layer; empty for a network that only the plain
        layers can run.
    """
    if not suits(network) or network.dtype != np.float32:
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
        plan = executor.training_plan(batch_size)
    clock.seconds.pop((WAITING, "forward"), None)  # the one worker runs the other shards meanwhile
    total = sum(clock.seconds.values())
    rows = []
    for lane in (stage.lanes[0] for stage in plan.stages):
        for kernel in lane.kernels:
            name = " ".join(node.name for node in kernel.nodes)
            shares = [
                clock.seconds.pop((name, way), 0.0) / total if steps else None
                for way in ("forward", "backward")
            ]
            rows.append(
                PlanRow(names_of(kernel.nodes), type(kernel).__name__, kernel.pattern, lane.images, *shares)
            )
    for (name, _), seconds in sorted(clock.seconds.items(), key=lambda item: -item[1]):
        rows.append(PlanRow("", "", name, batch_size, seconds / total, None))
    return rows
