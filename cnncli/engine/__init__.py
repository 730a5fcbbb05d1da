"""The entry point for running a network: `compile(network)` returns an executor, fast or plain."""

import logging
from typing import Literal

from cnncli.engine.executor import BatchResult, Executor, StepSettings
from cnncli.engine.plain import PlainExecutor
from cnncli.engine.profile import Clock
from cnncli.launcher import has_other_ranks
from cnncli.nn.network import Network

log = logging.getLogger(__name__)

__all__ = ["BatchResult", "Executor", "PlainExecutor", "StepSettings", "compile", "start_workers_early"]


def compile(
    network: Network,
    kind: Literal["fast", "plain"] = "fast",
    *,
    batch_size: int = 128,
    workers: int | Literal["auto"] = "auto",
    shards: int | None = None,
    pool: Literal["auto", "threads", "processes"] = "auto",
    start_method: Literal["auto", "fork", "spawn", "forkserver"] = "auto",
    inference: bool = False,
    clock: Clock | None = None,
) -> Executor:
    """Return an executor of the network, which reads and writes the network's own parameters.

    Args:
        network: what to run.
        kind: "plain" calls the layers one by one; "fast" runs a compiled plan.
        batch_size: the largest batch of the training run.
        workers: how many workers run the shards of a batch; "auto" for the number of cores.
        shards: the number of shards of a batch, on which the trained weights depend; they do not depend on
            `workers`. None for a number that suits the machine's cores.
        pool: what the workers are; "auto" takes processes where they are faster than threads.
        start_method: how processes are started: "fork" copies the caller, "spawn" starts new interpreters, "forkserver"
            copies one new interpreter. "auto" forks where that is safe. The trained weights are the same.
        inference: whether the network is only run, with weights that stay as they are at the first pass: they are
            brought into the form that the kernels need only once, not at each pass.
        clock: measures the parts of every training step.

    Returns:
        an executor; the plain one also where no plan can run the network: it is not float32, or a layer without a
        kernel looks at other samples of the batch.
    """
    if kind == "fast":
        from cnncli.engine.parallel.caller import FastExecutor, can_compile

        if can_compile(network):
            return FastExecutor(
                network,
                batch_size=batch_size,
                workers=workers,
                shards=shards,
                pool=pool,
                start_method=start_method,
                inference=inference,
                clock=clock,
            )
    if has_other_ranks():
        log.warning("the other MPI ranks have nothing to do: the plain executor has no shards")
    return PlainExecutor(network, clock=clock)


def start_workers_early(
    kind: Literal["fast", "plain"] = "fast",
    *,
    workers: int | Literal["auto"] = "auto",
    shards: int | None = None,
    start_method: Literal["auto", "fork", "spawn", "forkserver"] = "auto",
) -> None:
    """Start the processes that `compile` with the same arguments would start, so that they import meanwhile.

    Those that are not used end with this process. Forked workers are not started early: a fork takes no time.
    """
    from cnncli.engine.parallel import cores

    method = cores.choose_start_method(start_method)
    others = cores.count_workers(workers, shards) - 1
    if kind == "plain" or method == "fork" or others < 1 or not cores.processes_are_faster():
        return
    if cores.obstacle_to_processes(method) is None:
        from cnncli.engine.parallel.early import start_early

        start_early(method, others)
