"""Where the time of a step goes: a clock that every kernel stops, and one that costs nothing."""

from time import perf_counter
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cnncli.engine.kernels.kernel import Kernel


WAITING = "waiting for the other shards"
"""What a shard does at a meeting; where one worker runs all shards, it runs the others meanwhile."""


class Clock(Protocol):
    """Takes the time between `start` or the last `stop`, and the next `stop`."""

    def start(self) -> None:
        """Begin to measure."""

    def stop(self, what: "Kernel | str", *, backward: bool = False) -> None:
        """Add the time since the last call to one step's sum."""


class NoClock:
    """Measures nothing."""

    def start(self) -> None:
        """Do nothing."""

    def stop(self, what: "Kernel | str", *, backward: bool = False) -> None:
        """Do nothing."""


class StepClock:
    """Sums up seconds by step: the kernel's class and the layers it covers, or a name such as "optimizer"."""

    def __init__(self) -> None:
        self.seconds: dict[tuple[str, str], float] = {}
        self._last = 0.0

    def start(self) -> None:
        """Begin to measure."""
        self._last = perf_counter()

    def stop(self, what: "Kernel | str", *, backward: bool = False) -> None:
        """Add the time since the last call to one step's sum."""
        now = perf_counter()
        name = what if isinstance(what, str) else " ".join(node.name for node in what.nodes)
        key = (name, "backward" if backward else "forward")
        self.seconds[key] = self.seconds.get(key, 0.0) + now - self._last
        self._last = now
