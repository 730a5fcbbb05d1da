"""The one door to running a network: `compile(network)` gives an executor, fast or plain."""

from typing import TYPE_CHECKING, Literal

from cnncli.engine.executor import BatchResult, Executor
from cnncli.engine.plain import PlainExecutor

if TYPE_CHECKING:
    from cnncli.engine.profile import Clock
    from cnncli.nn.network import Network

__all__ = ["BatchResult", "Executor", "PlainExecutor", "compile"]


def compile(
    network: "Network",
    kind: Literal["fast", "plain"] = "fast",
    *,
    batch_size: int = 128,
    workers: int | Literal["auto"] = "auto",
    shards: int | None = None,
    team: Literal["auto", "threads", "processes"] = "auto",
    clock: "Clock | None" = None,
) -> Executor:
    """Return an executor of the network; it reads and writes the network's own parameters.

    Args:
        network: what to run; the fast executor takes float32 networks.
        kind: "plain" calls the layers one by one; "fast" runs a compiled plan.
        batch_size: the largest batch that training will hand in.
        workers: how many shards of a batch run at once; "auto" takes the machine's cores.
        shards: into how many a batch is cut; the weights of a training depend on it, and not on `workers`.
            None for a number that suits the machine's cores.
        team: what the workers are; "auto" takes processes where they are faster than threads.
        clock: takes the times of a plan's steps, or of the plain layers.

    Returns:
        an executor; the plain one also where the network is not float32, or has a layer that looks at other samples
        of the batch and for which there is no kernel.
    """
    if kind == "plain" or network.dtype != "float32":
        return PlainExecutor(network, clock=clock)
    from cnncli.engine.parallel.caller import FastExecutor, suits

    if not suits(network):
        return PlainExecutor(network, clock=clock)

    return FastExecutor(
        network, batch_size=batch_size, workers=workers, shards=shards, kind=team, clock=clock
    )
